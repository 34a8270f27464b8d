"""The statistics that verdicts rest on: Student's interval, two one-sided tests, Holm's correction.

Quantiles and tails of Student's t come from ``scipy.special``, imported when first needed: it costs a third
of a second that ``harness --help`` must not pay.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.planning.request import LOOKS

#: The open interval of values that a claim speaks of, (0, inf) for "greater than 0".
Region = tuple[float, float]
Position = Literal["inside", "outside", "across"]

#: A verdict on results of chance needs so many seeds: with 2 the quantile t(0.95, 1) = 6.3 decides nothing.
MIN_SEEDS = 3
#: The level of each planned look that keeps all of them together at 0.05: looking k times at level alpha errs in up
#: to k alpha of the cases, so each look is held at alpha / k (Bonferroni over the looks, which needs no assumption on
#: how the looks depend on each other).
LOOK_ALPHA = 0.05 / len(LOOKS)

# An average, a difference or a quotient of a few doubles is wrong by a few units in their last place.
_ULPS = 8


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the interval around it, both ends included."""

    mean: float
    low: float
    high: float
    #: How many values it is the mean of.
    n: int
    #: Their standard deviation, with n - 1 in the denominator.
    sd: float
    #: How far off the values may be because doubles are rounded.
    rounding: float = 0.0


def t_interval(values: Sequence[float], alpha: float = 0.05, scale: float = 0.0) -> Interval:
    """Student's interval mean +- t(1 - alpha, n - 1) s / sqrt(n): 90 % for the one-sided ``alpha`` of 0.05.

    (Student 1908, "The probable error of a mean", Biometrika 6, 1-25.) ``scale`` is the largest magnitude
    among the numbers that the values were computed from. Where the values differ by no more than the rounding
    of such numbers, s counts as 0 and the interval is a point: 0.51 - 0.50 and 0.11 - 0.10 are not equal as
    doubles, and a verdict must not hang on that. Raises ValueError for fewer than two values.

    >>> t_interval([1.0, 2.0, 4.0])
    Interval(mean=2.333..., low=-0.241..., high=4.908..., n=3, sd=1.527..., rounding=...)
    >>> t_interval([0.51 - 0.50, 0.71 - 0.70, 0.11 - 0.10], scale=0.71).sd
    0.0
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 values, not {n}")
    mean = statistics.mean(values)
    # hypot, where squares of the values a diverged run leaves would overflow.
    sd = math.hypot(*(value - mean for value in values)) / math.sqrt(n - 1)
    rounding = rounding_of(*values, scale)
    if max(values) - min(values) <= rounding:
        sd = 0.0
    return _around(mean, sd, n, alpha, rounding)


def point(value: float, scale: float = 0.0) -> Interval:
    """A value that does not depend on chance, as an interval without width.

    >>> point(2.0).low
    2.0
    """
    return Interval(value, value, value, 1, 0.0, rounding_of(value, scale))


def rounding_of(*numbers: float) -> float:
    """A few units in the last place of the largest of ``numbers``."""
    return _ULPS * math.ulp(max(map(abs, numbers)))


def _around(mean: float, sd: float, n: int, alpha: float, rounding: float) -> Interval:
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 1 - alpha)) * sd / math.sqrt(n) if sd else 0.0
    return Interval(mean, mean - half, mean + half, n, sd, rounding)


def position(interval: Interval, region: Region) -> Position:
    """Whether an interval lies inside a region, outside of it, or across one of its bounds.

    The region is open and the interval is closed, so a point on a bound lies outside: "greater than 0" and
    "differs by less than tol" are both wrong for a difference of exactly 0 and of exactly tol. Closer to a
    bound than the rounding of the values is on it.

    >>> position(t_interval([1.0, 1.1, 1.2]), (0.0, math.inf)), position(point(0.0), (0.0, math.inf))
    ('inside', 'outside')
    >>> position(point(0.51 - 0.50, scale=0.51), (0.01, math.inf))
    'outside'
    """
    low = region[0] + _slack(region[0], interval.rounding)
    high = region[1] - _slack(region[1], interval.rounding)
    if low < interval.low and interval.high < high:
        return "inside"
    return "outside" if interval.high <= low or interval.low >= high else "across"


def _slack(bound: float, rounding: float) -> float:
    """How near to a bound counts as on it. A tolerance below the rounding is meant literally."""
    return min(rounding, 1e-6 * abs(bound)) if bound else rounding


def p_values(interval: Interval, region: Region) -> tuple[float, float]:
    """One-sided p-values that the true mean lies inside the region, and that it lies outside of it.

    Inside: the larger p-value of the two one-sided t-tests against the bounds, which is TOST where both are
    finite (Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15, 657-680). Outside: the smaller one
    of the two opposite tests. Either is at most alpha just when the interval of the same alpha lies inside,
    or outside. One of the two statements is true, so acting on the smaller p-value errs no more often than
    one test does. (A region with two bounds that is much narrower than the interval is called missed in up to
    twice alpha of the cases.)

    >>> inside, outside = p_values(t_interval([1.0, 2.0, 4.0]), (0.0, math.inf))
    >>> round(inside, 3), round(outside, 3)
    (0.059, 0.941)
    """
    if not interval.sd:
        is_inside = position(interval, region) == "inside"
        return (0.0, 1.0) if is_inside else (1.0, 0.0)
    from scipy.special import stdtr

    error = interval.sd / math.sqrt(interval.n)
    above_low = (interval.mean - region[0]) / error
    below_high = (region[1] - interval.mean) / error
    nearest = min(above_low, below_high)
    # The lower tail at -t, not one minus the lower tail at t: small p-values keep all their digits.
    return float(stdtr(interval.n - 1, -nearest)), float(stdtr(interval.n - 1, nearest))


def seeds_to_decide(interval: Interval, region: Region, alpha: float = 0.05, most: int = 1000) -> int | None:
    """The fewest seeds, from 3 to ``most``, that would decide if mean and sd stayed as they are, or None.

    The interval's width falls with n, so that the answer is found by bisection.

    >>> seeds_to_decide(t_interval([1.0, 2.0, 4.0]), (0.0, math.inf))
    4
    """

    def decided(n: int) -> bool:
        around = _around(interval.mean, interval.sd, n, alpha, interval.rounding)
        return position(around, region) != "across"

    n = bisect_left(range(most + 1), True, lo=MIN_SEEDS, key=decided)
    return n if n <= most else None


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given.

    The i-th smallest of m is multiplied by m - i + 1, and is at least as large as those before it; rejecting
    where the result is at most alpha keeps the chance of any false rejection in the family at alpha, however
    the tests depend on each other (Holm 1979, Scandinavian J. Statistics 6, 65-70).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
