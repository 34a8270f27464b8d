"""Records on disk: one JSON object a line in ``records.jsonl``, from which everything else can be made again."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from harness.cell import SCHEMA, Record
from harness.errors import UsageError
from harness.records.environments import is_digest, read_environment, write_environment
from harness.records.items import write_items
from harness.records.lines import OpenFile, damaged_lines, parse_record

_log = logging.getLogger(__name__)


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
            self._check_regular()
            with self.path.open("ab"):
                pass
        except OSError as error:
            raise UsageError(f"results folder {self.folder} cannot be written: {error.strerror}") from None

    def append(self, record: Record) -> bool:
        """Write a record and sync it to the disk. A torn last line is removed first.

        A cell that another process has recorded well meanwhile is not recorded twice: False says so. Raises
        OSError where the disk is full or gone; what stood in the file before stays as it is.
        """
        return bool(self.append_lines([(record, record.to_line().encode(errors="replace"))]))

    def append_lines(self, lines: Sequence[tuple[Record, bytes]]) -> list[Record]:
        """Write records with their lines, all or none of them, and sync them to the disk once; see ``append``.

        Gives the records that were written.
        """
        with FileLock(self.folder / ".records.lock"), self.path.open("rb+", buffering=0) as stream:
            end = _mend_end(stream)
            self._notice(stream, end)
            new = [(record, line) for record, line in lines if not (record.good and record.id in self._others)]
            text = b"".join(line + b"\n" for _, line in new)
            stream.seek(end)
            try:
                if text:
                    _write_whole(stream, text)
            except OSError:
                with contextlib.suppress(OSError):
                    stream.truncate(end)
                raise
            self._read_to = end + len(text)
        return [record for record, _ in new]

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
        write_environment(self.folder, digest, environment)

    def add_items(self, content: bytes) -> None:
        """Write outcomes of items under their digest, once."""
        write_items(self.folder, content)

    def environment(self, record: Record) -> dict[str, Any]:
        """The environment that a record was made in; empty where it is missing, or damaged, which a warning says."""
        if record.environment is None or not is_digest(record.environment):
            return {}
        path = self.folder / "environments" / f"{record.environment}.json"
        content = read_environment(path)
        if content == "damaged":
            _log.warning("%s is damaged: its content does not have the digest that names it; it is not shown", path)
        return content if isinstance(content, dict) else {}

    def load(self) -> Loaded:
        """Read every record. A line that cannot be read is skipped and reported, never fatal."""
        by_id: dict[str, Record] = {}
        damaged: list[int] = []
        newer = size = 0
        torn = False
        with self._opened() as stream:
            file = OpenFile(stream) if stream else None
            for number, line in enumerate(stream or (), start=1):
                record = parse_record(line, file, size)
                size += len(line)
                if isinstance(record, Record):
                    before = by_id.get(record.id)
                    if before is None or record.good or not before.good:
                        by_id[record.id] = record
                elif record == "newer":
                    newer += 1
                elif line.strip() and line.endswith(b"\n"):
                    damaged.append(number)
                else:
                    torn = torn or bool(line.strip())
        return Loaded(by_id, tuple(self._warnings(damaged, torn, newer)), size)

    def _warnings(self, damaged: list[int], torn: bool, newer: int) -> Iterator[str]:
        if damaged:
            yield damaged_lines(self.path, damaged)
        if torn:
            yield f"{self.path}: the last line is torn (a run was killed while writing it) and is ignored"
        if newer:
            yield f"{self.path}: {newer} record(s) of a newer schema than {SCHEMA} left alone; update harness"

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Every line with its number from 1, its newline included; none where there is no file."""
        with self._opened() as stream:
            yield from enumerate(stream or (), start=1)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO | None]:
        """The file, open for reading; None where there is none. Raises UsageError where it cannot be read."""
        collecting = gc.isenabled()
        # Looking for cycles among some hundred thousand dicts that have none takes longer than reading them.
        gc.disable()
        try:
            with self._open() as stream:
                yield stream
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from None
        finally:
            if collecting:
                gc.enable()

    def _open(self) -> contextlib.AbstractContextManager[BinaryIO | None]:
        self._check_regular()
        try:
            return self.path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return contextlib.nullcontext()

    def _check_regular(self) -> None:
        """Raise UsageError for a pipe or a device, which would be read for ever."""
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UsageError(f"{self.path} is neither a file nor a folder")


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
