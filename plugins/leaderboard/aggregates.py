"""Aggregates of a table of scores, one number for each system: means, and rules that count which system beats which.

Each is called with scores [systems, tasks], float, NaN where a score is missing, and gives float64 [systems], higher
is better. A missing score is neither a zero nor a defeat, unless the docstring says so: each system is judged by the
scores that it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from harness.errors import UsageError

Array = NDArray[np.float64]
Nonpositive = Literal["refuse", "drop", "clip"]

#: Bradley-Terry is iterated until no log strength moves by more than this.
BRADLEY_TERRY_TOLERANCE = 1e-12
BRADLEY_TERRY_ITERATIONS = 100_000


class ScoreError(UsageError):
    """An aggregate is not defined for a score.

    An aggregate knows its rows and columns only by number, from 0. ``message`` takes the names from a caller that has
    the table.
    """

    def __init__(self, problem: str, row: int, column: int | None = None) -> None:
        super().__init__(problem, row, column)
        self.problem, self.row, self.column = problem, row, column

    def __str__(self) -> str:
        return self.message(f"row {self.row}", "" if self.column is None else f"column {self.column}")

    def message(self, system: str, task: str) -> str:
        """The sentence with the names of the system and of the task.

        >>> ScoreError("the score is -0.4", 3, 8).message("WARP", "AX-b")
        'WARP, AX-b: the score is -0.4'
        """
        return f"{system}{f', {task}' if task else ''}: {self.problem}"


def table_of(scores: ArrayLike) -> Array:
    """Scores as float64 [systems, tasks].

    Raises UsageError for another shape, ScoreError for an infinite score or a system without any score.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise UsageError(f"scores have the shape {list(table.shape)}; [systems, tasks] is needed, at least one of each")
    if np.isinf(table).any():
        row, column = map(int, np.argwhere(np.isinf(table))[0])
        raise ScoreError(
            f"the score is {table[row, column]}; a finite number is needed, or NaN for a missing score", row, column
        )
    empty = np.isnan(table).all(axis=1)
    if empty.any():
        raise ScoreError("it has no score at all", int(np.argmax(empty)))
    return table


@dataclass(frozen=True)
class Arithmetic:
    """Mean of a system's scores.

    >>> Arithmetic()([[90.0, 60.0], [80.0, np.nan]])
    array([75., 80.])
    """

    #: Whether only the order of the systems on each task counts.
    ordinal: ClassVar[bool] = False

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to means [systems]."""
        means: Array = np.nanmean(table_of(scores), axis=1)
        return means


@dataclass(frozen=True)
class Median:
    """Median of a system's scores.

    >>> Median()([[90.0, 60.0, 10.0], [80.0, np.nan, 70.0]])
    array([60., 75.])
    """

    ordinal: ClassVar[bool] = False

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to medians [systems]."""
        medians: Array = np.nanmedian(table_of(scores), axis=1)
        return medians


@dataclass(frozen=True)
class InterquartileMean:
    """Mean of a system's middle scores; a quarter, rounded down, is cut off at either end (Agarwal et al. 2021).

    >>> InterquartileMean()([[0.0, 50.0, 70.0, 100.0]])
    array([60.])
    """

    ordinal: ClassVar[bool] = False

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to means [systems]."""
        return np.array([stats.trim_mean(row[~np.isnan(row)], 0.25) for row in table_of(scores)])


@dataclass(frozen=True)
class _Positive:
    """The part that the geometric and the harmonic mean share: they need scores above zero."""

    #: A score of 0 or less is refused as an error, dropped as if it were missing, or clipped to ``floor``.
    nonpositive: Nonpositive = "refuse"
    floor: float = 0.1

    ordinal: ClassVar[bool] = False

    def dropped(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Which scores [systems, tasks] are dropped, bool: for whoever compares systems, they are missing.

        >>> Geometric("drop").dropped([[4.0, 0.0, np.nan]])
        array([[False,  True, False]])
        """
        table = np.asarray(scores, dtype=np.float64)
        return np.asarray((table <= 0) & (self.nonpositive == "drop"))

    def _usable(self, scores: ArrayLike, mean: str) -> Array:
        table = table_of(scores)
        nonpositive = table <= 0
        if not nonpositive.any():
            return table
        row, column = map(int, np.argwhere(nonpositive)[0])
        if self.nonpositive == "refuse":
            raise ScoreError(
                f"the score is {table[row, column]:g}, which no {mean} can take; "
                "the option nonpositive = 'drop' leaves such scores out, 'clip' raises them",
                row,
                column,
            )
        if self.nonpositive == "clip":
            return np.where(nonpositive, self.floor, table)
        left = np.where(nonpositive, np.nan, table)
        if (empty := np.isnan(left).all(axis=1)).any():
            raise ScoreError("it has no score above 0, and nonpositive = 'drop'", int(np.argmax(empty)))
        return left


@dataclass(frozen=True)
class Geometric(_Positive):
    """exp of the mean logarithm.

    >>> Geometric()([[4.0, 9.0], [5.0, np.nan]])
    array([6., 5.])
    >>> Geometric("drop")([[4.0, 9.0, -1.0]])
    array([6.])
    """

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to means [systems]. Raises ScoreError for a score of 0 or less that is refused."""
        means: Array = stats.gmean(self._usable(scores, "geometric mean"), axis=1, nan_policy="omit")
        return means


@dataclass(frozen=True)
class Harmonic(_Positive):
    """One over the mean reciprocal.

    >>> Harmonic()([[3.0, 6.0], [5.0, np.nan]])
    array([4., 5.])
    """

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to means [systems]. Raises ScoreError for a score of 0 or less that is refused."""
        means: Array = stats.hmean(self._usable(scores, "harmonic mean"), axis=1, nan_policy="omit")
        return means


def task_ranks(table: Array) -> Array:
    """Rank of each system on each task: 1 is the best, ties share their mean rank, NaN where the score is missing.

    >>> task_ranks(np.array([[3.0, 1.0], [2.0, np.nan], [3.0, 5.0]]))
    array([[1.5, 2. ],
           [3. , nan],
           [1.5, 1. ]])
    """
    ranks: Array = stats.rankdata(-table, axis=0, nan_policy="omit")
    return ranks


@dataclass(frozen=True)
class MeanRank:
    """Minus the mean of a system's ranks over the tasks that it has a score on.

    A rank counts only the systems with a score on the task, which favours systems on tasks with few scores;
    mean-win-rate has no such bias.

    >>> MeanRank()([[3.0, 1.0], [2.0, np.nan], [1.0, 5.0]])
    array([-1.5, -2. , -2. ])
    """

    ordinal: ClassVar[bool] = True

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to minus mean ranks [systems]."""
        values: Array = -np.nanmean(task_ranks(table_of(scores)), axis=1)
        return values


@dataclass(frozen=True)
class MeanWinRate:
    """Mean over a system's tasks of the share of the other systems that it beats there; a tie counts half.

    A task on which no other system has a score is left out (as in HELM, Liang et al. 2022, ties aside).

    >>> MeanWinRate()([[3.0, 1.0], [2.0, np.nan], [1.0, 5.0]])
    array([0.5, 0.5, 0.5])
    """

    ordinal: ClassVar[bool] = True

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to win rates [systems] in [0, 1].

        Raises ScoreError for a system that shares no task with another one.
        """
        table = table_of(scores)
        others = (~np.isnan(table)).sum(axis=0) - 1.0
        contested = others > 0
        rates = 1 - (task_ranks(table)[:, contested] - 1) / others[contested]
        if (alone := np.isnan(rates).all(axis=1)).any():
            raise ScoreError("no other system has a score on any of its tasks", int(np.argmax(alone)))
        means: Array = np.nanmean(rates, axis=1)
        return means


@dataclass(frozen=True)
class Borda:
    """Points added over the tasks: one for each system beaten, half a point for a tie (Borda 1781).

    A missing score earns nothing, like a candidate who does not stand for election. Without missing scores the order
    is that of mean-rank, mean-win-rate and Bradley-Terry.

    >>> Borda()([[3.0, 1.0], [2.0, np.nan], [1.0, 5.0]])
    array([2., 1., 1.])
    """

    ordinal: ClassVar[bool] = True

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to points [systems]."""
        table = table_of(scores)
        systems = (~np.isnan(table)).sum(axis=0)
        points: Array = np.nansum(systems - task_ranks(table), axis=1)
        return points


@dataclass(frozen=True)
class BradleyTerry:
    """Log strengths under which P(a beats b) = strength_a / (strength_a + strength_b), by maximum likelihood.

    Each task is one game of every two systems that have a score on it; a tie is half a win for both. ``draws`` adds
    this number of drawn games between every two systems. Without any, a system that wins (or loses) all its games has
    no finite strength, and two groups that never met cannot be compared (Ford 1957): both are refused. The iteration
    is that of Hunter (2004), Annals of Statistics 32, equation 3. The mean log strength is 0.

    >>> BradleyTerry(draws=0.0)([[3.0, 1.0, 2.0], [2.0, 5.0, 1.0]]).round(4)  # two games against one: log 2
    array([ 0.3466, -0.3466])
    """

    draws: float = 0.1

    ordinal: ClassVar[bool] = True

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to log strengths [systems]. Raises ScoreError where they are not finite."""
        table = table_of(scores)
        if len(table) < 2:
            raise ScoreError(f"scores of the shape {list(table.shape)} are one system's, which has no game", 0)
        wins = wins_between(table) + self.draws / 2
        np.fill_diagonal(wins, 0.0)
        if (row := _incomparable_system(wins)) is not None:
            raise ScoreError(
                "it won, lost or skipped every game against some of the others, so no finite strength fits; "
                "the option draws above 0 gives it a finite one",
                row,
            )
        games = wins + wins.T
        won = wins.sum(axis=1)
        strength = np.ones(len(wins))
        for _ in range(BRADLEY_TERRY_ITERATIONS):
            update = won / (games / np.add.outer(strength, strength)).sum(axis=1)
            update /= np.exp(np.log(update).mean())
            moved = float(np.abs(np.log(update / strength)).max())
            strength = update
            if moved < BRADLEY_TERRY_TOLERANCE:
                break
        else:
            raise UsageError(
                f"Bradley-Terry strengths still move after {BRADLEY_TERRY_ITERATIONS} steps, because one system wins "
                f"nearly always; use draws above {self.draws:g}"
            )
        log_strengths: Array = np.log(strength)
        return log_strengths


def wins_between(table: Array) -> Array:
    """Number of tasks that each system (row) wins against each other one (column); a tie counts half.

    [systems, tasks] to [systems, systems].

    >>> wins_between(np.array([[3.0, 1.0], [2.0, np.nan], [1.0, 5.0]]))
    array([[0., 1., 1.],
           [0., 0., 1.],
           [1., 0., 0.]])
    """
    wins = np.zeros((len(table), len(table)))
    for column in table.T:
        wins += (column[:, None] > column) + 0.5 * (column[:, None] == column)
    np.fill_diagonal(wins, 0.0)
    return wins


def _incomparable_system(wins: Array) -> int | None:
    """The first system outside the largest group in which each system beats each other one, directly or over others."""
    from scipy.sparse.csgraph import connected_components

    count, label = connected_components(wins > 0, directed=True, connection="strong")
    if count == 1:
        return None
    return int(np.argmax(label != np.argmax(np.bincount(label))))
