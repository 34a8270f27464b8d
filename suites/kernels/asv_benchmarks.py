"""asv's benchmarks, made from the registry: a class for each workload and method, other people's plugins' too.

This file is the working tree's while the packages are a commit's, which may be older: what it does not have is skipped.
Sizes are the smallest and the middle one of each dimension; ``harness bench`` has all. One thread: more make
times noisier.
"""

from __future__ import annotations

import itertools
import re
import sys
import time

import torch

import harness
from harness.memory import PeakMemory
from harness.spec import resolve

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
#: Methods that take longer for one call, in seconds, are skipped.
SLOW = 2.0
#: Peaks below this, in bytes, are shown as this: what the allocator rounds is no regression.
LEAST_PEAK = 4_000_000


def few_sizes(workload: harness.Workload) -> list[str]:
    """Sizes as asv shows them: ``batch=256 dimension=128``."""
    few = [dict.fromkeys((values[0], values[len(values) // 2])) for values in workload.sizes.values()]
    return [
        " ".join(f"{k}={v}" for k, v in zip(workload.sizes, values, strict=True)) for values in itertools.product(*few)
    ]


class Kernel:
    """What the generated classes share. asv takes no benchmark from it, since its name says so."""

    workload: str
    method: str
    version = "1"
    timeout = 120
    # One draw of the inputs serves all calls of a process.
    number = 0
    warmup_time = 0.1
    sample_time = 0.02

    def setup(self, device: str, size: str) -> None:
        """Inputs, and a method that is right on them. What cannot be timed is skipped, with the reason on stderr."""
        torch.set_num_threads(1)
        dimensions = {k: int(v) for k, v in (part.split("=") for part in size.split())}
        try:
            workload, method = harness.workloads()[self.workload], harness.methods()[self.method]
            self._call, self._slot = resolve(workload.call), device
            self._tensors = resolve(workload.inputs)(
                torch.Generator().manual_seed(0), torch.device(device), torch.float32, **dimensions
            )
            self._wanted = [t for t in self._tensors if t.requires_grad]
            self._built = method.create()
            self._once()
            begin = time.perf_counter()
            self._once()
            _refuse_slow(time.perf_counter() - begin)
            _refuse_wrong(workload, method, dimensions, device)
        except NotImplementedError:
            raise
        except Exception as error:
            # Anything else would cost asv its whole table of comparisons.
            print(f"{self.method} on {self.workload}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
            raise NotImplementedError(str(error)) from error

    def _once(self) -> None:
        value = self._call(self._built, *self._tensors)
        if value.requires_grad:
            torch.autograd.grad(value, self._wanted, allow_unused=True)
        if self._slot != "cpu":
            torch.cuda.synchronize()

    def time_forward_and_backward(self, device: str, size: str) -> None:  # noqa: ARG002  asv's parameters
        """Seconds of one call."""
        self._once()

    def track_peak_memory(self, device: str, size: str) -> int:  # noqa: ARG002
        """Bytes beyond the inputs, forward and backward."""
        memory = PeakMemory(device)
        memory.start()
        self._once()
        return max(memory.stop() or 0, LEAST_PEAK)

    track_peak_memory.unit = "bytes"  # type: ignore[attr-defined]


def _refuse_slow(seconds: float) -> None:
    if seconds > SLOW:
        raise NotImplementedError(f"a call takes {seconds:.3g} s")


_checked: set[tuple[str, str, str]] = set()


def _refuse_wrong(workload: harness.Workload, method: harness.Method, size: dict[str, int], device: str) -> None:
    """Raise NotImplementedError for a method that is not right here. A commit without the check has none."""
    key = (workload.name, method.name, f"{size}{device}")
    try:
        from harness_plugins.speed.gate import examine_all
    except ImportError:
        return
    if key in _checked:
        return
    reference = harness.methods()[method.reference or method.name]
    place = (torch.device(device), torch.float32, 0)
    found = examine_all([method], workload, size, *place, reference)[method.name]
    wrong = [fault for fault in found if fault.blocks]
    if wrong:
        print(f"{method.name} on {workload.name} is wrong: {wrong[0].found}", file=sys.stderr)  # noqa: T201
        raise NotImplementedError(wrong[0].found)
    _checked.add(key)


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
                members[inherited] = _own(getattr(Kernel, inherited))
            globals()[name] = type(name, (Kernel,), members)


def _own(function):  # type: ignore[no-untyped-def]
    """A copy: asv tells benchmarks of one function object apart by nothing."""
    import types

    made = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    made.__dict__.update(function.__dict__)
    made.__doc__ = function.__doc__
    return made


_generate()
del Kernel.time_forward_and_backward, Kernel.track_peak_memory
