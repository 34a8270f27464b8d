"""What one call takes: memory beyond its inputs, and a first estimate of its time. Meant for a fresh process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.running.memory import PeakMemory, keep_freed_blocks
from harness_plugins.speed.clock import wall_time
from harness_plugins.speed.inputs import differentiable

#: Freed blocks that the process keeps, bytes: few enough for exact memory, and as many as glibc ever keeps.
LEAST_KEPT, MOST_KEPT = 2**16, 2**25


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call, after one that compiled what there is to compile."""

    #: Most bytes held beyond the inputs and what the first call left, forward and backward; gradients count. None
    #: where this system cannot tell.
    peak_bytes: int | None
    #: Seconds: forward alone, without a graph; forward and backward; the first call of the latter.
    forward: float
    both: float
    first: float


def measure_cost(method: Any, call: Callable[..., Any], tensors: Sequence[Tensor], slot: str) -> Cost:
    """The cost of ``call(method, *tensors)``, from five calls."""
    device, variables = tensors[0].device, differentiable(tensors)

    def both() -> object:
        value = call(method, *tensors)
        return torch.autograd.grad(value, variables, allow_unused=True) if value.requires_grad and variables else value

    @torch.no_grad()
    def forward() -> object:
        return call(method, *tensors)

    first, _ = wall_time(device, both)
    memory = PeakMemory(slot)
    memory.start()
    _, result = wall_time(device, both)
    peak = memory.stop()
    del result
    # The following calls are timed.
    keep_freed_blocks(MOST_KEPT)
    second, _ = wall_time(device, both)
    wall_time(device, forward)
    third, _ = wall_time(device, forward)
    return Cost(peak, third, second, first)
