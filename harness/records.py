"""Records: what every cell left behind, one JSON object a line in ``records.jsonl``. The only truth there is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from filelock import FileLock

from harness.errors import UsageError

#: The layout of a record. A reader leaves records of a higher number alone and counts them.
SCHEMA = 1
Status = Literal["done", "failed", "timeout", "crashed", "skipped"]
#: step and value of each point
Curve = list[tuple[int, float]]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a finished cell left behind, whatever happened to it."""

    schema: int = SCHEMA
    #: The cell's key, 20 hexadecimal digits.
    id: str
    suite: str
    method: str
    task: str
    options: Mapping[str, Any]
    device: str
    dtype: str
    seed: int
    status: Status
    #: One sentence, where status is not "done".
    cause: str | None = None
    #: Every value is finite.
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    #: Wall time of the task alone: data are loaded and the method is built before.
    seconds: float = 0.0
    #: Highest memory during the task above what its worker held before: allocator on CUDA, resident set on CPU.
    peak_bytes: int | None = None
    #: Digest that names a file in ``environments/``.
    environment: str | None = None
    #: Digest of the plugins' code, and of the data sets by name.
    code: str = ""
    data: Mapping[str, str | None] = field(default_factory=dict)
    #: The end of what the cell wrote to stdout and stderr; a failure's traceback stands there.
    output: str = ""
    #: UTC, ISO 8601.
    started: str = ""
    finished: str = ""

    @property
    def good(self) -> bool:
        """Whether the cell ended with all its metrics."""
        return self.status == "done"

    def to_line(self) -> str:
        """The record as one line of JSON, without the newline."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


_FIELDS = {f.name for f in fields(Record)}
_NEEDED = ("id", "suite", "method", "task", "options", "device", "dtype", "seed", "status")


@dataclass(frozen=True)
class Loaded:
    """The records of a folder and what could not be read in it."""

    #: By cell id: the latest good record, or the latest one where none is good.
    by_id: Mapping[str, Record]
    #: Sentences for a person: damaged lines by number, a torn last line, records of a newer schema.
    warnings: tuple[str, ...] = ()


class RecordsFile:
    """The append-only ``records.jsonl`` of a results folder, safe for several writers at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "records.jsonl"

    def prepare(self) -> None:
        """Make the folder. Raises UsageError where it cannot be written."""
        try:
            (self.folder / "environments").mkdir(parents=True, exist_ok=True)
            with self.path.open("ab"):
                pass
        except OSError as error:
            raise UsageError(f"results folder {self.folder} cannot be written: {error.strerror}") from None

    def append(self, record: Record) -> None:
        """Write a record and see it on the disk. A last line that a crash tore is removed first."""
        with FileLock(self.folder / ".records.lock"), self.path.open("rb+") as stream:
            _mend_end(stream)
            stream.write(record.to_line().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def add_environment(self, digest: str, environment: Mapping[str, Any]) -> None:
        """Keep an environment under its digest, once."""
        target = self.folder / "environments" / f"{digest}.json"
        if not target.exists():
            draft = target.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(json.dumps(environment, indent=1, sort_keys=True), encoding="utf-8")
            draft.replace(target)

    def load(self) -> Loaded:
        """Read every record. A line that cannot be read is skipped and reported, never fatal."""
        if not self.path.exists():
            return Loaded({})
        by_id: dict[str, Record] = {}
        damaged: list[int] = []
        newer = 0
        content = self.path.read_bytes()
        torn = bool(content) and not content.endswith(b"\n")
        lines = content.split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            record = parse_record(line)
            if record == "newer":
                newer += 1
            elif isinstance(record, Record):
                before = by_id.get(record.id)
                if before is None or record.good or not before.good:
                    by_id[record.id] = record
            elif not (torn and number == len(lines)):
                damaged.append(number)
        warnings = []
        if damaged:
            shown = ", ".join(map(str, damaged[:10])) + (" and more" if len(damaged) > 10 else "")
            warnings.append(f"{self.path}: {len(damaged)} damaged line(s) skipped: {shown}")
        if torn and parse_record(lines[-1]) == "damaged":
            warnings.append(f"{self.path}: the last line is torn (a run was killed while writing it) and is ignored")
        if newer:
            warnings.append(
                f"{self.path}: {newer} record(s) of a newer schema than {SCHEMA} left alone; update harness"
            )
        return Loaded(by_id, tuple(warnings))


def parse_record(line: bytes) -> Record | Literal["newer", "damaged"]:
    """A line as a record, or why it is none."""
    try:
        content = json.loads(line)
    except ValueError:
        return "damaged"
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        return "damaged"
    if content["schema"] > SCHEMA:
        return "newer"
    if any(name not in content for name in _NEEDED) or content["status"] not in get_args(Status):
        return "damaged"
    return Record(**{k: v for k, v in content.items() if k in _FIELDS})


def _mend_end(stream: BinaryIO) -> None:
    """Place the stream where the next line belongs: after a whole line, over a torn one."""
    end = stream.seek(0, os.SEEK_END)
    tail = b""
    while end > len(tail) and b"\n" not in tail:
        start = max(0, end - len(tail) - 65536)
        stream.seek(start)
        tail = stream.read(end - start)
    last = tail.rpartition(b"\n")[2]
    stream.seek(0, os.SEEK_END)
    if not last:
        return
    if parse_record(last) == "damaged":
        stream.truncate(end - len(last))
        stream.seek(0, os.SEEK_END)
    else:
        stream.write(b"\n")
