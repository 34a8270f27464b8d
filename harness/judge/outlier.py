"""A run that fell apart: one seed far from the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean

#: With fewer seeds one of them cannot be told from the others.
_FEWEST = 5
#: How rarely a seed may be named that is like the others, in one of so many verdicts at most.
_RARE = 0.001


def far_from_the_others(values: Sequence[float]) -> int | None:
    """The place of the one value that lies far from all others, or None.

    Each value is compared with the mean of the others by a t-test for one new draw (n - 2 degrees of freedom, the
    externally studentised residual; Cook and Weisberg 1982, section 2.2), corrected for their number. Others that are
    all alike have no spread to measure a distance by.

    >>> far_from_the_others([0.51, 0.49, 0.50, 0.52, 0.11])
    4
    >>> far_from_the_others([0.51, 0.49, 0.50, 0.52, 0.45])
    """
    n = len(values)
    if n < _FEWEST:
        return None
    from scipy.special import stdtr

    farthest = max(range(n), key=lambda i: abs(values[i] - _mean_without(values, i)))
    others = [value for i, value in enumerate(values) if i != farthest]
    center = mean(others)
    sd = math.hypot(*(value - center for value in others)) / math.sqrt(n - 2)
    if not sd:
        return None
    t = abs(values[farthest] - center) / (sd * math.sqrt(1 + 1 / (n - 1)))
    return farthest if 2 * n * float(stdtr(n - 2, -t)) < _RARE else None


def _mean_without(values: Sequence[float], place: int) -> float:
    return (math.fsum(values) - values[place]) / (len(values) - 1)
