"""The request: what a person wants of a run, checked before anything is done."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import ArgumentError, ConflictingArguments, MissingArgument, UnknownName
from harness.records.provenance import usable_cores
from harness.spec import DEVICE_KINDS


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run, where and how: the flags of ``harness suite`` as arguments."""

    suite: str
    devices: tuple[str, ...] = ("cpu",)
    seeds: int | None = None
    only: tuple[str, ...] = ()
    jobs: int | None = None
    #: Seconds, and bytes, that a cell may take.
    timeout: float | None = None
    memory: int | None = None
    #: Retries when a worker dies.
    retries: int = 2
    engine: str = "local"
    address: str | None = None
    fresh: bool = False
    retry_failed: bool = False
    until_decided: bool = False
    #: Seconds of wall time that ``until_decided`` may spend; None for as many as it takes.
    budget: float | None = None
    results: Path | None = None
    plugins: tuple[str, ...] = ()
    #: Plugin objects with life-cycle hooks beside the registered ones.
    watchers: tuple[object, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.results is not None:
            object.__setattr__(self, "results", Path(self.results))
        if self.fresh and self.retry_failed:
            raise ConflictingArguments("fresh", "retry_failed", "fresh runs every cell again")
        if self.until_decided and self.seeds is not None:
            raise ConflictingArguments("until_decided", "seeds", "the looks of the suite say how many")
        if self.budget is not None and not self.until_decided:
            raise MissingArgument("budget", "until_decided", "it limits the seeds that are added")
        if self.jobs is not None and self.jobs < 1:
            raise ArgumentError("jobs", self.jobs, "at least 1 is needed")
        if self.retries < 0:
            raise ArgumentError("retries", self.retries, "0 or more is needed")
        if self.memory is not None and not sys.platform.startswith("linux"):
            raise ArgumentError("memory", self.memory, "only Linux can limit the memory of a process")
        if self.seeds is not None and self.seeds < 1:
            raise ArgumentError("seeds", self.seeds, "at least 1 is needed")
        for device in self.devices:
            check_device(device)

    @property
    def folder(self) -> Path:
        """The results folder: ``results``, $HARNESS_RESULTS, or ./results."""
        return results_folder(self.results)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the devices, each once."""
        return tuple(dict.fromkeys(device.partition(":")[0] for device in self.devices))

    @property
    def worker_count(self) -> int:
        """Worker processes for the CPU: ``jobs``, or one for each core this process may use."""
        return self.jobs or usable_cores()


def results_folder(folder: Path | None = None) -> Path:
    """``folder``, else $HARNESS_RESULTS, else ./results."""
    return folder or Path(os.environ.get("HARNESS_RESULTS") or "results")


def check_device(device: str) -> None:
    """Raise UsageError unless ``device`` is a kind, or a kind and a number: cpu, cuda, cuda:1."""
    kind, colon, index = device.partition(":")
    if kind not in DEVICE_KINDS:
        if kind.lower() == "gpu":
            kinds = "which kind? cuda (NVIDIA, AMD), mps (Apple) and xpu (Intel) are known"
            raise ArgumentError("device", device, kinds)
        raise UnknownName("device", device, DEVICE_KINDS)
    if colon and (kind == "cpu" or not index.isdecimal()):
        raise ArgumentError("device", device, "a number is needed after the colon, as in cuda:0, and none for cpu")
