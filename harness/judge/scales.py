"""The scale of a verdict: the claim's own unit and direction, so that every view shows the same number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.files.claims import Equal, Greater, Holds, Ratio, Reaches
from harness.judge.intervals import Region
from harness.judge.pairing import AnyTest

#: What the numbers of a verdict are: A - B, positive where it speaks for the claim; the difference of that between two
#: settings; the metric itself beside a printed number; A / B, how many times as good; a count of violations.
Kind = Literal["difference", "gap", "value", "times", "count"]


@dataclass(frozen=True, slots=True)
class Scale:
    """From the numbers that are judged, which are positive in the method's favour, to those that people read."""

    kind: Kind
    #: What the claim speaks of, among the numbers that are judged.
    region: Region
    #: Among those that are shown.
    shown: Callable[[float], float]
    #: The other way round: from a number that is shown to the one that is judged.
    judged: Callable[[float], float] = float
    #: Whether a larger judged number is shown as a smaller one.
    falls: bool = False

    def between(self, low: float, high: float) -> tuple[float, float]:
        """An interval or a region as it is shown."""
        first, second = self.shown(low), self.shown(high)
        return (second, first) if self.falls else (first, second)


def scale_of(test: AnyTest, sign: int) -> Scale:
    """The scale of a test on a metric; ``sign`` is -1 where lower is better."""
    printed: float | None = getattr(test, "value", None)
    if isinstance(test, Holds):
        return Scale("count", (0.0, 0.0), float)
    if isinstance(test, Ratio):
        return Scale("times", (math.log(test.by), math.inf), _exp, _log)
    if isinstance(test, Equal):
        return Scale("difference", (-test.tol, test.tol), float)
    region = (-test.tol, test.tol) if isinstance(test, Reaches) else (test.by, math.inf)
    if printed is not None:
        value: float = printed
        return Scale("value", region, lambda judged: value + sign * judged, lambda x: sign * (x - value), sign < 0)
    gap = isinstance(test, Greater) and test.gap_than_where is not None
    return Scale("gap" if gap else "difference", region, float)


def printed_runs(test: AnyTest) -> float:
    """Of how many runs the printed number is the mean; infinite where there is none, or none of chance."""
    return test.value_runs if isinstance(test, Reaches) and test.value_runs != "exact" else math.inf


def _log(shown: float) -> float:
    """The logarithm; minus infinity of 0, to which a small quotient is rounded."""
    return math.log(shown) if shown > 0 else -math.inf


def _exp(judged: float) -> float:
    """e to this power, infinite where that is no double."""
    try:
        return math.exp(judged)
    except OverflowError:
        return math.inf
