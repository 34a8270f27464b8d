"""How long methods take, side by side; a method that fails or cheats while it is timed is dropped."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.running.execute import explain
from harness.running.memory import ran_out
from harness_plugins.speed.blocks import Blocks, interleave
from harness_plugins.speed.comparison import Bound
from harness_plugins.speed.inputs import Inputs
from harness_plugins.speed.ratios import no_difference
from harness_plugins.speed.repeats import SKIPPED
from harness_plugins.speed.stopwatch import POOL, Direction, Stopwatch, Unsteady, draw_pool

#: The name under which the control, a second copy of one method, takes part.
_CONTROL = ""


@dataclass(frozen=True)
class Race:
    """Built methods that are timed side by side on the same inputs."""

    methods: Mapping[str, Any]
    #: Which of them takes part a second time, as the control, and its second copy.
    controlled: str
    copy: Any
    inputs: Inputs
    direction: Direction
    #: Seconds of blocks for each method, about.
    budget: float
    #: What each method must give (``gate.Examined.truths``), where that is known.
    truths: Mapping[str, Sequence[Sequence[Bound]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a method has no time after all."""

    status: Literal["wrong", "raised", "memory"]
    #: One sentence.
    cause: str


@dataclass(frozen=True, slots=True)
class Times:
    """What a race took."""

    #: Seconds per call in each block, by method; empty where the controlled method was dropped.
    blocks: Blocks
    #: Those of the control.
    control: Sequence[float]
    #: Methods that were dropped while timed, with the reason.
    dropped: Mapping[str, Dropped]


def time_methods(race: Race, started: Callable[[str], None] = lambda name: None) -> Times:
    """The interleaved blocks of all methods and of the control.

    ``started`` is called with the name of the method whose calls are next: where the process ends, it was the cause.
    """
    timing = _Timing(race, started)
    timing.prepare()
    gc.collect()
    gc.disable()
    try:
        blocks = timing.blocks()
        timing.drop_skipping(name for name in blocks if name != _CONTROL)
    finally:
        gc.enable()
    return timing.times(blocks)


class _Timing:
    def __init__(self, race: Race, started: Callable[[str], None]) -> None:
        self.race = race
        self._started = started
        self.dropped: dict[str, Dropped] = {}
        pool = draw_pool(race.inputs)
        contestants = {_CONTROL: race.copy, **race.methods}
        self.watches = {name: Stopwatch(method, race.inputs, pool) for name, method in contestants.items()}

    def prepare(self) -> None:
        for name, watch in self.watches.items():
            self.started(name)
            try:
                watch.prepare(self.race.direction, self.race.truths.get(name or self.race.controlled, ()))
            except Exception as error:  # noqa: BLE001  a method may fail in any way, and costs itself alone
                self.dropped[name] = _reason(error)

    def blocks(self) -> Blocks:
        """Blocks of all that are left, repeated without a method that fails or whose result changes meanwhile."""
        race = self.race
        while not {_CONTROL, race.controlled} & self.dropped.keys():
            contestants = {name: self._contestant(name) for name in self.watches if name not in self.dropped}

            def settled(blocks: Blocks) -> bool:
                return no_difference(blocks[race.controlled], blocks[_CONTROL])

            budget = race.budget * len(contestants)
            try:
                return interleave(contestants, budget, settled, race.inputs.seed, self.started)
            except _Stopped as stopped:
                self.dropped[stopped.name] = stopped.reason
        return {}

    def drop_skipping(self, names: Iterable[str]) -> None:
        """Drop methods that unseen inputs slow down.

        The race's inputs have come round many times by now: whatever a method stored of them, and from whichever call
        on, is in use.
        """
        race = self.race
        suspects = dict.fromkeys(names, 0.0)
        # Once may be the machine's doing.
        for attempt in range(2):
            unseen = draw_pool(race.inputs, first=1000 + attempt * POOL) if suspects else []
            gains = {}
            for name in suspects:
                self.started(name)
                try:
                    gains[name] = self.watches[name].gain(race.direction, unseen)
                except Exception as error:  # noqa: BLE001  as above
                    self.dropped[name] = _reason(error)
            suspects = {name: gain for name, gain in gains.items() if gain >= SKIPPED}
        for name, gain in suspects.items():
            cause = f"inputs of the race are {gain:.0f} times as fast as new ones: its work is skipped"
            self.dropped[name] = Dropped("wrong", cause)

    def times(self, blocks: Blocks) -> Times:
        """The blocks without those of dropped methods; none where there is no control."""
        controlled, dropped = self.race.controlled, dict(self.dropped)
        if _CONTROL in dropped:
            # The control is the same method.
            dropped[controlled] = dropped.pop(_CONTROL)
        if controlled in dropped:
            return Times({}, (), dropped)
        remaining = {name: seconds for name, seconds in blocks.items() if name not in dropped and name != _CONTROL}
        return Times(remaining, blocks[_CONTROL], dropped)

    def started(self, name: str) -> None:
        self._started(name or self.race.controlled)

    def _contestant(self, name: str) -> Callable[[], float]:
        watch = self.watches[name]

        def call() -> float:
            try:
                return watch.seconds(self.race.direction)
            except Exception as error:
                raise _Stopped(name, _reason(error)) from error

        return call


class _Stopped(Exception):
    """A method failed in the middle of the blocks."""

    def __init__(self, name: str, reason: Dropped) -> None:
        self.name, self.reason = name, reason


def _reason(error: Exception) -> Dropped:
    if isinstance(error, Unsteady):
        return Dropped("wrong", str(error))
    if place := ran_out(error):
        return Dropped("memory", f"while timed: {place}")
    return Dropped("raised", f"while timed: {explain(error)}")
