"""Each aggregate against scipy, a brute-force loop or the likelihood itself, with and without missing cells."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from plugin_run import METHODS
from scipy import optimize, stats

from harness.errors import UsageError
from harness_plugins.leaderboard.aggregates import ScoreError
from harness_plugins.leaderboard.ranking import ranks

AGGREGATES = sorted(name for name, method in METHODS.items() if method.role == "score-aggregate")
ORDINAL = [name for name in AGGREGATES if METHODS[name].create().ordinal]
MISSING = math.nan


def scores(seed: int, missing: float = 0.25, systems: int = 7, tasks: int = 6, ties: bool = True) -> np.ndarray:
    """A random table from 1 to 100; with ``ties`` of whole tens."""
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 10, (systems, tasks)) * 10.0 if ties else rng.uniform(1, 100, (systems, tasks))
    holes = rng.random(table.shape) < missing
    holes[np.arange(systems), rng.integers(tasks, size=systems)] = False
    return np.where(holes, MISSING, table)


def present(row):
    return [score for score in row if not math.isnan(score)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("arithmetic", lambda row: math.fsum(row) / len(row)),
        ("geometric", stats.gmean),
        ("harmonic", stats.hmean),
        ("median", lambda row: sorted(row)[(len(row) - 1) // 2] / 2 + sorted(row)[len(row) // 2] / 2),
        (
            "interquartile-mean",
            lambda row: np.mean(sorted(row)[len(row) // 4 : len(row) - len(row) // 4]),
        ),
    ],
)
def test_a_mean_is_taken_over_the_scores_a_system_has(name, oracle, seed):
    table = scores(seed, ties=False)
    assert np.isnan(table).any()
    expected = [oracle(present(row)) for row in table]
    np.testing.assert_allclose(METHODS[name].create()(table), expected, rtol=1e-13)


def brute_rank(column, row):
    """Rank of a row in a column among the scores that are there, ties sharing the mean of their ranks."""
    others = [x for i, x in enumerate(column) if i != row and not math.isnan(x)]
    return 1 + sum(x > column[row] for x in others) + sum(x == column[row] for x in others) / 2


@pytest.mark.parametrize("seed", range(5))
def test_rank_rules_agree_with_counting_by_hand(seed):
    table = scores(seed)
    mean_rank, win_rate, borda = [], [], []
    for row in range(len(table)):
        own = [t for t in range(table.shape[1]) if not math.isnan(table[row, t])]
        found = {t: brute_rank(table[:, t], row) for t in own}
        size = {t: len(present(table[:, t])) for t in own}
        mean_rank.append(-sum(found.values()) / len(own))
        borda.append(sum(size[t] - found[t] for t in own))
        rates = [(size[t] - found[t]) / (size[t] - 1) for t in own if size[t] > 1]
        win_rate.append(sum(rates) / len(rates))
    np.testing.assert_allclose(METHODS["mean-rank"].create()(table), mean_rank)
    np.testing.assert_allclose(METHODS["borda"].create()(table), borda)
    np.testing.assert_allclose(METHODS["mean-win-rate"].create()(table), win_rate)


def maximum_likelihood(table, draws):
    """Bradley-Terry log strengths by maximising the likelihood, mean 0."""
    games = []
    for a, b in itertools.permutations(range(len(table)), 2):
        wins = draws / 2
        for x, y in zip(table[a], table[b], strict=True):
            wins += 1.0 if x > y else 0.5 if x == y else 0.0
        games.append((a, b, wins))

    def negative(strength):
        return sum(w * np.logaddexp(0, strength[b] - strength[a]) for a, b, w in games) + strength.sum() ** 2

    return optimize.minimize(negative, np.zeros(len(table)), method="BFGS", options={"gtol": 1e-9}).x


@pytest.mark.parametrize(("seed", "draws"), [(0, 0.1), (1, 0.1), (2, 2.0), (3, 0.0)])
def test_bradley_terry_maximises_the_likelihood(seed, draws):
    table = scores(seed, systems=5, tasks=8)
    found = METHODS["bradley-terry"].create(draws=draws)(table)
    np.testing.assert_allclose(found, maximum_likelihood(table, draws), atol=2e-6)
    assert abs(found.mean()) < 1e-12


def test_a_system_that_wins_everything_has_a_finite_strength_only_with_added_draws():
    table = [[3.0, 9.0], [2.0, 4.0], [1.0, 5.0]]
    with pytest.raises(ScoreError, match="no finite strength fits") as caught:
        METHODS["bradley-terry"].create(draws=0.0)(table)
    # The two others beat each other once, so the first is the one without a strength.
    assert caught.value.row == 0
    found = METHODS["bradley-terry"].create()(table)
    assert np.isfinite(found).all()
    assert ranks(found).tolist() == [1, 2, 2]


def test_groups_that_never_met_are_refused_without_added_draws():
    table = [[1.0, 2.0, MISSING, MISSING], [2.0, 1.0, MISSING, MISSING], [MISSING, MISSING, 1.0, 2.0],
             [MISSING, MISSING, 2.0, 1.0]]  # fmt: skip
    with pytest.raises(ScoreError, match="skipped every game"):
        METHODS["bradley-terry"].create(draws=0.0)(table)
    np.testing.assert_allclose(METHODS["bradley-terry"].create()(table), 0, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_without_missing_cells_all_rank_rules_order_the_systems_alike(seed):
    table = scores(seed, missing=0)
    orders = {name: ranks(METHODS[name].create()(table)).tolist() for name in ORDINAL}
    assert len(ORDINAL) == 4
    assert all(order == orders["borda"] for order in orders.values()), orders


def test_with_missing_cells_borda_counts_absence_as_defeat_and_the_others_do_not():
    # The first wins the one task it took.
    table = [[9.0, MISSING, MISSING], [8.0, 2.0, 2.0], [7.0, 1.0, 1.0]]
    orders = {name: ranks(METHODS[name].create()(table)).tolist() for name in ORDINAL}
    assert orders == {
        "borda": [2, 1, 3],
        "bradley-terry": [1, 2, 3],
        "mean-rank": [1, 2, 3],
        "mean-win-rate": [1, 2, 3],
    }


@pytest.mark.parametrize("name", ORDINAL)
def test_rank_rules_see_nothing_but_order(name):
    table = scores(3)
    bent = np.log(table) * np.arange(1, table.shape[1] + 1) - 500
    aggregate = METHODS[name].create()
    np.testing.assert_array_equal(aggregate(bent), aggregate(table))


def test_harmonic_is_at_most_geometric_is_at_most_arithmetic():
    table = scores(7, systems=200, ties=False)
    arithmetic, geometric, harmonic = (METHODS[m].create()(table) for m in ("arithmetic", "geometric", "harmonic"))
    assert (harmonic <= geometric * (1 + 1e-12)).all()
    assert (geometric <= arithmetic * (1 + 1e-12)).all()
    assert (harmonic < arithmetic).any()


@pytest.mark.parametrize("name", ["geometric", "harmonic"])
@pytest.mark.parametrize("wrong", [0.0, -0.4])
def test_a_score_of_zero_or_less_is_refused_with_its_place_or_treated_as_asked(name, wrong):
    table = [[50.0, 60.0, 70.0], [50.0, wrong, 70.0]]
    with pytest.raises(ScoreError, match=f"the score is {wrong:g}, which no {name} mean can take") as caught:
        METHODS[name].create()(table)
    assert (caught.value.row, caught.value.column) == (1, 1)
    oracle = {"geometric": stats.gmean, "harmonic": stats.hmean}[name]
    dropped = METHODS[name].create(nonpositive="drop")(table)
    np.testing.assert_allclose(dropped, [oracle([50, 60, 70]), oracle([50, 70])])
    clipped = METHODS[name].create(nonpositive="clip", floor=2.0)(table)
    np.testing.assert_allclose(clipped, [oracle([50, 60, 70]), oracle([50, 2, 70])])


@pytest.mark.parametrize("name", ["geometric", "harmonic"])
def test_a_system_with_nothing_above_zero_cannot_be_left_with_nothing(name):
    with pytest.raises(ScoreError, match="no score above 0") as caught:
        METHODS[name].create(nonpositive="drop")([[1.0, 2.0], [0.0, MISSING]])
    assert caught.value.row == 1


@pytest.mark.parametrize("name", sorted(set(AGGREGATES) - {"geometric", "harmonic"}))
def test_the_others_take_zero_and_negative_scores(name):
    found = METHODS[name].create()([[5.0, -3.0], [0.0, -4.0]])
    assert found[0] > found[1]


@pytest.mark.parametrize("name", AGGREGATES)
def test_what_is_no_table_of_scores_is_refused(name):
    aggregate = METHODS[name].create()
    with pytest.raises(UsageError, match=r"shape \[3\]"):
        aggregate([1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match=r"shape \[2, 0\]"):
        aggregate(np.zeros((2, 0)))
    with pytest.raises(ScoreError, match="row 1, column 0: the score is inf"):
        aggregate([[1.0, 2.0], [math.inf, 1.0]])
    with pytest.raises(ScoreError, match="row 0: it has no score at all"):
        aggregate([[MISSING, MISSING], [1.0, 1.0]])


def test_a_system_that_nobody_meets_has_no_win_rate():
    with pytest.raises(ScoreError, match="no other system") as caught:
        METHODS["mean-win-rate"].create()([[1.0, MISSING], [2.0, MISSING], [MISSING, 1.0]])
    assert caught.value.row == 2


@pytest.mark.parametrize("name", AGGREGATES)
def test_whole_numbers_and_single_precision_are_taken_and_answered_in_double(name):
    table = np.array([[50, 60], [70, 20]])
    for scores_in in (table, table.astype(np.float32), table.tolist()):
        found = METHODS[name].create()(scores_in)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, METHODS[name].create()(table.astype(float)), rtol=1e-12)
