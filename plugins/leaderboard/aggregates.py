"""Ways to make one number per system of a table of scores: means, and rules that only count who beats whom.

Each is called with scores [systems, tasks], float, NaN where a score is missing, and gives float64 [systems], higher
is better. It works on what a system has: a missing cell is neither a zero nor a defeat, unless its docstring says so.
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

#: Log strengths of Bradley-Terry are iterated until none moves by more.
BRADLEY_TERRY_TOLERANCE = 1e-12
BRADLEY_TERRY_ITERATIONS = 100_000


class ScoreError(UsageError):
    """A score that an aggregate is not defined for; it knows rows and columns by number only, from 0.

    Whoever has the table puts the names in: ``told("T5", "AX-b")``.
    """

    def __init__(self, what: str, row: int, column: int | None = None) -> None:
        super().__init__(what, row, column)
        self.what, self.row, self.column = what, row, column

    def __str__(self) -> str:
        return self.told(f"row {self.row}", "" if self.column is None else f"column {self.column}")

    def told(self, system: str, task: str) -> str:
        """The sentence with the names of the system and of the task.

        >>> ScoreError("the score is -0.4", 3, 8).told("WARP", "AX-b")
        'WARP, AX-b: the score is -0.4'
        """
        return f"{system}{f', {task}' if task else ''}: {self.what}"


def table_of(scores: ArrayLike) -> Array:
    """Scores as float64 [systems, tasks]. Raises UsageError for another shape or an infinity, ScoreError for a
    system without any score."""
    found = np.asarray(scores, dtype=np.float64)
    if found.ndim != 2 or 0 in found.shape:
        raise UsageError(f"scores have the shape {list(found.shape)}; [systems, tasks] is needed, at least one of each")
    if np.isinf(found).any():
        row, column = map(int, np.argwhere(np.isinf(found))[0])
        raise ScoreError(
            f"the score is {found[row, column]}; a finite one is needed, or NaN where it is missing", row, column
        )
    empty = np.isnan(found).all(axis=1)
    if empty.any():
        raise ScoreError("it has no score at all", int(np.argmax(empty)))
    return found


@dataclass(frozen=True)
class Arithmetic:
    """Mean of a system's scores.

    >>> Arithmetic()([[90.0, 60.0], [80.0, np.nan]])
    array([75., 80.])
    """

    #: Whether nothing but the order of the systems on each task counts.
    ordinal: ClassVar[bool] = False

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to means [systems]."""
        found: Array = np.nanmean(table_of(scores), axis=1)
        return found


@dataclass(frozen=True)
class Median:
    """Median of a system's scores.

    >>> Median()([[90.0, 60.0, 10.0], [80.0, np.nan, 70.0]])
    array([60., 75.])
    """

    ordinal: ClassVar[bool] = False

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to medians [systems]."""
        found: Array = np.nanmedian(table_of(scores), axis=1)
        return found


@dataclass(frozen=True)
class InterquartileMean:
    """Mean of a system's middle scores, a quarter (rounded down) cut off at either end (Agarwal et al. 2021).

    >>> InterquartileMean()([[0.0, 50.0, 70.0, 100.0]])
    array([60.])
    """

    ordinal: ClassVar[bool] = False

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to means [systems]."""
        return np.array([stats.trim_mean(row[~np.isnan(row)], 0.25) for row in table_of(scores)])


@dataclass(frozen=True)
class _Positive:
    """What the means of logarithms and of reciprocals share: they need scores above zero."""

    #: What happens to a score of 0 or less: an error, as if it was missing, or raised to ``floor``.
    nonpositive: Nonpositive = "refuse"
    floor: float = 0.1

    ordinal: ClassVar[bool] = False

    def _usable(self, scores: ArrayLike, mean: str) -> Array:
        table = table_of(scores)
        wrong = table <= 0
        if not wrong.any():
            return table
        row, column = map(int, np.argwhere(wrong)[0])
        if self.nonpositive == "refuse":
            raise ScoreError(
                f"the score is {table[row, column]:g}, which no {mean} can take; "
                "the option nonpositive = 'drop' or 'clip' says what to do with it",
                row,
                column,
            )
        if self.nonpositive == "clip":
            return np.where(wrong, self.floor, table)
        dropped = np.where(wrong, np.nan, table)
        if (nothing := np.isnan(dropped).all(axis=1)).any():
            raise ScoreError("it has no score above 0, and nonpositive = 'drop'", int(np.argmax(nothing)))
        return dropped


@dataclass(frozen=True)
class Geometric(_Positive):
    """exp of the mean logarithm.

    >>> Geometric()([[4.0, 9.0], [5.0, np.nan]])
    array([6., 5.])
    >>> Geometric("drop")([[4.0, 9.0, -1.0]])
    array([6.])
    """

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to means [systems]. Raises ScoreError for a score of 0 or less, if so wanted."""
        found: Array = stats.gmean(self._usable(scores, "geometric mean"), axis=1, nan_policy="omit")
        return found


@dataclass(frozen=True)
class Harmonic(_Positive):
    """One over the mean reciprocal.

    >>> Harmonic()([[3.0, 6.0], [5.0, np.nan]])
    array([4., 5.])
    """

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to means [systems]. Raises ScoreError for a score of 0 or less, if so wanted."""
        found: Array = stats.hmean(self._usable(scores, "harmonic mean"), axis=1, nan_policy="omit")
        return found


def task_ranks(table: Array) -> Array:
    """Rank of each system on each task, 1 the best, ties sharing their mean rank; NaN where the score is missing.

    >>> task_ranks(np.array([[3.0, 1.0], [2.0, np.nan], [3.0, 5.0]]))
    array([[1.5, 2. ],
           [3. , nan],
           [1.5, 1. ]])
    """
    found: Array = stats.rankdata(-table, axis=0, nan_policy="omit")
    return found


@dataclass(frozen=True)
class MeanRank:
    """Minus the mean of a system's ranks over the tasks it has a score on.

    Ranks are taken among the systems that have a score on the task, so that a rank on a task that few have is better
    than it looks; mean-win-rate is the same without that fault.

    >>> MeanRank()([[3.0, 1.0], [2.0, np.nan], [1.0, 5.0]])
    array([-1.5, -2. , -2. ])
    """

    ordinal: ClassVar[bool] = True

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to minus mean ranks [systems]."""
        found: Array = -np.nanmean(task_ranks(table_of(scores)), axis=1)
        return found


@dataclass(frozen=True)
class MeanWinRate:
    """Mean over a system's tasks of the share of the other systems there that it beats, ties counting half.

    A task on which it is alone says nothing and is left out (HELM, Liang et al. 2022, has it so, ties aside).

    >>> MeanWinRate()([[3.0, 1.0], [2.0, np.nan], [1.0, 5.0]])
    array([0.5, 0.5, 0.5])
    """

    ordinal: ClassVar[bool] = True

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to win rates [systems] in [0, 1]. Raises ScoreError for one nothing is compared
        with."""
        table = table_of(scores)
        others = (~np.isnan(table)).sum(axis=0) - 1.0
        contested = others > 0
        rates = 1 - (task_ranks(table)[:, contested] - 1) / others[contested]
        if (alone := np.isnan(rates).all(axis=1)).any():
            raise ScoreError("no other system has a score on any of its tasks", int(np.argmax(alone)))
        found: Array = np.nanmean(rates, axis=1)
        return found


@dataclass(frozen=True)
class Borda:
    """Points added over the tasks: one for each system beaten, half a one for a tie (Borda 1781).

    A missing cell earns nothing: whoever does not stand for election gets no votes. Without missing cells its order
    is that of mean-rank, mean-win-rate and Bradley-Terry.

    >>> Borda()([[3.0, 1.0], [2.0, np.nan], [1.0, 5.0]])
    array([2., 1., 1.])
    """

    ordinal: ClassVar[bool] = True

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to points [systems]."""
        table = table_of(scores)
        systems = (~np.isnan(table)).sum(axis=0)
        found: Array = np.nansum(systems - task_ranks(table), axis=1)
        return found


@dataclass(frozen=True)
class BradleyTerry:
    """Log strengths under which P(a beats b) = strength_a / (strength_a + strength_b), by maximum likelihood.

    Each task is one game of every two systems that have a score on it, a tie is half a win for both. ``draws`` adds
    that many drawn games between every two systems. With none, a system that wins (or loses) all its games has no
    finite strength, and two groups that never met cannot be compared: both are refused (Ford 1957). Iterated as in
    Hunter (2004), Annals of Statistics 32, equation 3. The mean log strength is 0.

    >>> BradleyTerry(draws=0.0)([[3.0, 1.0, 2.0], [2.0, 5.0, 1.0]]).round(4)  # two games against one: log 2
    array([ 0.3466, -0.3466])
    """

    draws: float = 0.1

    ordinal: ClassVar[bool] = True

    def __call__(self, scores: ArrayLike) -> Array:
        """Scores [systems, tasks] to log strengths [systems]. Raises ScoreError where they are not finite."""
        table = table_of(scores)
        if len(table) < 2:
            raise ScoreError(f"the scores {list(table.shape)} are those of one system, which has no game", 0)
        wins = wins_between(table) + self.draws / 2
        np.fill_diagonal(wins, 0.0)
        if (row := _outside_the_cycle(wins)) is not None:
            raise ScoreError(
                "it won, lost or skipped every game against some of the others, so no finite strength fits; "
                "the option draws above 0 gives it one",
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
                f"Bradley-Terry strengths still move after {BRADLEY_TERRY_ITERATIONS} steps, as one system wins nearly "
                f"always; take draws above {self.draws:g}"
            )
        found: Array = np.log(strength)
        return found


def wins_between(table: Array) -> Array:
    """How many tasks each system (row) wins against each other one (column), a tie counting half: [systems, systems].

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


def _outside_the_cycle(wins: Array) -> int | None:
    """The first system outside the largest group in which everybody beats everybody, be it through others."""
    from scipy.sparse.csgraph import connected_components

    count, label = connected_components(wins > 0, directed=True, connection="strong")
    if count == 1:
        return None
    return int(np.argmax(label != np.argmax(np.bincount(label))))
