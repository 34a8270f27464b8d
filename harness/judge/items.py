"""What other test items would give: intervals over items, and over items and seeds, from outcomes of paired items.

The interval of a verdict is over seeds on one fixed test set. Outcomes of each item under each seed say how far the
difference of two methods depends on which items the set happens to have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.judge.intervals import Region
from harness.numbers import form_of_width, plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Two-sided coverage of these intervals.
LEVEL = 0.95
#: Resamples of the bootstrap.
RESAMPLES = 9_999


@dataclass(frozen=True, kw_only=True)
class ItemIntervals:
    """The difference of a verdict, in its direction, with what covers the test items at 95 %."""

    #: Why there are no numbers, in a sentence; "" where there are.
    cause: str = ""
    #: Items of the test set, and the seeds under which each was scored.
    items: int = 0
    seeds: int = 0
    estimate: float | None = None
    #: Over items, these seeds as they are; None where no item's mean differs from another's.
    low: float | None = None
    high: float | None = None
    #: Over items and seeds; None under a single seed, or where `low` is.
    both_low: float | None = None
    both_high: float | None = None
    #: Outcomes that speak for the claim and against it: one side is right and the other wrong, over all seeds.
    better: int = 0
    worse: int = 0
    #: McNemar's exact two-sided p-value, of a comparison under a single seed. Outcomes of one item under several seeds
    #: are not independent, and have none.
    p: float | None = None
    #: Whether the verdict has decided what the widest of these intervals would leave open.
    leaves_open: bool = False

    def beside(self, word: str, region: Region) -> ItemIntervals:
        """The same, beside a verdict's word on a claim that needs the difference to lie inside a region."""
        low, high = (self.low, self.high) if self.both_low is None else (self.both_low, self.both_high)
        if low is None or high is None:
            return self
        inside, outside = region[0] < low and high < region[1], high <= region[0] or region[1] <= low
        agrees = {"reproduced": inside, "contradicted": outside}.get(word, True)
        return replace(self, leaves_open=not agrees)

    def __str__(self) -> str:
        """A sentence: "other test items: +0.004, 95 % from -0.003 to +0.011"."""
        if self.cause or self.estimate is None:
            return f"other test items: not known, {self.cause}"
        if self.low is None or self.high is None:
            return f"other test items: not known, all {plural(self.items, 'item')} give the same difference"
        form = f"+{form_of_width(self.high - self.low)}"
        level = f"{100 * LEVEL:.0f} %"
        text = f"other test items: {self.estimate:{form}}, {level} from {self.low:{form}} to {self.high:{form}}"
        if self.both_low is not None:
            text += f"; other items and seeds: from {self.both_low:{form}} to {self.both_high:{form}}"
        if self.leaves_open:
            text += ", which leaves the claim open"
        return text + (f" (one seed; McNemar p = {self.p:.2g})" if self.p is not None else "")


def item_intervals(rows: Iterable[Sequence[Array]], entropy: int, single: bool = False) -> ItemIntervals:
    """Intervals for the mean of ``rows``: for each seed, in each setting, the difference of each item.

    Settings are averaged. ``entropy`` starts the bootstrap's generator; ``single`` says that the only row is of two
    cells.
    """
    sums = Sums.of(rows)
    of_items = sums.of_items / sums.seeds
    low, high = bootstrap(of_items, entropy)
    both_low, both_high = (None, None) if low is None else two_way(sums)
    return ItemIntervals(
        items=len(of_items),
        seeds=sums.seeds,
        estimate=float(of_items.mean()),
        low=low,
        high=high,
        both_low=both_low,
        both_high=both_high,
        better=sums.better,
        worse=sums.worse,
        p=mcnemar(sums.better, sums.worse) if single else None,
    )


@dataclass(frozen=True)
class Sums:
    """What the differences of all items under all seeds come to, without a table of them."""

    #: By item the sum over seeds.
    of_items: Array
    #: By seed the mean over items.
    of_seeds: Array
    squares: float
    #: Differences above and below 0, in all settings.
    better: int
    worse: int

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.of_seeds)

    @classmethod
    def of(cls, rows: Iterable[Sequence[Array]]) -> Sums:
        """Sum up the rows of `item_intervals`."""
        import numpy as np

        of_items: Any = 0.0
        means: list[float] = []
        squares, better, worse = 0.0, 0, 0
        for settings in rows:
            better += sum(int(np.count_nonzero(row > 0)) for row in settings)
            worse += sum(int(np.count_nonzero(row < 0)) for row in settings)
            row = sum(settings[1:], settings[0]) / len(settings)
            of_items = of_items + row
            means.append(float(row.mean()))
            squares += float(row @ row)
        return cls(of_items, np.array(means), squares, better, worse)


def mcnemar(better: int, worse: int) -> float:
    """McNemar's exact two-sided p-value: twice the smaller tail of Binomial(better + worse, 1/2), at most 1.

    (McNemar 1947, Psychometrika 12, 153-157.)

    >>> round(mcnemar(9, 1), 4), mcnemar(0, 0)
    (0.0215, 1.0)
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(better, worse), better + worse, 0.5)))


def bootstrap(values: Array, entropy: int) -> tuple[float, float] | tuple[None, None]:
    """The BCa interval of the mean over items, or none where all values are equal.

    (Efron 1987, J. American Statistical Association 82, 171-185; for a mean the jackknife's acceleration is its
    skewness over 6 sqrt(n).) Few values are distinct, so a resample of the items is one draw of how often each of these
    occurs: ten million items take no longer than a thousand.
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    # What is equal in exact arithmetic counts as one value.
    distinct, counts = np.unique(values.round(12), return_counts=True)
    if len(distinct) < 2:
        return None, None
    n = len(values)
    drawn = np.random.default_rng(entropy).multinomial(n, counts / n, size=RESAMPLES)
    means, mean = drawn @ distinct / n, counts @ distinct / n
    ties = np.isclose(means, mean, rtol=0, atol=1e-12)
    below = np.count_nonzero((means < mean) & ~ties) + np.count_nonzero(ties) / 2
    bias = ndtri(np.clip(below, 1, RESAMPLES - 1) / RESAMPLES)
    centred = distinct - mean
    acceleration = counts @ centred**3 / (6 * (counts @ centred**2) ** 1.5)
    moved = bias + ndtri(np.array([1 - LEVEL, 1 + LEVEL]) / 2)
    low, high = np.quantile(means, ndtr(bias + moved / (1 - acceleration * moved)))
    return float(low), float(high)


def two_way(sums: Sums) -> tuple[float, float] | tuple[None, None]:
    """Student's interval of the mean for new items and new seeds; none under a single seed, or without any spread.

    The differences are d_is = m + a_i + b_s + e_is, with items and seeds crossed and random. The variance of their mean
    is s_a^2 / n + s_b^2 / S + s_e^2 / nS, estimated without bias by (MS_items + MS_seeds - MS_rest) / nS from the mean
    squares of the two-way analysis of variance: the variance over items, plus that over seeds, minus what both contain.
    It is at least that of either alone. Degrees of freedom are Satterthwaite's (1946, Biometrics Bulletin 2, 110-114).
    The bootstrap of both (Owen 2007, Annals of Applied Statistics 1, 386-411) counts s_e^2 three times, and resamples
    few seeds.
    """
    n, seeds = len(sums.of_items), sums.seeds
    if seeds < 2 or n < 2:
        return None, None
    from scipy.special import stdtrit

    mean = float(sums.of_seeds.mean())
    of_items = seeds * float(((sums.of_items / seeds - mean) ** 2).sum())
    of_seeds = n * float(((sums.of_seeds - mean) ** 2).sum())
    rest = max(0.0, sums.squares - n * seeds * mean**2 - of_items - of_seeds)
    squares = [of_items / (n - 1), of_seeds / (seeds - 1), rest / ((n - 1) * (seeds - 1))]
    degrees = [n - 1, seeds - 1, (n - 1) * (seeds - 1)]
    total = squares[0] + squares[1] - squares[2]
    larger = 0 if squares[0] >= squares[1] else 1
    if total > squares[larger]:
        df = total**2 / sum(square**2 / own for square, own in zip(squares, degrees, strict=True))
    else:
        total, df = squares[larger], degrees[larger]
    if not total:
        return None, None
    half = float(stdtrit(df, (1 + LEVEL) / 2)) * math.sqrt(total / (n * seeds))
    return mean - half, mean + half
