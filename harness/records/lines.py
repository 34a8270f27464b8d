"""A line of ``records.jsonl`` as a record. The types of all fields are checked here, once, and nowhere else."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic_core import from_json

from harness.cell import SCHEMA, Curve, Record, Status
from harness.files.reading import LARGEST_INTEGER
from harness.files.suite import Dtype
from harness.spec import DEVICE_KINDS

_log = logging.getLogger(__name__)

STRICT = ConfigDict(strict=True, allow_inf_nan=False)
#: UTC, ISO 8601, or "" where it was not recorded.
Time = Annotated[
    str, Field(pattern=r"^(\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,6})?(\+00:00|Z)?)?$", max_length=40)
]
_Whole = Annotated[int, Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
_Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
_Options = dict[str, bool | _Whole | float | str]


@dataclass(kw_only=True)
class _Line:
    """The fields of a record as they must stand in a line, but for those that `_quick_record` reads by itself."""

    __pydantic_config__ = STRICT

    id: Annotated[str, Field(pattern="^[0-9a-f]{20}$")]
    suite: str
    method: str
    task: str
    device: Annotated[str, Field(pattern=f"^({'|'.join(DEVICE_KINDS)})$")]
    dtype: Dtype
    seed: _Count
    status: Status
    cause: str | None = None
    lost: bool = False
    attempts: _Count = 1
    metrics: dict[str, float] = field(default_factory=dict)
    #: Views show sums of them, which must be finite.
    seconds: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    peak_bytes: _Count | None = None
    #: Names a file in ``environments/``: a part of a path, so nothing but these digits is accepted.
    environment: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = None
    code: str = ""
    data: dict[str, str | None] = field(default_factory=dict)
    #: They name files in ``items/``.
    items: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{16}$")]] = field(default_factory=dict)
    output: str = ""
    started: Time = ""
    finished: Time = ""


@dataclass(kw_only=True)
class _WholeLine(_Line):
    schema: Annotated[int, Field(ge=1)]
    options: _Options
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


_line = TypeAdapter(_Line).validate_json
_whole_line = TypeAdapter(_WholeLine).validate_json
_curves = TypeAdapter(dict[str, list[tuple[int, float]]], config=STRICT).validate_json
#: One mapping for all records of a setting.
_options = lru_cache(maxsize=10_000)(TypeAdapter(_Options, config=STRICT).validate_json)
#: What a line that the harness wrote begins with, and the places between which its parts stand.
_BEGIN, _OPTIONS, _DEVICE = f'{{"schema":{SCHEMA},'.encode(), b',"options":{', b'},"device":"'
_FINISHED, _CURVES = b',"finished":"', b',"curves":{'
#: Bytes from the beginning of the one to the end of the other, where a time stands between them.
_NEAR = 80


class OpenFile:
    """A records file that stays open for as long as somebody may look at the curves in it.

    What is appended to it, or takes its place, changes nothing of what has been read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._descriptor = os.dup(stream.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._warned = False

    def __deepcopy__(self, memo: object) -> OpenFile:
        """Itself: a copy would go on with a descriptor that closes with this one."""
        return self

    def curves(self, start: int, length: int) -> dict[str, Curve]:
        """The curves that stand there; none, with a warning, where they are damaged."""
        try:
            return _curves(os.pread(self._descriptor, length, start))
        except (ValueError, OSError):
            if not self._warned:
                self._warned = True
                _log.warning("curves of a record cannot be read; 'harness records check' names its line")
            return {}


class _Curves(Mapping[str, Curve]):
    """Curves that are read when somebody looks at one: they are most of a file, and few commands show them."""

    __slots__ = ("_file", "_length", "_start")

    def __init__(self, file: OpenFile, start: int, length: int) -> None:
        self._file, self._start, self._length = file, start, length

    def _read(self) -> dict[str, Curve]:
        return self._file.curves(self._start, self._length)

    def __getitem__(self, name: str) -> Curve:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())


def parse_record(line: bytes, file: OpenFile | None = None, start: int = 0) -> Record | Literal["newer", "damaged"]:
    """A line as a record, or why it is none.

    Where ``file`` is given, in which the line begins at the byte ``start``, its curves are checked when they are read.
    """
    if file is not None and (record := _quick_record(line, file, start)):
        return record
    try:
        whole = _whole_line(line)
    except ValueError:
        return _why_not(line)
    return "newer" if whole.schema > SCHEMA else _record(vars(whole))


def _quick_record(line: bytes, file: OpenFile, start: int) -> Record | None:
    """A record as the harness writes it, with its options before the device and its curves last; None for any other.

    A line takes a third of the time that checking all of it takes. Within a string no quote stands bare.
    """
    # No bracket before that of the options: they are those of the record, and not of a mapping within it.
    options = line.find(b"{", 1)
    device = line.find(_DEVICE, options) if line[options - len(_OPTIONS) + 1 : options + 1] == _OPTIONS else -1
    finished = line.find(_FINISHED, device) if device > 0 and line.startswith(_BEGIN) else -1
    curves = line.find(_CURVES, finished, finished + _NEAR) if finished > 0 and line.endswith(b"}}\n") else -1
    if curves < 0:
        return None
    curves_text = curves + len(_CURVES) - 1
    try:
        before = line[len(_BEGIN) : options - len(_OPTIONS) + 1]
        fields = vars(_line(b"{%b%b}" % (before, line[device + 1 : curves])))
        fields["options"] = _options(line[options : device + 1])
    except ValueError:
        return None
    length = len(line) - 2 - curves_text
    fields["curves"] = _Curves(file, start + curves_text, length) if length > 2 else {}
    return _record(fields)


def damaged_lines(path: Path, numbers: Sequence[int]) -> str:
    """A sentence for a person on the lines of a file that cannot be read."""
    shown = ", ".join(map(str, numbers[:10])) + (" and more" if len(numbers) > 10 else "")
    return f"{path}: {len(numbers)} damaged line(s) skipped: {shown}; 'harness records repair' drops them"


def _record(fields: dict[str, Any]) -> Record:
    record = object.__new__(Record)
    # Its own __init__ would set 23 frozen attributes one by one, which takes as long as all the rest.
    object.__setattr__(record, "__dict__", fields)
    return record


def _why_not(line: bytes) -> Literal["newer", "damaged"]:
    """Look once more at a line that does not have the fields of this schema."""
    try:
        content = from_json(line)
    except ValueError:
        return "damaged"
    schema = content.get("schema") if isinstance(content, dict) else None
    return "newer" if type(schema) is int and schema > SCHEMA else "damaged"
