"""asv's benchmarks, generated from the registry: a class for each workload and method, of third parties' plugins too.

This file is the working tree's; the packages may be an older commit's, and what that commit lacks is skipped. Two
sizes: every dimension's smallest, and every dimension's middle one; ``harness bench`` has all. One thread: more make
times noisier.
"""

from __future__ import annotations

import functools
import re
import sys
import time
import types
from collections.abc import Callable

import torch

import harness
from harness.running.memory import PeakMemory
from harness.spec import resolve

try:
    from harness.running.memory import keep_freed_blocks
except ImportError:
    # A commit from before there was such a setting.
    def keep_freed_blocks(up_to: int) -> None:  # noqa: ARG001
        return


DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
#: Methods whose call takes longer, in seconds, are skipped.
SLOW = 2.0
#: Smaller peaks, in bytes, are shown as this one: rounding by the allocator is no regression.
LEAST_PEAK = 4_000_000
#: Freed blocks that the process keeps, in bytes: few enough for exact memory, and as many as a long run keeps.
LEAST_KEPT, MOST_KEPT = 2**16, 2**25


def few_sizes(workload: harness.Workload) -> list[str]:
    """Two sizes as asv shows them: ``batch=256 dimension=128``."""
    sizes = zip(*((values[0], values[len(values) // 2]) for values in workload.sizes.values()), strict=True)
    labels = [" ".join(f"{k}={v}" for k, v in zip(workload.sizes, size, strict=True)) for size in sizes]
    return list(dict.fromkeys(labels))


@functools.cache
def prepared(workload_name: str, method_name: str, device: str, size: str) -> Callable[[], None]:
    """One forward and backward call, ready to be timed. asv sets up before each call; this is done once.

    Raises NotImplementedError for what cannot be timed, with the reason on stderr: any other error would cost asv its
    whole table of comparisons.
    """
    try:
        return _prepare(workload_name, method_name, torch.device(device), size)
    except Exception as error:
        reason = f"{method_name} on {workload_name}, {size}: {type(error).__name__}: {error}"
        print(reason, file=sys.stderr)  # noqa: T201
        raise NotImplementedError(reason) from error


def _prepare(workload_name: str, method_name: str, device: torch.device, size: str) -> Callable[[], None]:
    torch.set_num_threads(1)
    dimensions = {k: int(v) for k, v in (part.split("=") for part in size.split())}
    workload, method = harness.workloads()[workload_name], harness.methods()[method_name]
    call = resolve(workload.call)
    tensors = resolve(workload.inputs)(torch.Generator().manual_seed(0), device, torch.float32, **dimensions)
    variables = [t for t in tensors if t.requires_grad]
    built = method.create()

    def once() -> None:
        value = call(built, *tensors)
        if value.requires_grad:
            torch.autograd.grad(value, variables, allow_unused=True)
        if device.type != "cpu":
            torch.cuda.synchronize()

    once()
    begin = time.perf_counter()
    once()
    if (seconds := time.perf_counter() - begin) > SLOW:
        raise TooSlow(f"a call takes {seconds:.3g} s")
    _refuse_wrong(workload, method, dimensions, device)
    return once


class TooSlow(Exception):
    """A call takes too long for a benchmark of commits."""


class Wrong(Exception):
    """The method is wrong on this workload and gets no time."""


def _refuse_wrong(
    workload: harness.Workload, method: harness.Method, size: dict[str, int], device: torch.device
) -> None:
    try:
        from harness_plugins.speed.gate import examine
    except ImportError:
        # A commit from before there was a check.
        return
    reference = harness.methods()[method.reference or method.name]
    for fault in examine(method, workload, size, device, torch.float32, 0, reference):
        if fault.blocks:
            raise Wrong(f"{fault.found} ({fault.inputs})")


class Kernel:
    """The base of the generated classes."""

    workload: str
    method: str
    version = "1"
    timeout = 120
    warmup_time = 0.1
    sample_time = 0.02

    def setup(self, device: str, size: str) -> None:
        """Prepare a call, which is checked."""
        keep_freed_blocks(LEAST_KEPT)
        self._once = prepared(self.workload, self.method, device, size)
        keep_freed_blocks(MOST_KEPT)

    def time_forward_and_backward(self, device: str, size: str) -> None:  # noqa: ARG002  asv's parameters
        """Seconds of one call."""
        self._once()

    def track_peak_memory(self, device: str, size: str) -> int:  # noqa: ARG002
        """Bytes beyond the inputs, forward and backward."""
        keep_freed_blocks(LEAST_KEPT)
        memory = PeakMemory(device)
        memory.start()
        self._once()
        return max(memory.stop() or 0, LEAST_PEAK)

    track_peak_memory.unit = "bytes"  # type: ignore[attr-defined]


def _identifier(text: str) -> str:
    return re.sub(r"\W", "_", text)


def _generate() -> None:
    """``asv continuous main HEAD --bench infonce`` finds a method by its name, ``--bench contrastive`` a workload."""
    for workload in harness.workloads().values():
        for method in harness.methods().values():
            if method.role != workload.role:
                continue
            name = f"{_identifier(workload.name)}__{_identifier(method.name)}"
            members = {
                "workload": workload.name,
                "method": method.name,
                "params": [DEVICES, few_sizes(workload)],
                "param_names": ["device", "size"],
                "__doc__": method.help,
                "__module__": __name__,
            }
            for inherited in ("time_forward_and_backward", "track_peak_memory"):
                members[inherited] = _copy(getattr(Kernel, inherited))
            globals()[name] = type(name, (Kernel,), members)


def _copy(function):  # type: ignore[no-untyped-def]
    """A copy of a function: asv takes benchmarks of one function object for one benchmark."""
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    copy.__dict__.update(function.__dict__)
    copy.__doc__ = function.__doc__
    return copy


_generate()
del Kernel.time_forward_and_backward, Kernel.track_peak_memory
