"""How long it takes: contestants run in interleaved blocks, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import torch

from harness.judge.intervals import Interval, position, t_interval
from harness.running.execute import explain
from harness.running.memory import ran_out
from harness.spec import Workload
from harness_plugins.speed.evaluation import Size, draw
from harness_plugins.speed.gate import Bound
from harness_plugins.speed.repeats import SKIPPED
from harness_plugins.speed.stopwatch import POOL, Direction, Stopwatch, Unsteady

#: Fewest and most blocks; how much a block takes at least, seconds; most calls in one.
LEAST_BLOCKS, MOST_BLOCKS = 7, 40
BLOCK_SECONDS, BLOCK_CALLS = 0.002, 25
#: The same method twice must come out within this factor, or the machine is too noisy to judge.
SAME = 1.05


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
    began: Callable[[str], None] = lambda name: None,
) -> dict[str, list[float]]:
    """Seconds per call of each contestant in each block. A contestant is called and gives its seconds.

    In a block each comes once, in random order, with as many calls as make a few milliseconds; what counts of them
    is the median. Where these are several, one more goes before them that does not count: a call of microseconds would
    pay for what a slow rival left in the caches. ``budget`` in seconds decides how many blocks there are; twice as
    many where that does not settle it. ``began`` is told whose calls are next.
    """
    order = random.Random(seed)
    first = {}
    for name, call in contestants.items():
        began(name)
        first[name] = min(call(), call())
    calls = {name: min(BLOCK_CALLS, math.ceil(BLOCK_SECONDS / seconds)) for name, seconds in first.items()}
    each = sum(calls[name] * seconds for name, seconds in first.items())
    blocks: dict[str, list[float]] = {name: [] for name in contestants}
    for stage in (1, 2):
        count = stage * min(MOST_BLOCKS, max(LEAST_BLOCKS, round(budget / each)))
        while len(next(iter(blocks.values()))) < count:
            names = list(contestants)
            order.shuffle(names)
            for name in names:
                began(name)
                if calls[name] > 1:
                    contestants[name]()
                blocks[name].append(median(contestants[name]() for _ in range(calls[name])))
        if settled(blocks):
            break
    return blocks


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a method has no time after all."""

    status: Literal["wrong", "raised", "memory"]
    #: One sentence.
    cause: str


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
    dropped: Mapping[str, Dropped]


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
    truths: Mapping[str, Sequence[Sequence[Bound]]] | None = None,
    began: Callable[[str], None] = lambda name: None,
) -> Times:
    """Interleaved blocks of all methods, with ``twin``, a second copy of the one named ``controlled``, among them.

    ``truths`` are those of the check (gate.Examined) for each method. ``began`` is told whose calls are next: where
    the process ends, that was the cause.
    """
    first = Stopwatch(twin, workload, size, device, dtype, seed)
    watches = {"": first, **{name: first.rival(method, workload) for name, method in built.items()}}
    known = truths or {}
    dropped: dict[str, Dropped] = {}

    def tell(name: str) -> None:
        began(name or controlled)

    for name, watch in watches.items():
        tell(name)
        try:
            watch.prepare(direction, known.get(name or controlled, ()))
        except Exception as error:  # noqa: BLE001  a method may fail in any way, and costs itself alone
            dropped[name] = _why(error)
    gc.collect()
    gc.disable()
    try:
        times = _raced(watches, controlled, direction, budget, dropped, seed, tell)
        return _without_memory_of_inputs(times, watches, workload, size, (device, dtype), direction, seed, tell)
    finally:
        gc.enable()


def _raced(
    watches: Mapping[str, Stopwatch],
    controlled: str,
    direction: Direction,
    budget: float,
    dropped: dict[str, Dropped],
    seed: int,
    tell: Callable[[str], None],
) -> Times:
    """Blocks of all that are left, again without one that failed or whose result did not stay the same."""
    while not {"", controlled} & dropped.keys():
        running = {name: _running(name, watch, direction) for name, watch in watches.items() if name not in dropped}

        def settled(blocks: Mapping[str, Sequence[float]]) -> bool:
            return no_difference(blocks[controlled], blocks[""])

        try:
            blocks = interleave(running, budget * len(running), settled, seed, tell)
        except _Stopped as stopped:
            dropped[stopped.name] = stopped.why
        else:
            return Times({n: b for n, b in blocks.items() if n}, blocks[""], controlled, dropped)
    # Its twin is the same method.
    why = dropped.pop("", None) or dropped[controlled]
    return Times({}, (), controlled, {**dropped, controlled: why})


def _without_memory_of_inputs(
    times: Times,
    watches: Mapping[str, Stopwatch],
    workload: Workload,
    size: Size,
    place: tuple[torch.device, torch.dtype],
    direction: Direction,
    seed: int,
    tell: Callable[[str], None],
) -> Times:
    """The times less those of methods that inputs never seen before slow down.

    The race's inputs have come round many times by now: whatever was kept of them, and from whichever time on, is
    in use.
    """
    dropped: dict[str, Dropped] = dict(times.dropped)
    suspects = dict.fromkeys(times.blocks, 0.0)
    # Once may be the machine's doing.
    for attempt in range(2):
        first = seed + 1000 + attempt * POOL
        unseen = [draw(workload.inputs, size, *place, first + number) for number in range(POOL)] if suspects else []
        gains = {}
        for name in suspects:
            tell(name)
            try:
                gains[name] = watches[name].gain(direction, unseen)
            except Exception as error:  # noqa: BLE001  as above
                dropped[name] = _why(error)
        suspects = {name: gain for name, gain in gains.items() if gain >= SKIPPED}
    for name, gain in suspects.items():
        told = f"inputs of the race are {gain:.0f} times as fast as new ones: its work is skipped"
        dropped[name] = Dropped("wrong", told)
    blocks = {name: found for name, found in times.blocks.items() if name not in dropped}
    if times.controlled in dropped:
        return Times({}, (), times.controlled, dropped)
    return Times(blocks, times.control, times.controlled, dropped)


class _Stopped(Exception):
    def __init__(self, name: str, why: Dropped) -> None:
        self.name, self.why = name, why


def _why(error: Exception) -> Dropped:
    if isinstance(error, Unsteady):
        return Dropped("wrong", str(error))
    if place := ran_out(error):
        return Dropped("memory", f"while timed: {place}")
    return Dropped("raised", f"while timed: {explain(error)}")


def _running(name: str, watch: Stopwatch, direction: Direction) -> Callable[[], float]:
    def run() -> float:
        try:
            return watch.seconds(direction)
        except Exception as error:
            raise _Stopped(name, _why(error)) from error

    return run
