"""The cell, one point of a suite's cross; the record it leaves; and the run of a suite as its watchers see it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from harness.spec import AXES, Dataset, Scalar, Task

#: Part of every cell's key. Raised when the core changes what a cell computes.
PROTOCOL = 1


@dataclass(frozen=True)
class Cell:
    """One point of a suite's cross: one method on one task under one setting and one seed.

    Cells with the same key compute the same thing; the suite they came from is not part of the key.
    """

    suite: str
    method: str
    task: str
    #: Every option of the task and of the method, defaults filled in.
    options: Mapping[str, Scalar]
    device: str
    dtype: str
    seed: int
    #: Digest of the modules that its code can run (see ``harness.registry.digests``).
    code: str
    #: Digest of each data set's files, by name; None where the data set is not on this machine. A file that an
    #: option names goes by "option NAME".
    data: Mapping[str, str | None] = field(default_factory=dict)
    #: Why it cannot run here, or None.
    skip: str | None = None
    #: Names of the options that are the method's alone, not the task's.
    own: tuple[str, ...] = ()
    #: Names of the options that were tuned and that it has no value of: it stands for a whole study.
    tuned: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """The key's digest, 20 hexadecimal digits."""
        return self._id(self.seed)

    def _id(self, seed: int) -> str:
        before, after = self._around_seed
        return hashlib.sha256(f"{before},{seed},{after}".encode()).hexdigest()[:20]

    @cached_property
    def _around_seed(self) -> tuple[str, str]:
        """The key as a list in JSON, before and after the seed: the same for all seeds of a setting."""
        before = (PROTOCOL, self.method, self.task, dict(self.options), self.device, self.dtype)
        after = (self.code, dict(self.data))
        written = [json.dumps(part, sort_keys=True, separators=(",", ":")) for part in (before, after)]
        return written[0][:-1], written[1][1:]

    @cached_property
    def setting(self) -> str:
        """The key of its setting: see ``setting_key``."""
        return setting_key(self)

    def with_seed(self, seed: int) -> Cell:
        """The same cell under another seed."""
        other = object.__new__(Cell)
        # A suite may have many seeds: what they have in common is worked out once.
        vars(other).update(vars(self), setting=self.setting, seed=seed, id=self._id(seed))
        return other

    @property
    def random_seed(self) -> int:
        """What the random generators start from.

        A hash of the task and the seed alone, so that two methods (or two options) under one seed see the same
        initial weights, data order and augmentations: their difference is then a paired one.
        """
        return int.from_bytes(hashlib.sha256(f"{self.task}\0{self.seed}".encode()).digest()[:8], "big") >> 1

    def value(self, axis: str) -> Scalar | None:
        """Its value on an axis (``method``, ``seed``, ... or an option's name); None if it has no such option."""
        return getattr(self, axis) if axis in AXES else self.options.get(axis)

    def __str__(self) -> str:
        settings = "".join(f"{k}={v} " for k, v in self.options.items())
        return f"{self.method} on {self.task} {settings}{self.device} {self.dtype} seed={self.seed}"


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
    #: Whether it is the worker that was lost (killed from outside, its device or node gone), not the method that
    #: failed. Such a cell is tried again.
    lost: bool = False
    #: How often the cell was begun until this came of it.
    attempts: int = 1
    #: Every value is finite.
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: Wall time of the task alone: data are loaded and the method is built before.
    seconds: float = 0.0
    #: Highest memory during the task above what its worker held before: allocator on CUDA, resident set on CPU.
    peak_bytes: int | None = None
    #: Digest that names a file in ``environments/``.
    environment: str | None = None
    #: Digest of the plugins' code, and of the data sets by name.
    code: str = ""
    data: Mapping[str, str | None] = field(default_factory=dict)
    #: By metric the digest that names a file in ``items/``: what became of each scored item.
    items: Mapping[str, str] = field(default_factory=dict)
    #: The end of what the cell wrote to stdout and stderr; a failure's traceback stands there.
    output: str = ""
    #: UTC, ISO 8601.
    started: str = ""
    finished: str = ""
    #: Last, because they are long: a reader that wants none of them stops before.
    curves: Mapping[str, Curve] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether the cell ended with all its metrics."""
        return self.status == "done"

    @cached_property
    def setting(self) -> str:
        """The key of its setting: see ``setting_key``."""
        return setting_key(self)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain JSON types, curves read."""
        return asdict(replace(self, curves={})) | {"curves": dict(self.curves)}

    def to_line(self) -> str:
        """The record as one line of JSON, without the newline."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class HasSetting(Protocol):
    """What has a setting: a cell, a record, a summary of records."""

    @property
    def method(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...


def setting_key(item: HasSetting) -> str:
    """The same text for the same setting, whatever order its options stand in; 1 and true differ.

    >>> setting_key(Cell("s", "relu", "toy/mean", {"b": 1.0}, "cpu", "float32", 0, "code"))
    'relu toy/mean {"b": 1.0} cpu float32'
    """
    options = json.dumps(dict(item.options), sort_keys=True)
    # One string for all cells and records of the setting.
    return sys.intern(f"{item.method} {item.task} {options} {item.device} {item.dtype}")


@dataclass(frozen=True, kw_only=True)
class SuiteRun:
    """A run of a suite as watchers see it: what there is, and what is going to run."""

    suite: str
    title: str
    #: The results folder.
    results: Path
    #: Every cell of the suite on the devices asked for.
    cells: tuple[Cell, ...]
    #: The cells asked for with ``--only``; all of them without it.
    selected: tuple[Cell, ...]
    #: Those of ``selected`` that will run now; the others have a record or must be skipped.
    todo: tuple[Cell, ...]
    #: Records from before, by cell id.
    records: Mapping[str, Record]
    #: The suite's tasks and their data sets, by name.
    tasks: Mapping[str, Task]
    datasets: Mapping[str, Dataset]
    #: Ids of the suite's claims, in the suite's order.
    claims: tuple[str, ...]
