"""The rank of a system under an aggregate, and how it depends on single tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import compress
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from harness.errors import UsageError
from harness_plugins.leaderboard.aggregates import ScoreError
from harness_plugins.leaderboard.scores import ScoreTable

Array = NDArray[np.float64]
#: A built method of the role ``score-aggregate``.
Aggregate = Callable[[ArrayLike], Array]
Scale = Literal["score", "error", "mcc-rescaled"]

#: Values that agree to this many decimals are equal: sums in another order differ by less.
DIGITS = 9


def values_of(
    aggregate: Aggregate,
    table: ScoreTable,
    scale: Scale = "score",
    best: float = 100.0,
    correlations: Sequence[str] = (),
) -> Array:
    """The aggregate of each system of a table, float64 [systems], higher is better.

    On the scale "error" it is ``best`` minus the aggregate of ``best - score``: the score that belongs to the mean
    error. An aggregate with ``ordinal = True`` depends on order alone and gets the scores themselves. On the scale
    "mcc-rescaled" the tasks named in ``correlations`` are mapped from [-best, best] to [0, best].

    Raises UsageError for a score that the aggregate refuses; it names the table, the system and the task.
    """
    scores, flipped = _scaled(aggregate, table, scale, best, correlations)
    try:
        values = np.asarray(aggregate(scores), dtype=np.float64)
    except ScoreError as error:
        column = "" if error.column is None else table.columns[error.column]
        message = error.message(table.systems[error.row], column)
        raise UsageError(f"{table.name}, {message}{' (on the scale of errors)' if flipped else ''}") from error
    if values.shape != (len(table.systems),) or not np.isfinite(values).all():
        shape, finite = list(values.shape), np.isfinite(values).sum()
        raise UsageError(
            f"{table.name}: the aggregate gave shape {shape} and {finite} finite values; "
            f"{len(table.systems)} are needed, one for each system"
        )
    return best - values if flipped else values


def without_dropped(
    aggregate: Aggregate,
    table: ScoreTable,
    scale: Scale = "score",
    best: float = 100.0,
    correlations: Sequence[str] = (),
) -> ScoreTable:
    """The table in which every score that the aggregate drops, as ``values_of`` gives them to it, is missing."""
    dropped = getattr(aggregate, "dropped", None)
    if dropped is None:
        return table
    scores, _ = _scaled(aggregate, table, scale, best, correlations)
    return replace(table, scores=np.where(dropped(scores), np.nan, table.scores))


def dropped_tasks(table: ScoreTable, left: ScoreTable) -> dict[str, tuple[str, ...]]:
    """The columns that ``without_dropped`` made missing, by system; systems without any are left out."""
    dropped = np.isnan(left.scores) & ~np.isnan(table.scores)
    rows = zip(table.systems, dropped, strict=True)
    return {system: tuple(compress(table.columns, row)) for system, row in rows if row.any()}


def _scaled(
    aggregate: Aggregate, table: ScoreTable, scale: Scale, best: float, correlations: Sequence[str]
) -> tuple[Array, bool]:
    """The scores that the aggregate gets, and whether they are ``best`` minus the table's."""
    scores = table.scores
    if scale == "mcc-rescaled":
        scores = np.where([task in correlations for task in table.tasks], (best + scores) / 2, scores)
    flipped = scale == "error" and not getattr(aggregate, "ordinal", False)
    return (best - scores if flipped else scores), flipped


def ranks(values: Array) -> NDArray[np.int64]:
    """Rank of each system: 1 + the number of systems ahead of it; equal systems share the better rank.

    >>> ranks(np.array([3.0, 5.0, 3.0, 1.0])).tolist()
    [2, 1, 2, 4]
    """
    order: NDArray[np.int64] = stats.rankdata(-np.round(values, DIGITS), method="min").astype(np.int64)
    return order


def tau(values: Array, others: Array) -> float:
    """Kendall's tau-b between two orders of the same systems; 1 where all systems are equal in either order.

    >>> round(tau(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 6)
    0.333333
    """
    statistic = float(stats.kendalltau(np.round(values, DIGITS), np.round(others, DIGITS)).statistic)
    # With many pairs, scipy gives 0.9999999999999998 for two equal orders.
    return round(statistic, DIGITS) if np.isfinite(statistic) else 1.0


def tau_without(task: str, table: ScoreTable, aggregate: Aggregate) -> float:
    """Kendall's tau-b between the orders of an aggregate with and without a task, over systems with another score.

    1 where there is no other task, or no other system.
    """
    rest = table.with_columns([name != task for name in table.tasks])
    if not rest.columns or rest.scored.sum() < 2:
        return 1.0
    return tau(aggregate(table.scores)[rest.scored], aggregate(rest.scores[rest.scored]))


def lead(values: Array, row: int) -> float:
    """The distance of a system from the best other one; negative where it is behind."""
    return float(values[row] - np.delete(values, row).max())


def rank_without(task: str, table: ScoreTable, system: str, rank: Callable[[ScoreTable, str], int]) -> int | None:
    """The rank of a system when one task is left out; None where it has no other score, or no other system has one.

    Systems whose only scores are on this task drop out as well.
    """
    rest = table.with_columns([name != task for name in table.tasks])
    if not rest.columns:
        return None
    rest = rest.with_systems(rest.scored)
    return rank(rest, system) if system in rest.systems and len(rest.systems) > 1 else None


def deciding_task(rank: int, ranks_without: Sequence[int]) -> int:
    """Number, from 1, of the task whose omission moves a rank most: the first of several, 0 where none does.

    >>> deciding_task(2, [2, 1, 5])
    3
    """
    moves = [abs(without - rank) for without in ranks_without]
    return 1 + int(np.argmax(moves)) if any(moves) else 0
