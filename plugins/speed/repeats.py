"""Whether an input that was seen before is much faster than a new one: a training run never has the same twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from harness.spec import Workload
from harness_plugins.speed.evaluation import Size, draw, synchronise

#: A repeated input is faster by so much only where work is skipped; caches of the processor give less.
SKIPPED = 3.0
#: Calls that are faster than this are too short to tell so.
SHORTEST = 20e-6


def skips_repeated_work(
    call: Callable[..., Any],
    method: Any,
    workload: Workload,
    size: Size,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
) -> str | None:
    """That an input which was just seen is much faster than a new one, in words; None where it is not."""

    def seconds(tensors: Sequence[Tensor]) -> float:
        synchronise(device)
        begin = time.perf_counter()
        value = call(method, *tensors)
        wanted = [t for t in tensors if t.requires_grad]
        if value.requires_grad and wanted:
            torch.autograd.grad(value, wanted, allow_unused=True)
        synchronise(device)
        return time.perf_counter() - begin

    gains: list[float] = []
    for attempt in range(2):
        pairs = []
        for number in range(5):
            tensors = draw(workload.inputs, size, device, dtype, seed + 100 + 10 * attempt + number)
            pairs.append((seconds(tensors), seconds(tensors)))
            if pairs[-1][0] > 1 and number >= 2:
                break
        new, same = (median(times) for times in zip(*pairs, strict=True))
        gains.append(new / same if new > SHORTEST else 1.0)
        # Once may be the machine's doing.
        if gains[-1] < SKIPPED:
            return None
    return f"a repeated input is {min(gains):.0f} times as fast as a new one: its work is skipped"
