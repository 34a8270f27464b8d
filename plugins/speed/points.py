"""What was measured: a row for each method at one size, the controls, and the size as a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from harness.spec import Workload
from harness_plugins.speed.comparison import Bound, Fault
from harness_plugins.speed.conditions import Conditions
from harness_plugins.speed.machine import Rates
from harness_plugins.speed.own_process import Failure
from harness_plugins.speed.peak import Cost
from harness_plugins.speed.ratios import Ratio
from harness_plugins.speed.stopwatch import Direction

#: What became of a method at a size. "timed": in interleaved blocks. "one-call": right, but too slow for blocks.
Status = Literal["timed", "one-call", "wrong", "memory", "time", "crashed", "raised", "not-installed", "refused"]


@dataclass(frozen=True, slots=True)
class Machine:
    """One device with one number of threads, and what it can do."""

    device: str
    threads: int
    rates: Rates | Failure


@dataclass(frozen=True)
class Row:
    """One method at one size."""

    method: str
    status: Status
    #: Why it has no time, or no interval, in one sentence.
    cause: str = ""
    faults: tuple[Fault, ...] = ()
    #: The method whose float64 result it was checked against.
    reference: str = ""
    #: What a call without weights must return on each draw, by that method.
    truths: tuple[tuple[Bound, ...], ...] = ()
    cost: Cost | None = None
    #: Seconds per call of each block, by direction.
    blocks: Mapping[Direction, Sequence[float]] = field(default_factory=dict)
    #: Times as fast as the baseline, by direction; without an interval where either has one call only.
    ratios: Mapping[Direction, Ratio] = field(default_factory=dict)

    def seconds(self, direction: Direction) -> float | None:
        """The median block, or the one call; None where it has no time."""
        if direction in self.blocks:
            return median(self.blocks[direction])
        if self.status == "one-call" and self.cost is not None:
            return self.cost.both if direction == "both" else self.cost.forward
        return None


@dataclass(frozen=True)
class Control:
    """The same method twice, at one size and direction."""

    method: str
    ratio: Ratio
    #: Whether that came out as no difference.
    same: bool


@dataclass(frozen=True)
class Point:
    """All methods at one size."""

    conditions: Conditions
    workload: Workload
    baseline: str
    rows: tuple[Row, ...]
    controls: Mapping[Direction, Control] = field(default_factory=dict)

    def ranked(self, row: Row) -> float | None:
        """The seconds that a row is ranked by; None where it has no time or is wrong."""
        return None if row.status == "wrong" else row.seconds(self.conditions.directions[-1])

    @property
    def noisy(self) -> tuple[Direction, ...]:
        """Directions in which the machine was too noisy to judge."""
        return tuple(direction for direction, control in self.controls.items() if not control.same)
