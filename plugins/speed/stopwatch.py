"""One method's calls by the clock: each gets other numbers, and what it gives is compared with what it must give."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

from harness.spec import Workload, resolve
from harness_plugins.speed.clock import timed
from harness_plugins.speed.evaluation import Size, draw
from harness_plugins.speed.gate import DRAWS, Bound
from harness_plugins.speed.repeats import SHORTEST

Direction = Literal["forward", "both"]
#: Draws of the inputs that calls go through in turn: those that were examined.
POOL = DRAWS
#: Results while timed may differ from those before by so much, relative: sums in another order, never other work.
STEADY = 1e-3


class Unsteady(Exception):
    """A result while timed was not what the reference or an earlier call gave, or work was skipped."""


class Stopwatch:
    """One method on a workload's inputs. Each call gets other numbers in the same memory before the clock starts."""

    def __init__(
        self, method: Any, workload: Workload, size: Size, device: torch.device, dtype: torch.dtype, seed: int
    ) -> None:
        self.pool = [draw(workload.inputs, size, device, dtype, seed + number) for number in range(POOL)]
        self._setup(method, workload, device)

    def _setup(self, method: Any, workload: Workload, device: torch.device) -> None:
        self._call, self._method, self._device = resolve(workload.call), method, device
        self._turn = 0
        self._inputs = [_own(tensors) for tensors in self.pool]
        self._fits = len({tuple(t.shape for t in s) for s in self.pool}) == 1
        self._expected: dict[tuple[Direction, int], list[float]] = {}

    def rival(self, method: Any, workload: Workload) -> Stopwatch:
        """Another method on the same numbers."""
        made = Stopwatch.__new__(Stopwatch)
        made.pool = self.pool
        made._setup(method, workload, self._device)
        return made

    def prepare(self, direction: Direction, truths: Sequence[Sequence[Bound]] = ()) -> None:
        """Compile, make networks, and note what each of the inputs gives.

        Raises Unsteady if that is not what ``truths`` allow: for each input the value and each gradient's norm.
        """
        for number in range(POOL):
            self._turn = number
            self._timed(direction)
        for number in range(POOL):
            self._turn = number
            _, result = self._timed(direction)
            if self._device.type == "cpu":
                time.sleep(0.001)
            self._expected[direction, number] = found = _prints(result)
            if truths:
                # Forward alone gives no gradients.
                for now, (exact, allowed) in zip(found, truths[number], strict=False):
                    if not abs(now - exact) <= allowed:
                        raise Unsteady(f"before it was timed it gave {now:.6g} where the reference gives {exact:.6g}")

    def seconds(self, direction: Direction) -> float:
        """One call. Raises Unsteady if its result is not the one that this input gave before."""
        turn = self._turn = (self._turn + 1) % POOL
        seconds, result = self._timed(direction)
        for now, then in zip(_prints(result), self._expected[direction, turn], strict=True):
            if not abs(now - then) <= STEADY * abs(then) + 1e-30:
                raise Unsteady(f"while timed it gave {now:.6g} where it gave {then:.6g} before")
        return seconds

    def gain(self, direction: Direction, unseen: Sequence[tuple[Tensor, ...]]) -> float:
        """How many times as fast the inputs of the race are as others, turn and turn about."""
        pairs = [(self._timed(direction, tensors)[0], self.seconds(direction)) for tensors in unseen]
        new, same = (median(times) for times in zip(*pairs, strict=True))
        return new / same if new > SHORTEST else 1.0

    def _timed(
        self, direction: Direction, unseen: tuple[Tensor, ...] | None = None
    ) -> tuple[float, list[Tensor | None]]:
        if unseen is None:
            drawn, tensors = self.pool[self._turn], self._inputs[0 if self._fits else self._turn]
        else:
            drawn = unseen
            fits = [t.shape for t in drawn] == [t.shape for t in self._inputs[0]]
            tensors = self._inputs[0] if fits else _own(drawn)
        for mine, other in zip(tensors, drawn, strict=True):
            mine.data.copy_(other.data)
        wanted = [t for t in tensors if t.requires_grad]
        grad = direction == "both" and bool(wanted)

        def work() -> list[Tensor | None]:
            value = self._call(self._method, *tensors)
            found = torch.autograd.grad(value, wanted, allow_unused=True) if grad and value.requires_grad else ()
            return [value.detach(), *found]

        with torch.set_grad_enabled(grad):
            return timed(self._device, work)


def _own(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(t.detach().clone().requires_grad_(t.requires_grad) for t in tensors)


def _prints(result: Sequence[Tensor | None]) -> list[float]:
    """The value and the gradients' norms, read as soon as a call has returned; no gradient is one of zeros."""
    return [0.0 if t is None else float(t.double().norm()) if t.numel() > 1 else float(t) for t in result]
