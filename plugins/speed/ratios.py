"""How many times as fast: from paired blocks, by the rule of the verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.judge.intervals import Interval, position, t_interval

#: The same method twice must come out within this factor, or the machine is too noisy to judge.
SAME = 1.05


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as something else: estimate and 90 % interval, from paired blocks on the log scale."""

    times: float
    low: float
    high: float

    @property
    def outcome(self) -> Literal["faster", "slower", "no difference"]:
        """What the interval says."""
        return "faster" if self.low > 1 else "slower" if self.high < 1 else "no difference"


def ratio(baseline: Sequence[float], method: Sequence[float]) -> Ratio:
    """From seconds of the same blocks; the interval is the judge's, of the mean log ratio.

    >>> ratio([2.0, 2.2, 1.8], [1.0, 1.1, 0.9])
    Ratio(times=2.0, low=2.0, high=2.0)
    """
    interval = _log_ratio(baseline, method)
    return Ratio(*(round(math.exp(x), 12) for x in (interval.mean, interval.low, interval.high)))


def no_difference(baseline: Sequence[float], again: Sequence[float]) -> bool:
    """Whether the same method twice comes out as the same: the interval lies within 5 %.

    >>> no_difference([1.0, 1.01, 0.99], [1.0, 1.0, 1.0]), no_difference([1.0, 2.0, 1.0], [1.0, 1.0, 1.0])
    (True, False)
    """
    return position(_log_ratio(baseline, again), (-math.log(SAME), math.log(SAME))) == "inside"


def _log_ratio(baseline: Sequence[float], method: Sequence[float]) -> Interval:
    logs = [math.log(b / m) for b, m in zip(baseline, method, strict=True)]
    return t_interval(logs, scale=max(1.0, *map(abs, logs)))
