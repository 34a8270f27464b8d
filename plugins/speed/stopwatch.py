"""One method's calls by the clock: each gets other numbers, and its result is compared with what it must be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

from harness_plugins.speed.clock import timed
from harness_plugins.speed.comparison import Bound
from harness_plugins.speed.gate import DRAWS
from harness_plugins.speed.inputs import Inputs, differentiable, shapes
from harness_plugins.speed.repeats import SHORTEST

#: "both" is forward and backward.
Direction = Literal["forward", "both"]
#: One draw of the inputs.
Tensors = tuple[Tensor, ...]
#: Calls go through so many draws of the inputs in turn: those that were examined.
POOL = DRAWS
#: Results while timed may differ from those before by so much, relative: sums in another order, never other work.
STEADY = 1e-3


class Unsteady(Exception):
    """A result while timed was not what the reference or an earlier call gave, or work was skipped."""


def draw_pool(inputs: Inputs, first: int = 0) -> list[Tensors]:
    """So many draws as calls go through, from this number on."""
    return [inputs.draw(first + number) for number in range(POOL)]


class Stopwatch:
    """One method on a pool of draws. Before the clock starts each call gets other numbers in the same memory."""

    def __init__(self, method: Any, inputs: Inputs, pool: Sequence[Tensors]) -> None:
        self._call, self._method, self._device = inputs.call, method, inputs.device
        self._pool = pool
        self._turn = 0
        self._tensors = [_copies(tensors) for tensors in pool]
        self._one_memory = all(shapes(tensors) == shapes(pool[0]) for tensors in pool)
        self._expected: dict[tuple[Direction, int], list[float]] = {}

    def prepare(self, direction: Direction, truths: Sequence[Sequence[Bound]] = ()) -> None:
        """Make the first calls, which compile and build networks, and note the result of each draw.

        ``truths`` are, for each draw, the bounds of the value and of each gradient's norm. Raises Unsteady if a
        result is outside.
        """
        for number in range(POOL):
            self._turn = number
            self._timed(direction)
        for number in range(POOL):
            self._turn = number
            _, result = self._timed(direction)
            if self._device.type == "cpu":
                time.sleep(0.001)
            self._expected[direction, number] = norms = _norms(result)
            if truths:
                # Forward alone gives no gradients.
                for norm, (exact, allowed) in zip(norms, truths[number], strict=False):
                    if not abs(norm - exact) <= allowed:
                        raise Unsteady(f"before it was timed it gave {norm:.6g} where the reference gives {exact:.6g}")

    def seconds(self, direction: Direction) -> float:
        """The time of one call. Raises Unsteady if its result is not what the same draw gave before."""
        turn = self._turn = (self._turn + 1) % POOL
        seconds, result = self._timed(direction)
        for now, then in zip(_norms(result), self._expected[direction, turn], strict=True):
            if not abs(now - then) <= STEADY * abs(then) + 1e-30:
                raise Unsteady(f"while timed it gave {now:.6g} where it gave {then:.6g} before")
        return seconds

    def gain(self, direction: Direction, unseen: Sequence[Tensors]) -> float:
        """How many times as fast the draws of the pool are as unseen ones; both take turns."""
        pairs = [(self._timed(direction, tensors)[0], self.seconds(direction)) for tensors in unseen]
        new, same = (median(times) for times in zip(*pairs, strict=True))
        return new / same if new > SHORTEST else 1.0

    def _timed(self, direction: Direction, unseen: Tensors | None = None) -> tuple[float, list[Tensor | None]]:
        if unseen is None:
            numbers, tensors = self._pool[self._turn], self._tensors[0 if self._one_memory else self._turn]
        else:
            numbers = unseen
            tensors = self._tensors[0] if shapes(unseen) == shapes(self._tensors[0]) else _copies(unseen)
        for tensor, source in zip(tensors, numbers, strict=True):
            tensor.data.copy_(source.data)
        variables = differentiable(tensors)
        backward = direction == "both" and bool(variables)

        def work() -> list[Tensor | None]:
            value = self._call(self._method, *tensors)
            if not backward or not value.requires_grad:
                return [value.detach()]
            return [value.detach(), *torch.autograd.grad(value, variables, allow_unused=True)]

        with torch.set_grad_enabled(backward):
            return timed(self._device, work)


def _copies(tensors: Sequence[Tensor]) -> Tensors:
    return tuple(t.detach().clone().requires_grad_(t.requires_grad) for t in tensors)


def _norms(result: Sequence[Tensor | None]) -> list[float]:
    """The value and the gradients' norms, read as soon as a call has returned; a missing gradient is one of zeros."""
    return [0.0 if t is None else float(t.double().norm()) if t.numel() > 1 else float(t) for t in result]
