"""Whether an input that was seen before is much faster than a new one: a training run never has the same twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harness_plugins.speed.clock import wall_time
from harness_plugins.speed.inputs import Inputs, differentiable

#: A repeated input is so many times as fast only where work is skipped; caches of the processor give less.
SKIPPED = 3.0
#: Comparisons that all must say so: a busy machine slows down single calls.
ATTEMPTS = 3
#: Seconds of calls that are too short for this comparison.
SHORTEST = 20e-6


def skips_repeated_work(method: Any, inputs: Inputs) -> str | None:
    """In words, that an input is much faster when it was just seen; None where it is not."""
    gains: list[float] = []
    for attempt in range(ATTEMPTS):
        gains.append(_gain(method, inputs, first=100 + 10 * attempt))
        if gains[-1] < SKIPPED:
            return None
    return f"a repeated input is {min(gains):.0f} times as fast as a new one: its work is skipped"


def _gain(method: Any, inputs: Inputs, first: int) -> float:
    """How many times as fast a call is on an input that was just seen."""
    pairs = []
    for number in range(5):
        tensors = inputs.draw(first + number)
        pairs.append((_seconds(method, tensors, inputs), _seconds(method, tensors, inputs)))
        if pairs[-1][0] > 1 and number >= 2:
            break
    # The least, not the median: what other processes take only ever adds to a time.
    new, same = (min(times) for times in zip(*pairs, strict=True))
    return new / same if new > SHORTEST else 1.0


def _seconds(method: Any, tensors: Sequence[Tensor], inputs: Inputs) -> float:
    """The time of one call, forward and backward."""
    call, variables = inputs.call, differentiable(tensors)

    def work() -> None:
        value = call(method, *tensors)
        if value.requires_grad and variables:
            torch.autograd.grad(value, variables, allow_unused=True)

    return wall_time(inputs.device, work)[0]
