"""Looks: at how many seeds a claim is judged, and at which level, so that all looks together err at most at 5 %."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.judge.intervals import Interval, Region, distance

#: One-sided error of all looks at a claim together.
ALPHA = 0.05
#: The share of it that the first look spends: most commands end there.
_FIRST = 0.7
#: The power that a claim should have before it is worth running more seeds for it.
_POWER = 0.8


@dataclass(frozen=True, slots=True)
class Look:
    """One planned look at the records."""

    seeds: int
    #: One-sided level that a decision at this look needs.
    level: float


def planned(looks: Sequence[int]) -> tuple[Look, ...]:
    """The looks with their levels: 0.035 at the first, 0.015 shared equally among the others.

    The levels add up to 0.05. So the looks err together in at most 5 % of the cases however they depend on each
    other, and in at most 5 % / m where Holm divides each level by m: sharper levels that use the dependence
    (0.0083 at each later look) err by a tenth more than they say once they are divided.

    >>> [(look.seeds, round(look.level, 4)) for look in planned((5, 10, 20, 40))]
    [(5, 0.035), (10, 0.005), (20, 0.005), (40, 0.005)]
    >>> planned((10,))
    (Look(seeds=10, level=0.05),)
    """
    first, *later = looks
    if not later:
        return (Look(first, ALPHA),)
    spent = _FIRST * ALPHA
    return (Look(first, spent), *(Look(n, (ALPHA - spent) / len(later)) for n in later))


def seeds_that_would_do(interval: Interval, region: Region, later: Sequence[Look], runs: float = math.inf) -> str:
    """About how many seeds would decide with a probability of 80 %, as far as the records can tell.

    The distance between mean and border, in standard deviations, is drawn towards 0 by its own uncertainty
    (d^2 - 1/n in place of d^2): what looks far from the border after five seeds is mostly nearer. The power is that of
    a single t-test at the level of a later look. ``runs`` is that of `t_interval`: the error of a printed mean stays,
    however many seeds there are.

    >>> from harness.judge.intervals import t_interval
    >>> seeds_that_would_do(t_interval([1.0, 0.4, 1.8, 0.3, 1.1]), (0.0, math.inf), planned((5, 10, 20, 40))[1:])
    'about 10 seeds'
    """
    if not interval.sd:
        return ""
    d = abs(distance(interval, region)) / interval.sd
    shrunk = math.sqrt(max(d * d - 1 / interval.n - 1 / runs, 0.0))
    for look in later:
        if _power(shrunk, look, runs) >= _POWER:
            return f"about {look.seeds} seeds"
    most = later[-1] if later else Look(interval.n, ALPHA)
    if _power(shrunk, Look(10 * most.seeds, most.level), runs) >= _POWER:
        return f"more than {most.seeds} seeds"
    return "too near the border to be worth more seeds"


def _power(d: float, look: Look, runs: float) -> float:
    """The probability that a one-sided t-test decides, for a mean ``d`` standard deviations from the border."""
    from scipy.special import nctdtr, stdtrit

    critical = float(stdtrit(look.seeds - 1, 1 - look.level))
    return 1.0 - float(nctdtr(look.seeds - 1, d / math.sqrt(1 / look.seeds + 1 / runs), critical))
