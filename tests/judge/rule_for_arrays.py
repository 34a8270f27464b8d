"""The rule of looks a second time, for arrays with a row of seeds for each claim.

It is written from its description (docs/verdicts.md): Student's interval at the levels 0.035, 0.005, 0.005, 0.005 of
the looks at 5, 10, 20 and 40 seeds, Holm's correction within a family. It shares no code with ``harness.judge``;
tests/judge/test_judge_simulation.py compares the two draw by draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

LOOKS = (5, 10, 20, 40)
LEVELS = (0.035, 0.005, 0.005, 0.005)
#: The border that claims name; a difference of two methods is judged against it.
BORDER = 0.3

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of claim: the region that it speaks of, and of how many runs a printed number is the mean."""

    name: str
    low: float
    high: float = math.inf
    runs: float = math.inf


KINDS = (
    Kind("greater", BORDER),
    Kind("equal", -BORDER, BORDER),
    Kind("reaches", -BORDER, BORDER, runs=1),
    Kind("reaches, exact", -BORDER, BORDER),
    Kind("ratio", math.log(1 + BORDER)),
)


def p_values(values: Array, kind: Kind) -> tuple[Array, Array]:
    """One-sided p-values of lying inside and outside, for each row of values; 1 and 1 for rows without spread."""
    n = values.shape[1]
    mean, sd = values.mean(axis=1), values.std(axis=1, ddof=1)
    spread = np.ptp(values, axis=1) > 1e-12
    error = np.where(spread, sd, 1.0) * math.sqrt(1 / n + 1 / kind.runs)
    below = special.stdtr(n - 1, (mean - kind.low) / error)
    above = special.stdtr(n - 1, (kind.high - mean) / error) if math.isfinite(kind.high) else np.ones_like(mean)
    inside = 1 - np.minimum(below, above)
    outside = np.minimum(below, above) * (2 if math.isfinite(kind.high) else 1)
    return np.where(spread, inside, 1.0), np.where(spread, np.minimum(outside, 1.0), 1.0)


def words(values: Array, kind: Kind, level: float) -> NDArray[np.int8]:
    """1 reproduced, -1 contradicted, 0 inconclusive, for each row at one look."""
    inside, outside = p_values(values, kind)
    return ((inside <= level).astype(np.int8) - ((outside <= level) & (inside > level))).astype(np.int8)


def at_looks(
    draws: Array, kind: Kind, looks: Sequence[int] = LOOKS, levels: Sequence[float] = LEVELS
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """The word of the first look that decides, and the seeds it took; the last look's where none does."""
    every = np.stack([words(draws[:, :n], kind, level) for n, level in zip(looks, levels, strict=True)])
    decided = every != 0
    first = np.where(decided.any(axis=0), decided.argmax(axis=0), len(looks) - 1)
    return every[first, np.arange(len(draws))], np.asarray(looks)[first]


def holm(p: Array) -> Array:
    """Holm's adjusted p-values along the last axis."""
    m = p.shape[-1]
    order = np.argsort(p, axis=-1)
    ordered = np.take_along_axis(p, order, axis=-1) * np.arange(m, 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(ordered, axis=-1), 1.0)
    result = np.empty_like(adjusted)
    np.put_along_axis(result, order, adjusted, axis=-1)
    return result


def p_over_looks(draws: Array, kind: Kind, looks: Sequence[int] = LOOKS) -> Array:
    """For each row the smallest p-value of lying inside over the looks, each times 0.05 over its level."""
    used = [p_values(draws[:, :n], kind)[0] * 0.05 / level for n, level in zip(looks, LEVELS, strict=False)]
    return np.minimum(np.min(used, axis=0), 1.0)


def far_from_the_others(draws: Array) -> NDArray[np.bool_]:
    """Whether each value is the one of its row that is named as far from the others."""
    n = draws.shape[1]
    rest = (draws.sum(axis=1, keepdims=True) - draws) / (n - 1)
    squares = (draws**2).sum(axis=1, keepdims=True) - draws**2 - (n - 1) * rest**2
    away = np.abs(draws - rest)
    t = away / np.sqrt(np.maximum(squares, 1e-300) / (n - 2) * (1 + 1 / (n - 1)))
    farthest = away == away.max(axis=1, keepdims=True)
    return np.asarray(farthest & (2 * n * special.stdtr(n - 2, -t) < 0.001))


def would_take(mean: Array, sd: Array, n: int) -> NDArray[np.int64]:
    """For each interval the look that would decide with a probability of 80 %: 10, 20, 40, 400, or 0 for none."""
    shrunk = np.sqrt(np.maximum((mean / sd) ** 2 - 1 / n, 0.0))
    later = [(seeds, level) for seeds, level in zip(LOOKS, LEVELS, strict=True) if seeds > n]
    result = np.zeros(len(mean), dtype=np.int64)
    for seeds, level in reversed([*later, (10 * LOOKS[-1], LEVELS[-1])]):
        # From 20 on the power is 1; scipy 1.12 gives NaN where the noncentrality is in the hundreds.
        noncentrality = np.minimum(shrunk * math.sqrt(seeds), 20.0)
        power = stats.nct.sf(stats.t.ppf(1 - level, seeds - 1), seeds - 1, noncentrality)
        result[power >= 0.8] = seeds
    return result


def chance_of_decision(draws: Array, kind: Kind, n: int, look: int, level: float) -> Array:
    """The predictive probability under a flat prior that a later look decides, given the first n seeds of each row."""
    mean, sd = draws[:, :n].mean(axis=1), draws[:, :n].std(axis=1, ddof=1)
    two = math.isfinite(kind.high)
    moves = sd * math.sqrt(1 / n - 1 / look)
    critical = [
        stats.t.ppf(1 - x, look - 1) * sd * math.sqrt(1 / look + 1 / kind.runs) for x in (level, level / (1 + two))
    ]

    def below(border: Array) -> Array:
        return np.asarray(special.stdtr(n - 1, (border - mean) / moves))

    inside = below(kind.high - critical[0]) - below(kind.low + critical[0])
    outside = below(kind.low - critical[1]) + 1 - below(kind.high + critical[1])
    return np.maximum(inside, 0.0) + outside


#: A claim gets no further seeds if no look that the budget reaches decides it with at least this probability.
FUTILE = 0.075


def within_budget(
    draws: Array, kind: Kind, budget: float = math.inf, levels: Sequence[float] = LEVELS
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Words, and seeds run, of suites of claims until decided within a budget: arrays of suites, claims.

    ``draws`` are suites, claims, seeds; ``budget`` is in seeds of a claim, for all claims of a suite together, those of
    the first look included. The first claim of each suite is its answer.
    """
    suites, claims, _ = draws.shape
    flat = draws.reshape(suites * claims, -1)
    word = words(flat[:, : LOOKS[0]], kind, levels[0]).reshape(suites, claims)
    ran = np.full((suites, claims), LOOKS[0])
    left = np.full(suites, budget - LOOKS[0] * claims)
    for index, look in enumerate(LOOKS[1:], start=1):
        best, near = np.zeros((suites, claims)), np.zeros((suites, claims))
        for n in LOOKS[:index]:
            at = ran == n
            for later, level in zip(LOOKS[index:], levels[index:], strict=True):
                chance = chance_of_decision(flat, kind, n, later, level).reshape(suites, claims)
                best = np.where(at & (later - ran <= left[:, None]), np.maximum(best, chance), best)
                near = np.where(at, chance, near) if later == look else near
        near[:, 0] += 2.0
        near[(word != 0) | (best < FUTILE)] = -1.0
        for place in np.argsort(-near, axis=1, kind="stable").T:
            rows = np.arange(suites)
            cost = look - ran[rows, place]
            go = (near[rows, place] >= 0) & (cost <= left)
            left = left - np.where(go, cost, 0)
            ran[rows[go], place[go]] = look
        at = (ran == look) & (word == 0)
        word = np.where(at, words(flat[:, :look], kind, levels[index]).reshape(suites, claims), word)
    return word, ran
