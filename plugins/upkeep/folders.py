"""What can be done to a results folder as a whole: look for damage, drop it, bring in another one's records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from harness.cell import Record
from harness.errors import UsageError
from harness.records import RecordsFile, parse_record


@dataclass(frozen=True)
class State:
    """What a records file holds."""

    lines: int
    cells: int
    good: int
    #: Line number and the first characters of what cannot be read.
    damaged: tuple[tuple[int, str], ...]
    #: Whether the last line was torn by a crash; the next write would remove it.
    torn: bool
    #: Records that need a newer harness.
    newer: int


def examine(folder: Path) -> State:
    """Read a folder's records and say what is there. Raises UsageError where there are none."""
    _must_have_records(folder)
    good: dict[str, bool] = {}
    damaged: list[tuple[int, str]] = []
    count = newer = 0
    torn = False
    for number, line in RecordsFile(folder).lines():
        if not line.strip():
            continue
        count += 1
        record = parse_record(line)
        if isinstance(record, Record):
            good[record.id] = good.get(record.id, False) or record.good
        elif record == "newer":
            newer += 1
        elif line.endswith(b"\n"):
            damaged.append((number, line[:60].decode(errors="replace").strip()))
        else:
            torn = True
    return State(count, len(good), sum(good.values()), tuple(damaged), torn, newer)


def repair(folder: Path) -> tuple[State, Path | None]:
    """Drop what cannot be read. Gives what was found, and the copy of the file as it was if anything was dropped."""
    state = examine(folder)
    if not state.damaged and not state.torn:
        return state, None
    file = RecordsFile(folder)
    with FileLock(folder / ".records.lock"):
        copy = _free_name(folder / "records.jsonl.damaged")
        shutil.copy2(file.path, copy)
        draft = folder / ".records.jsonl.draft"
        with draft.open("wb") as stream:
            for _, line in file.lines():
                if line.strip() and parse_record(line) != "damaged":
                    stream.write(line.rstrip(b"\r\n") + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file.path)
    return state, copy


def merge(into: Path, sources: list[Path]) -> dict[Path, tuple[int, int]]:
    """Bring the records of other folders, or of single files, into a folder; nothing that is there is changed.

    A record comes in where its cell has none here, or no good one and it is good. Gives for each source how many
    came in and how many were here already.
    """
    for source in sources:
        if source.resolve() in (into.resolve(), (into / "records.jsonl").resolve()):
            raise UsageError(f"{source} is the folder that the records would go to; name another")
        _must_have_records(source)
    target = RecordsFile(into)
    target.prepare()
    here = {i: record.good for i, record in target.load().by_id.items()}
    counts = {}
    for source in sources:
        came = known = 0
        environments = source / "environments"
        for record in _best(source):
            if record.id in here and (here[record.id] or not record.good):
                known += 1
                continue
            target.append(record)
            here[record.id] = record.good
            came += 1
            name = f"{record.environment}.json"
            if (environments / name).exists() and not (into / "environments" / name).exists():
                shutil.copy2(environments / name, into / "environments" / name)
        counts[source] = (came, known)
    return counts


def _best(source: Path) -> Iterator[Record]:
    """The latest good record of each cell of a folder or of a single file, or its latest where none is good."""
    if source.is_dir():
        yield from RecordsFile(source).load().by_id.values()
        return
    for line in source.read_bytes().split(b"\n"):
        if isinstance(record := parse_record(line), Record):
            yield record


def _must_have_records(folder: Path) -> None:
    path = folder / "records.jsonl" if folder.is_dir() else folder
    if not path.is_file():
        raise UsageError(f"{folder} holds no records: there is no file {path}")


def _free_name(path: Path) -> Path:
    """A name beside ``path`` that nothing has yet."""
    number = 1
    found = path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}.{number}")
    return found
