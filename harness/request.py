"""What a person asks of a run, checked before anything is done: flags, folder, devices."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UnknownName, UsageError
from harness.provenance import usable_cores
from harness.spec import DEVICE_KINDS


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asked for, as the command line's flags say it."""

    suite: str
    devices: tuple[str, ...] = ("cpu",)
    seeds: int | None = None
    only: tuple[str, ...] = ()
    jobs: int | None = None
    #: Seconds, and bytes, that a cell may take.
    timeout: float | None = None
    memory: int | None = None
    #: How often a cell is tried again whose worker was lost.
    retries: int = 2
    engine: str = "local"
    address: str | None = None
    fresh: bool = False
    retry_failed: bool = False
    until_decided: bool = False
    results: Path | None = None
    plugins: tuple[str, ...] = ()
    #: Plugin objects with life-cycle hooks beside the registered ones.
    watchers: tuple[object, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.results is not None:
            object.__setattr__(self, "results", Path(self.results))
        if self.fresh and self.retry_failed:
            raise UsageError("--fresh and --retry-failed contradict each other: fresh runs every cell again")
        if self.until_decided and self.seeds is not None:
            # Not needed by those who only ask for help: it brings pydantic.
            from harness.judge import LOOKS

            raise UsageError(f"--until-decided and --seeds contradict each other: it looks at {LOOKS} seeds itself")
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"--jobs {self.jobs}: at least 1 is needed")
        if self.retries < 0:
            raise UsageError(f"--retries {self.retries}: 0 or more is needed")
        if self.address is not None and self.engine == "local":
            raise UsageError(
                f"--address {self.address}: the engine local is this machine; --engine ray takes an address"
            )
        if self.memory is not None and not sys.platform.startswith("linux"):
            raise UsageError("--memory: only Linux can hold a process to a limit of memory")
        if self.seeds is not None and self.seeds < 1:
            raise UsageError(f"--seeds {self.seeds}: at least 1 is needed")
        for device in self.devices:
            check_device(device)

    @property
    def folder(self) -> Path:
        """The results folder: asked for, $HARNESS_RESULTS, or ./results."""
        return results_folder(self.results)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The device kinds asked for, each once."""
        return tuple(dict.fromkeys(device.partition(":")[0] for device in self.devices))

    @property
    def worker_count(self) -> int:
        """Worker processes for the CPU: asked for, or one for each core this process may use."""
        return self.jobs or usable_cores()


def results_folder(asked: Path | None = None) -> Path:
    """The results folder: the one asked for, else $HARNESS_RESULTS, else ./results."""
    return asked or Path(os.environ.get("HARNESS_RESULTS") or "results")


def check_device(device: str) -> None:
    """Raise UsageError unless ``device`` is a kind, or a kind and a number: cpu, cuda, cuda:1."""
    kind, colon, index = device.partition(":")
    if kind not in DEVICE_KINDS:
        if kind.lower() == "gpu":
            raise UsageError(
                f"--device {device}: which kind? cuda (NVIDIA, AMD), mps (Apple) and xpu (Intel) are known"
            )
        raise UnknownName("device", device, DEVICE_KINDS, where="--device")
    if colon and (kind == "cpu" or not index.isdecimal()):
        raise UsageError(f"--device {device}: a number is needed after the colon, as in cuda:0, and none for cpu")


def check_devices_exist(devices: Sequence[str]) -> None:
    """Raise UsageError for a device that this machine does not have.

    torch is imported here only where something else than the CPU is asked for, and no context is made.
    """
    for device in devices:
        kind, _, index = device.partition(":")
        if kind == "cpu":
            continue
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
        import torch

        backend = getattr(torch, kind)
        count = backend.device_count() if backend.is_available() else 0
        if count <= int(index or 0):
            have = f"torch {torch.__version__} sees {count} {kind} device{'' if count == 1 else 's'} here"
            raise UsageError(f"--device {device}: {have}; 'harness doctor' says what there is")
