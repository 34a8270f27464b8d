"""Records on disk: one JSON object a line in ``records.jsonl``, from which everything else can be made again."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from filelock import FileLock
from pydantic_core import from_json

from harness.cell import SCHEMA, Curve, Record, Status
from harness.errors import UsageError


class _Curves(Mapping[str, Curve]):
    """Curves as text, parsed when somebody looks at one."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def _read(self) -> dict[str, Curve]:
        return {name: [(int(step), float(value)) for step, value in c] for name, c in from_json(self._text).items()}

    def __getitem__(self, name: str) -> Curve:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())


_FIELDS = {f.name for f in fields(Record)}
_STATUSES = frozenset(get_args(Status))
_NEEDED = ("id", "suite", "method", "task", "options", "device", "dtype", "seed", "status")


@dataclass(frozen=True)
class Loaded:
    """The records of a folder and what could not be read in it."""

    #: By cell id: the latest good record, or the latest one where none is good.
    by_id: Mapping[str, Record]
    #: Sentences for a person: damaged lines by number, a torn last line, records of a newer schema.
    warnings: tuple[str, ...] = ()
    #: How far the file was read, in bytes.
    size: int = 0


class RecordsFile:
    """The append-only ``records.jsonl`` of a results folder, safe for several writers at once.

    ``read_to`` is how far the caller has read it already; what others append beyond is noticed. Without it, so is
    what they append from the first write on.
    """

    def __init__(self, folder: Path, read_to: int | None = None) -> None:
        self.folder = folder
        self.path = folder / "records.jsonl"
        self._read_to = read_to
        #: Ids of the cells that another process has recorded well since.
        self._others: set[str] = set()

    def prepare(self) -> None:
        """Make the folder. Raises UsageError where it cannot be written."""
        try:
            (self.folder / "environments").mkdir(parents=True, exist_ok=True)
            with self.path.open("ab"):
                pass
        except OSError as error:
            raise UsageError(f"results folder {self.folder} cannot be written: {error.strerror}") from None

    def append(self, record: Record) -> bool:
        """Write a record and sync it to the disk. A torn last line is removed first.

        A cell that another process has recorded well meanwhile is not recorded twice: False says so. Raises
        OSError where the disk is full or gone; what stood in the file before stays as it is.
        """
        line = record.to_line().encode(errors="replace") + b"\n"
        with FileLock(self.folder / ".records.lock"), self.path.open("rb+", buffering=0) as stream:
            end = _mend_end(stream)
            self._notice(stream, end)
            if record.good and record.id in self._others:
                return False
            stream.seek(end)
            try:
                _write_whole(stream, line)
            except OSError:
                with contextlib.suppress(OSError):
                    stream.truncate(end)
                raise
            self._read_to = end + len(line)
        return True

    def recorded_elsewhere(self, cell: str) -> bool:
        """Whether another process has recorded this cell well since this one last read the file."""
        try:
            if self._read_to is None or self.path.stat().st_size > self._read_to:
                with self.path.open("rb") as stream:
                    end = stream.seek(0, os.SEEK_END)
                    self._notice(stream, end)
        except OSError:
            return False
        return cell in self._others

    def _notice(self, stream: BinaryIO, end: int) -> None:
        """Read what others have appended up to ``end``, whole lines only."""
        if self._read_to is None:
            self._read_to = end
        if end <= self._read_to:
            return
        stream.seek(self._read_to)
        whole = stream.read(end - self._read_to).rpartition(b"\n")[0]
        for line in whole.split(b"\n"):
            record = parse_record(line)
            if isinstance(record, Record) and record.good:
                self._others.add(record.id)
        self._read_to += len(whole) + bool(whole)

    def add_environment(self, digest: str, environment: Mapping[str, Any]) -> None:
        """Write an environment under its digest, once."""
        target = self.folder / "environments" / f"{digest}.json"
        if not target.exists():
            draft = target.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(json.dumps(environment, indent=1, sort_keys=True), encoding="utf-8")
            draft.replace(target)

    def environment(self, record: Record) -> dict[str, Any]:
        """The environment that a record was made in; empty where it was not kept or cannot be read."""
        if record.environment is None:
            return {}
        try:
            content = json.loads((self.folder / "environments" / f"{record.environment}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def load(self) -> Loaded:
        """Read every record. A line that cannot be read is skipped and reported, never fatal."""
        by_id: dict[str, Record] = {}
        damaged: list[int] = []
        newer = size = 0
        torn = False
        for number, line in self.lines():
            size += len(line)
            record = parse_record(line) if line.strip() else "blank"
            if isinstance(record, Record):
                before = by_id.get(record.id)
                if before is None or record.good or not before.good:
                    by_id[record.id] = record
            elif record == "newer":
                newer += 1
            elif record == "damaged" and line.endswith(b"\n"):
                damaged.append(number)
            else:
                torn = torn or record == "damaged"
        return Loaded(by_id, tuple(self._warnings(damaged, torn, newer)), size)

    def _warnings(self, damaged: list[int], torn: bool, newer: int) -> Iterator[str]:
        if damaged:
            numbers = ", ".join(map(str, damaged[:10])) + (" and more" if len(damaged) > 10 else "")
            advice = "'harness records repair' drops them"
            yield f"{self.path}: {len(damaged)} damaged line(s) skipped: {numbers}; {advice}"
        if torn:
            yield f"{self.path}: the last line is torn (a run was killed while writing it) and is ignored"
        if newer:
            yield f"{self.path}: {newer} record(s) of a newer schema than {SCHEMA} left alone; update harness"

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Every line with its number from 1, its newline included; none where there is no file."""
        collecting = gc.isenabled()
        try:
            # Looking for cycles among some hundred thousand dicts that have none takes longer than reading them.
            gc.disable()
            with self.path.open("rb") as stream:
                yield from enumerate(stream, start=1)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from None
        finally:
            if collecting:
                gc.enable()


def parse_record(line: bytes) -> Record | Literal["newer", "damaged"]:
    """A line as a record, or why it is none. Its curves are parsed later, if at all."""
    head, separator, curves = line.rstrip().rpartition(b',"curves":')
    # In a record that the harness wrote the curves come last, after "finished"; within a string no quote stands bare.
    late = bool(separator) and b',"finished":' in head and curves.startswith(b"{") and curves.endswith(b"}}")
    try:
        content = from_json(head + b"}" if late else line, allow_inf_nan=False)
    except ValueError:
        return "damaged"
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        return "damaged"
    if content["schema"] > SCHEMA:
        return "newer"
    if any(name not in content for name in _NEEDED) or content["status"] not in _STATUSES:
        return "damaged"
    if late:
        content["curves"] = _Curves(curves[:-1]) if curves != b"{}}" else {}
    return Record(**{k: v for k, v in content.items() if k in _FIELDS})


def _write_whole(stream: BinaryIO, line: bytes) -> None:
    """Write all of a line to the disk, or raise OSError: a disk that is nearly full takes what fits."""
    if stream.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(stream.fileno())


def _mend_end(stream: BinaryIO) -> int:
    """Where the next line begins: after the last whole line; a torn one is cut off."""
    end = stream.seek(0, os.SEEK_END)
    tail = b""
    while end > len(tail) and b"\n" not in tail:
        start = max(0, end - len(tail) - 65536)
        stream.seek(start)
        tail = stream.read(end - start)
    last = tail.rpartition(b"\n")[2]
    if not last:
        return end
    if parse_record(last) == "damaged":
        return stream.truncate(end - len(last))
    stream.seek(end)
    stream.write(b"\n")
    return end + 1
