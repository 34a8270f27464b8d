"""How long it takes: contestants run in interleaved blocks, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

from harness.execute import explain
from harness.judge.intervals import Interval, position, t_interval
from harness.spec import Workload, resolve
from harness_plugins.speed.gate import Size, draw, synchronise

Direction = Literal["forward", "both"]
#: Fewest and most blocks; how much a block takes at least, seconds; most calls in one.
LEAST_BLOCKS, MOST_BLOCKS = 7, 40
BLOCK_SECONDS, BLOCK_CALLS = 0.002, 25
#: Draws of the inputs that calls go through in turn.
POOL = 3
#: The same method twice must come out within this factor, or the machine is too noisy to judge.
SAME = 1.05
#: Results while timed may differ from those before by so much, relative: sums in another order, never other work.
STEADY = 1e-3


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as something else: estimate and 90 % interval, from paired blocks on the log scale."""

    times: float
    low: float
    high: float

    @property
    def told(self) -> str:
        """faster, slower, or neither."""
        return "faster" if self.low > 1 else "slower" if self.high < 1 else "no difference"


def ratio(baseline: Sequence[float], mine: Sequence[float]) -> Ratio:
    """From seconds of the same blocks; the interval is the judge's, of the mean log ratio.

    >>> ratio([2.0, 2.2, 1.8], [1.0, 1.1, 0.9])
    Ratio(times=2.0, low=2.0, high=2.0)
    """
    found = _log_ratio(baseline, mine)
    return Ratio(*(round(math.exp(x), 12) for x in (found.mean, found.low, found.high)))


def _log_ratio(baseline: Sequence[float], mine: Sequence[float]) -> Interval:
    logs = [math.log(b / m) for b, m in zip(baseline, mine, strict=True)]
    return t_interval(logs, scale=max(1.0, *map(abs, logs)))


def no_difference(baseline: Sequence[float], again: Sequence[float]) -> bool:
    """Whether the same thing twice comes out as the same: its interval lies within 5 %.

    >>> no_difference([1.0, 1.01, 0.99], [1.0, 1.0, 1.0]), no_difference([1.0, 2.0, 1.0], [1.0, 1.0, 1.0])
    (True, False)
    """
    return position(_log_ratio(baseline, again), (-math.log(SAME), math.log(SAME))) == "inside"


def interleave(
    contestants: Mapping[str, Callable[[], float]],
    budget: float,
    settled: Callable[[Mapping[str, Sequence[float]]], bool] = lambda blocks: True,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Seconds per call of each contestant in each block. A contestant is called and gives its seconds.

    In a block each comes once, in random order, with as many calls as make a few milliseconds; what counts of them
    is the median. ``budget`` in seconds decides how many blocks there are; twice as many where that does
    not settle it.
    """
    order = random.Random(seed)
    first = {name: min(call(), call()) for name, call in contestants.items()}
    calls = {name: min(BLOCK_CALLS, math.ceil(BLOCK_SECONDS / seconds)) for name, seconds in first.items()}
    each = sum(calls[name] * seconds for name, seconds in first.items())
    blocks: dict[str, list[float]] = {name: [] for name in contestants}
    for stage in (1, 2):
        count = stage * min(MOST_BLOCKS, max(LEAST_BLOCKS, round(budget / each)))
        while len(next(iter(blocks.values()))) < count:
            names = list(contestants)
            order.shuffle(names)
            for name in names:
                blocks[name].append(median(contestants[name]() for _ in range(calls[name])))
        if settled(blocks):
            break
    return blocks


class Unsteady(Exception):
    """A result while timed was another one than before: work was skipped or left running."""


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
        self._inputs = [tuple(t.detach().clone().requires_grad_(t.requires_grad) for t in s) for s in self.pool]
        self._fits = len({tuple(t.shape for t in s) for s in self.pool}) == 1
        self._expected: dict[tuple[Direction, int], list[float]] = {}

    def rival(self, method: Any, workload: Workload) -> Stopwatch:
        """Another method on the same numbers."""
        made = Stopwatch.__new__(Stopwatch)
        made.pool = self.pool
        made._setup(method, workload, self._device)
        return made

    def prepare(self, direction: Direction) -> None:
        """Compile, make networks, and note what each of the inputs gives."""
        for number in range(POOL):
            self._turn = number
            self._timed(direction)
        for number in range(POOL):
            self._turn = number
            _, result = self._timed(direction)
            if self._device.type == "cpu":
                time.sleep(0.001)
            self._expected[direction, number] = _prints(result)

    def seconds(self, direction: Direction) -> float:
        """One call. Raises Unsteady if its result is not the one that this input gave before."""
        turn = self._turn = (self._turn + 1) % POOL
        seconds, result = self._timed(direction)
        for now, then in zip(_prints(result), self._expected[direction, turn], strict=True):
            if not abs(now - then) <= STEADY * abs(then) + 1e-30:
                raise Unsteady(f"while timed it gave {now:.6g} where it gave {then:.6g} before")
        return seconds

    def _timed(self, direction: Direction) -> tuple[float, list[Tensor]]:
        tensors = self._inputs[0 if self._fits else self._turn]
        for mine, drawn in zip(tensors, self.pool[self._turn], strict=True):
            mine.data.copy_(drawn.data)
        wanted = [t for t in tensors if t.requires_grad]
        grad = direction == "both" and bool(wanted)
        synchronise(self._device)
        with torch.set_grad_enabled(grad):
            begin = time.perf_counter()
            value = self._call(self._method, *tensors)
            found = torch.autograd.grad(value, wanted, allow_unused=True) if grad and value.requires_grad else ()
            synchronise(self._device)
            seconds = time.perf_counter() - begin
        return seconds, [value.detach(), *(g for g in found if g is not None)]


def _prints(result: Sequence[Tensor]) -> list[float]:
    """The value and the gradients' norms, read as soon as a call has returned."""
    return [float(t.double().norm()) if t.numel() > 1 else float(t) for t in result]


@dataclass(frozen=True, slots=True)
class Times:
    """What one direction took at one size."""

    #: Seconds per call in each block, by method.
    blocks: Mapping[str, Sequence[float]]
    #: Those of the same method a second time.
    control: Sequence[float]
    #: Which method that was.
    controlled: str
    #: Methods that were dropped while timed, with the reason.
    dropped: Mapping[str, str]


def time_methods(
    built: Mapping[str, Any],
    twin: Any,
    controlled: str,
    workload: Workload,
    size: Size,
    device: torch.device,
    dtype: torch.dtype,
    direction: Direction,
    budget: float,
    seed: int,
) -> Times:
    """Interleaved blocks of all methods, with ``twin``, a second copy of the one named ``controlled``, among them."""
    first = Stopwatch(twin, workload, size, device, dtype, seed)
    watches = {"": first, **{name: first.rival(method, workload) for name, method in built.items()}}
    dropped: dict[str, str] = {}
    for name, watch in watches.items():
        try:
            watch.prepare(direction)
        except Exception as error:  # noqa: BLE001  a method may fail in any way, and costs itself alone
            dropped[name] = explain(error)
    gc.collect()
    gc.disable()
    try:
        return _raced(watches, controlled, direction, budget, dropped, seed)
    finally:
        gc.enable()


def _raced(
    watches: Mapping[str, Stopwatch],
    controlled: str,
    direction: Direction,
    budget: float,
    dropped: dict[str, str],
    seed: int,
) -> Times:
    """Blocks of all that are left, again without one whose result did not stay the same."""
    while not {"", controlled} & dropped.keys():
        running = {name: _running(name, watch, direction) for name, watch in watches.items() if name not in dropped}
        try:
            blocks = interleave(running, budget * len(running), lambda b: no_difference(b[controlled], b[""]), seed)
        except _Dropped as error:
            dropped[error.name] = error.why
        else:
            return Times({n: b for n, b in blocks.items() if n}, blocks[""], controlled, dropped)
    # Its twin is the same method.
    why = dropped.pop("", "") or dropped[controlled]
    return Times({}, (), controlled, {controlled: why, **dropped})


class _Dropped(Exception):
    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why


def _running(name: str, watch: Stopwatch, direction: Direction) -> Callable[[], float]:
    def run() -> float:
        try:
            return watch.seconds(direction)
        except Unsteady as error:
            raise _Dropped(name, str(error)) from error

    return run
