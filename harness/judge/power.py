"""Power: the smallest difference that seeds show with a probability of 80 %, and whether more of them will decide.

The draws are of standard normals from a fixed generator, so every command prints the same number. numpy and scipy are
imported when first needed, as in `intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.judge.intervals import Region, has_two_bounds, t_interval
from harness.judge.looks import Look, planned
from harness.judge.pairing import Statement, tested
from harness.judge.scales import Scale, printed_runs, scale_of
from harness.judge.verdicts import Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: The probability with which the smallest difference is shown.
POWER = 0.8
#: How sure it is that the true standard deviation is no larger than the one that is calculated with.
CONFIDENCE = 0.8
_SEED = 20_260_102
#: Simulated claims, and numbers over all settings that are drawn for them at most.
_TRIALS, _MOST = 40_000, 200_000


def upper_sd(sd: float, n: int) -> float:
    """The upper end of the one-sided 80 % interval around a standard deviation of n values: s sqrt((n-1) / chi2(0.2)).

    A spread that was seen under five seeds is too small as often as not; with it, half of the claims would have less
    power than they were promised.

    >>> round(upper_sd(1.0, 5), 3), round(upper_sd(1.0, 40), 3)
    (1.558, 1.114)
    """
    from scipy.special import chdtri

    # The quantile below which one fifth lies: chdtri speaks of the upper tail.
    return sd * math.sqrt((n - 1) / float(chdtri(n - 1, CONFIDENCE)))


def strictest(looks: Iterable[Look], family: int) -> tuple[Look, ...]:
    """The looks at the level that Holm leaves to the smallest p-value of a family: each divided by its size.

    Holm leaves more to the others, but nobody knows before the run which place a claim will have.

    >>> strictest(planned((5,)), 10)
    (Look(seeds=5, level=0.005),)
    """
    return tuple(Look(look.seeds, look.level / max(1, family)) for look in looks)


def smallest_shown(
    spreads: Sequence[float], looks: Sequence[Look], width: float = math.inf, runs: float = math.inf
) -> float:
    """How far inside its border the truth must lie for a claim to be reproduced in 80 % of the cases, at any look.

    ``spreads`` are the standard deviations of the seeds' differences, one for each setting that must hold; settings
    count as independent, which is the worst case. ``width`` is the distance between the two bounds of a region,
    ``runs`` that of `t_interval`. Infinite where no truth between two bounds is shown so often. A contradiction at an
    earlier look is left out: at this power fewer than one in a hundred claims have one.

    >>> round(smallest_shown([1.0], [Look(5, 0.05)]), 1)
    1.4
    """
    import numpy as np
    from scipy.special import stdtrit

    means, sds, printed = _draws(tuple(look.seeds for look in looks), len(spreads), runs)
    sd = np.asarray(spreads)[:, None, None]
    half = sds * [float(stdtrit(k.seeds - 1, 1 - k.level)) * math.sqrt(1 / k.seeds + 1 / runs) for k in looks]
    means = means + printed
    # The interval lies inside the near border if the truth does by more than this, in every setting.
    needed = (sd * (half - means)).max(axis=0)
    if math.isinf(width):
        return max(0.0, float(np.quantile(needed.min(axis=1), POWER)))
    room = (width - sd * (half + means)).min(axis=0)

    def power(inside: float) -> float:
        return float(((needed < inside) & (inside < room)).any(axis=1).mean())

    low, high = 0.0, width / 2
    if power(high) < POWER:
        return math.inf
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


@lru_cache(maxsize=8)
def _draws(looks: tuple[int, ...], settings: int, runs: float) -> tuple[Array, Array, Array]:
    """Means and standard deviations at each look, and the printed number's error: settings, trials, looks.

    Between two looks mean and sum of squares are drawn, not the seeds themselves (Chan, Golub and LeVeque 1983, The
    American Statistician 37, 242-247, has the update).
    """
    import numpy as np

    trials = max(2_000, min(_TRIALS, _MOST // settings))
    random = np.random.default_rng([_SEED, settings, *looks])
    shape = settings, trials
    mean, squares, seen = np.zeros(shape), np.zeros(shape), 0
    means, sds = [], []
    for look in looks:
        more = look - seen
        further = random.standard_normal(shape) / math.sqrt(more)
        within = random.chisquare(more - 1, shape) if more > 1 else 0.0
        squares = squares + within + (further - mean) ** 2 * seen * more / look
        mean, seen = mean + (further - mean) * more / look, look
        means.append(mean)
        sds.append(np.sqrt(squares / (look - 1)))
    printed = random.standard_normal((*shape, 1)) / math.sqrt(runs)
    return np.stack(means, axis=-1), np.stack(sds, axis=-1), printed


def scale_of_verdict(verdict: Verdict, statement: Statement) -> Scale:
    """The scale of the numbers of a verdict."""
    return scale_of(tested(statement), -1 if verdict.better == "lower" else 1)


def in_unit(inside: float, scale: Scale) -> float:
    """A distance from the near border in the unit that people read: of a ratio in times."""
    border = scale.region[0]
    return abs(scale.shown(border + inside) - scale.shown(border))


def with_smallest(
    verdicts: Iterable[Verdict], statements: Mapping[str, Statement], looks: Sequence[int]
) -> tuple[Verdict, ...]:
    """The verdicts, and with each inconclusive one the smallest difference that its seeds could have shown.

    The spread is that of its own series, at the upper end of its interval; the level is the strictest that its family
    can impose; the looks are those that its records have reached.
    """
    return tuple(replace(v, could_have_seen=could_have_seen(v, statements[v.claim], planned(looks))) for v in verdicts)


def could_have_seen(verdict: Verdict, statement: Statement, looks: Sequence[Look]) -> float | None:
    """The smallest difference from the border that an inconclusive verdict's seeds would have shown; see above."""
    made = [look for look in looks if look.seeds <= verdict.n]
    if verdict.verdict != "inconclusive" or not any(verdict.spreads) or not made:
        return None
    test, scale = tested(statement), scale_of_verdict(verdict, statement)
    spreads = [upper_sd(sd, verdict.n) for sd in verdict.spreads]
    smallest = smallest_shown(spreads, strictest(made, verdict.family), width_of(scale.region), printed_runs(test))
    return in_unit(smallest, scale)


def width_of(region: Region) -> float:
    """The distance between the bounds of a region; infinite where it has one."""
    return region[1] - region[0] if has_two_bounds(region) else math.inf


def chance_of_decision(verdict: Verdict, statement: Statement, look: Look) -> float | None:
    """The probability that a later look decides, given the seeds so far; None where these have no spread.

    It is the predictive probability under a flat prior (Spiegelhalter, Freedman and Blackburn 1986, Controlled
    Clinical Trials 7, 8-17): the mean of all seeds at that look is distributed around the mean so far as Student's t
    with n - 1 degrees of freedom, times s sqrt((N - n) / (n N)). The level is what Holm leaves now, and of settings
    that must each hold only the weakest is looked at, so that fewer claims are given up. The spread counts as known
    from now on; after five seeds that may be wrong by a tenth.
    """
    from scipy.special import stdtr, stdtrit

    test, scale = tested(statement), scale_of_verdict(verdict, statement)
    values = [judged for value in verdict.values if math.isfinite(judged := scale.judged(value))]
    if verdict.n < 2 or len(values) < len(verdict.values) or not (now := t_interval(values)).sd:
        return None
    n, later = now.n, look.seeds
    if later <= n:
        return 0.0
    factor = verdict.p_holm / verdict.p if verdict.p and verdict.p_holm is not None else 1.0
    comparisons = (verdict.settings if verdict.weakest else 1) * (2 if has_two_bounds(scale.region) else 1)
    error = now.sd * math.sqrt(1 / later + 1 / printed_runs(test))
    moves = now.sd * math.sqrt((later - n) / (n * later))
    low, high = scale.region

    def below(mean: float) -> float:
        return float(stdtr(n - 1, (mean - now.mean) / moves))

    inside, outside = (error * float(stdtrit(later - 1, 1 - look.level / factor / k)) for k in (1, comparisons))
    reproduced = max(0.0, below(high - inside) - below(low + inside))
    return reproduced + below(low - outside) + 1 - below(high + outside)
