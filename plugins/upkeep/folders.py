"""Find what is damaged in a results folder, and drop it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from harness.cell import Record
from harness.errors import UsageError
from harness.records import RecordsFile, parse_record
from harness.records.environments import environment_files, read_environment
from harness.records.items import NAME as ITEMS
from harness.records.items import items_files, read_items
from harness.records.seals import NAME as SEALS
from harness.records.seals import damaged_seals, parse_seal

#: Characters of a damaged line that are shown.
_SHOWN = 60


@dataclass(frozen=True)
class State:
    """What a results folder holds."""

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
    #: Numbers of the lines of ``seals.jsonl`` that cannot be read.
    damaged_seals: tuple[int, ...] = ()
    #: Names of the files in ``environments`` whose content is not what it was.
    damaged_environments: tuple[str, ...] = ()
    #: Names of the files in ``items`` whose content is not what it was, and digests that records name and no file has.
    damaged_items: tuple[str, ...] = ()
    missing_items: tuple[str, ...] = ()

    @property
    def is_damaged(self) -> bool:
        """Whether there is anything to repair."""
        files = self.damaged_seals or self.damaged_environments or self.damaged_items
        return bool(self.damaged or self.torn or files)


def examine(folder: Path) -> State:
    """Read all that a folder holds and count it. Raises UsageError where there are no records."""
    check_has_records(folder)
    good: dict[str, bool] = {}
    damaged: list[tuple[int, str]] = []
    named: set[str] = set()
    count = newer = 0
    torn = False
    for number, line in RecordsFile(folder).lines():
        if not line.strip():
            continue
        count += 1
        record = parse_record(line)
        if isinstance(record, Record):
            good[record.id] = good.get(record.id, False) or record.good
            named.update(record.items.values())
        elif record == "newer":
            newer += 1
        elif line.endswith(b"\n"):
            damaged.append((number, line[:_SHOWN].decode(errors="replace").strip()))
        else:
            torn = True
    environments = [path.name for path in environment_files(folder) if read_environment(path) == "damaged"]
    items = {path: read_items(path) for path in items_files(folder)}
    return State(
        lines=count,
        cells=len(good),
        good=sum(good.values()),
        damaged=tuple(damaged),
        torn=torn,
        newer=newer,
        damaged_seals=tuple(damaged_seals(folder)),
        damaged_environments=tuple(environments),
        damaged_items=tuple(path.name for path, content in items.items() if content == "damaged"),
        missing_items=tuple(sorted(named - {path.stem for path in items})),
    )


def repair(folder: Path) -> tuple[State, list[Path]]:
    """Drop what cannot be read. Give the state before, and the copies of the files that were changed."""
    state = examine(folder)
    copies = []
    with FileLock(folder / ".records.lock"):
        if state.damaged or state.torn:
            copies.append(_drop_lines(folder / "records.jsonl", lambda line: parse_record(line) != "damaged"))
        if state.damaged_seals:
            copies.append(_drop_lines(folder / SEALS, lambda line: parse_seal(line) is not None))
        damaged = {"environments": state.damaged_environments, ITEMS: state.damaged_items}
        paths = [folder / room / name for room, names in damaged.items() for name in names]
        copies += [path.rename(_free_name(path.with_name(f"{path.name}.damaged"))) for path in paths]
    return state, copies


def _drop_lines(path: Path, is_good: Callable[[bytes], bool]) -> Path:
    """Leave only the good lines in a file, whose lock is held. Give the copy of the file before."""
    copy = _free_name(path.with_name(f"{path.name}.damaged"))
    shutil.copy2(path, copy)
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with path.open("rb") as lines, draft.open("xb") as stream:
        for line in lines:
            if line.strip() and is_good(line):
                stream.write(line.rstrip(b"\r\n") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    shutil.copymode(path, draft)
    draft.replace(path)
    return copy


def check_has_records(folder: Path) -> None:
    """Raise UsageError for a folder without a records file, and for a file that does not exist."""
    path = folder / "records.jsonl" if folder.is_dir() else folder
    if not path.is_file():
        raise UsageError(f"{folder} holds no records: there is no file {path}")


def _free_name(path: Path) -> Path:
    """``path``, or with a number behind it where that exists: x, x.2, x.3."""
    number = 1
    free = path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
