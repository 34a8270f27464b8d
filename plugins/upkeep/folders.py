"""Operations on a results folder as a whole: find damage, drop it, copy records from other folders."""

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
from harness.records.seals import add_seals, read_seals

#: Characters of a damaged line that are shown.
_SHOWN = 60


@dataclass(frozen=True)
class State:
    """What a records file holds."""

    lines: int
    cells: int
    #: Cells with a good record.
    good: int
    #: Lines that cannot be read: number and first characters.
    damaged: tuple[tuple[int, str], ...]
    #: Whether a crash tore the last line; the next write removes it.
    torn: bool
    #: Records that need a newer harness.
    newer: int


def examine(folder: Path) -> State:
    """Read a folder's records file and count what it holds. Raises UsageError where there is none."""
    _check_has_records(folder)
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
            damaged.append((number, line[:_SHOWN].decode(errors="replace").strip()))
        else:
            torn = True
    return State(count, len(good), sum(good.values()), tuple(damaged), torn, newer)


def repair(folder: Path) -> tuple[State, Path | None]:
    """Drop lines that cannot be read. Give the state before, and the copy of the file if a line was dropped."""
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
    """Copy the records of other folders, or of single files, into a folder. No record there is changed.

    A record is copied where its cell has no record in ``into``, or no good one and this one is good. Gives, for each
    source, how many records were copied and how many cells were there already. Raises UsageError for a source without
    records, or one that is ``into`` itself.
    """
    for source in sources:
        if source.resolve() in (into.resolve(), (into / "records.jsonl").resolve()):
            raise UsageError(f"{source} is the results folder itself; name another one")
        _check_has_records(source)
    target = RecordsFile(into)
    target.prepare()
    good = {i: record.good for i, record in target.load().by_id.items()}
    counts = {}
    for source in sources:
        copied = known = 0
        environments = source / "environments"
        for record in _records_of(source):
            if record.id in good and (good[record.id] or not record.good):
                known += 1
                continue
            target.append(record)
            good[record.id] = record.good
            copied += 1
            name = f"{record.environment}.json"
            if (environments / name).exists() and not (into / "environments" / name).exists():
                shutil.copy2(environments / name, into / "environments" / name)
        if source.is_dir():
            add_seals(into, read_seals(source))
        counts[source] = (copied, known)
    return counts


def _records_of(source: Path) -> Iterator[Record]:
    """Of a folder, each cell's latest good record, or its latest one where none is good; of a file, every record."""
    if source.is_dir():
        yield from RecordsFile(source).load().by_id.values()
        return
    for line in source.read_bytes().split(b"\n"):
        if isinstance(record := parse_record(line), Record):
            yield record


def _check_has_records(folder: Path) -> None:
    path = folder / "records.jsonl" if folder.is_dir() else folder
    if not path.is_file():
        raise UsageError(f"{folder} holds no records: there is no file {path}")


def _free_name(path: Path) -> Path:
    """``path``, or with a number behind it where that exists: x, x.2, x.3."""
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
