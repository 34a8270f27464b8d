"""Where a system stands under an aggregate, and how that depends on single tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

#: Aggregates that differ by less are equal: sums in another order are.
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
    error. An aggregate with ``ordinal = True`` sees nothing but order and gets the scores themselves. On the scale
    "mcc-rescaled" the tasks named in ``correlations`` go from [-best, best] to [0, best].

    Raises UsageError that names the table, the system and the task for a score that the aggregate refuses.
    """
    scores = table.scores
    if scale == "mcc-rescaled":
        scores = np.where([task in correlations for task in table.tasks], (best + scores) / 2, scores)
    flipped = scale == "error" and not getattr(aggregate, "ordinal", False)
    try:
        found = np.asarray(aggregate(best - scores if flipped else scores), dtype=np.float64)
    except ScoreError as error:
        column = "" if error.column is None else table.columns[error.column]
        told = error.told(table.systems[error.row], column)
        raise UsageError(f"{table.name}, {told}{' (on the scale of errors)' if flipped else ''}") from error
    if found.shape != (len(table.systems),) or not np.isfinite(found).all():
        raise UsageError(
            f"{table.name}: the aggregate gave shape {list(found.shape)} and {np.isfinite(found).sum()} finite values; "
            f"{len(table.systems)} are needed, one for each system"
        )
    return best - found if flipped else found


def ranks(values: Array) -> NDArray[np.int64]:
    """Rank of each system: 1 + how many are ahead of it; equal ones share the better rank.

    >>> ranks(np.array([3.0, 5.0, 3.0, 1.0])).tolist()
    [2, 1, 2, 4]
    """
    found: NDArray[np.int64] = stats.rankdata(-np.round(values, DIGITS), method="min").astype(np.int64)
    return found


def tau(values: Array, others: Array) -> float:
    """Kendall's tau-b between two orders of the same systems; 1 where either has no order at all.

    >>> round(tau(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 6)
    0.333333
    """
    found = float(stats.kendalltau(np.round(values, DIGITS), np.round(others, DIGITS)).statistic)
    # Rounded, as equal orders come out at 0.9999999999999998 where there are many pairs.
    return round(found, DIGITS) if np.isfinite(found) else 1.0


def lead(values: Array, row: int) -> float:
    """By how much a system is ahead of the best other one; negative where it is behind."""
    return float(values[row] - np.delete(values, row).max())


def rank_without(task: str, table: ScoreTable, system: str, rank: Callable[[ScoreTable, str], int]) -> int | None:
    """The rank of a system when one task is left out; None where it has no score but there.

    Systems that have scores nowhere else drop out as well.
    """
    others = table.with_columns([name != task for name in table.tasks])
    left = others.with_systems(others.scored) if others.columns else None
    if left is None or system not in left.systems or len(left.systems) < 2:
        return None
    return rank(left, system)


def deciding_task(whole: int, without: Sequence[int]) -> int:
    """Which task, counted from 1, moves a rank most when left out: the first of several, 0 where none does.

    >>> deciding_task(2, [2, 1, 5])
    3
    """
    moves = [abs(rank - whole) for rank in without]
    return 1 + int(np.argmax(moves)) if any(moves) else 0
