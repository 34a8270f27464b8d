"""The statistics that verdicts rest on: Student's interval, two one-sided tests, Holm's correction.

Quantiles and tails of Student's t come from ``scipy.special``, imported when first needed: it costs a third
of a second that ``harness --help`` must not pay.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: The open interval of values that a claim speaks of, (0, inf) for "greater than 0".
Region = tuple[float, float]
Position = Literal["inside", "outside", "across"]

#: An interval is shown from so many seeds on: with 2 the quantile t(0.95, 1) = 6.3 says nothing.
MIN_SEEDS = 3

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
    #: Standard error of the mean; of the difference to a printed mean, where that has an error of its own.
    error: float = 0.0
    #: How far off the values may be because doubles are rounded.
    rounding: float = 0.0


def t_interval(values: Sequence[float], alpha: float = 0.05, scale: float = 0.0, runs: float = math.inf) -> Interval:
    """Student's interval mean +- t(1 - alpha, n - 1) s sqrt(1 / n + 1 / runs); 90 % for a one-sided ``alpha`` of 0.05.

    (Student 1908, "The probable error of a mean", Biometrika 6, 1-25.) ``scale`` is the largest magnitude
    among the numbers that the values were computed from. ``runs`` is of how many runs the number is the mean that
    they are compared with, each as uncertain as one of ours; infinite for a number without chance. Where the values
    differ by no more than the rounding of such numbers, s counts as 0 and the interval is a point: 0.51 - 0.50 and
    0.11 - 0.10 are not equal as doubles, and a verdict must not hang on that. Raises ValueError for fewer than two
    values.

    >>> t_interval([1.0, 2.0, 4.0])
    Interval(mean=2.333..., low=-0.241..., high=4.908..., n=3, sd=1.527..., error=0.881..., rounding=...)
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
    from scipy.special import stdtrit

    error = sd * math.sqrt(1 / n + 1 / runs)
    half = float(stdtrit(n - 1, 1 - alpha)) * error if sd else 0.0
    return Interval(mean, mean - half, mean + half, n, sd, error, rounding)


def point(value: float, scale: float = 0.0) -> Interval:
    """A value that does not depend on chance, as an interval without width.

    >>> point(2.0).low
    2.0
    """
    return Interval(value, value, value, 1, 0.0, 0.0, rounding_of(value, scale))


def rounding_of(*numbers: float) -> float:
    """A few units in the last place of the largest of ``numbers``."""
    return _ULPS * math.ulp(max(map(abs, numbers)))


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
    of the two opposite tests, doubled where both bounds are finite, since it was picked from two. Values without any
    spread give 1 for both: n equal draws are no proof that all draws are equal.

    >>> inside, outside = p_values(t_interval([1.0, 2.0, 4.0]), (0.0, math.inf))
    >>> round(inside, 3), round(outside, 3)
    (0.059, 0.941)
    """
    if not interval.sd:
        return 1.0, 1.0
    from scipy.special import stdtr

    nearest = distance(interval, region) / interval.error
    # The lower tail at -t, not one minus the lower tail at t: small p-values keep all their digits.
    inside, outside = float(stdtr(interval.n - 1, -nearest)), float(stdtr(interval.n - 1, nearest))
    return inside, min(1.0, outside * (2 if has_two_bounds(region) else 1))


def distance(interval: Interval, region: Region) -> float:
    """From the mean to the nearest bound of the region, negative outside of it."""
    return min(interval.mean - region[0], region[1] - interval.mean)


def has_two_bounds(region: Region) -> bool:
    """Whether both ends of a region are finite."""
    return all(map(math.isfinite, region))


def share_not_excluded(n: int) -> float:
    """The share of other outcomes that n equal draws do not exclude with 95 % certainty: 1 - 0.05^(1 / n).

    >>> round(share_not_excluded(3), 2), round(share_not_excluded(5), 2)
    (0.63, 0.45)
    """
    return -math.expm1(math.log(0.05) / n)


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
