"""What one call takes: memory beyond its inputs, and a first idea of its time. Meant for a process that is fresh."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.running.memory import PeakMemory, keep_freed_blocks
from harness.spec import Workload, resolve
from harness_plugins.speed.evaluation import synchronise

#: Freed blocks that are kept, bytes: few enough for memory to be exact, and as many as glibc ever keeps.
LEAST_KEPT, MOST_KEPT = 2**16, 2**25


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call, after one that compiled what there is to compile."""

    #: Most bytes held beyond inputs and what the first call left, forward and backward; gradients count. None where
    #: this system cannot tell.
    peak_bytes: int | None
    #: Seconds: forward alone, without a graph; forward and backward; the first call of the latter.
    forward: float
    both: float
    first: float


def measure_cost(method: Any, workload: Workload, tensors: Sequence[Tensor], slot: str) -> Cost:
    """Cost of a built method on these inputs, from five calls."""
    call = resolve(workload.call)
    wanted = [t for t in tensors if t.requires_grad]

    def both() -> object:
        value = call(method, *tensors)
        return torch.autograd.grad(value, wanted, allow_unused=True) if value.requires_grad and wanted else value

    @torch.no_grad()
    def forward() -> object:
        return call(method, *tensors)

    device = tensors[0].device
    first, _ = _timed(both, device)
    memory = PeakMemory(slot)
    memory.start()
    _, kept = _timed(both, device)
    peak = memory.stop()
    del kept
    # What follows is timed.
    keep_freed_blocks(MOST_KEPT)
    second, _ = _timed(both, device)
    _timed(forward, device)
    third, _ = _timed(forward, device)
    return Cost(peak, third, second, first)


def _timed(work: Callable[[], object], device: torch.device) -> tuple[float, object]:
    synchronise(device)
    begin = time.perf_counter()
    kept = work()
    synchronise(device)
    return time.perf_counter() - begin, kept
