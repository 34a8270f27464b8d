"""Verdicts at the planned looks: the level of each look, printed runs, a seed far from the others."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.weightstats import ttost_paired
from toy_plan import by_seed, claim, cross, measured, planned_verdict, verdict

from harness.files.suite import LOOKS
from harness.judge.outlier import far_from_the_others


@pytest.mark.parametrize(("seeds", "cause"), [(1, "1 seed"), (2, "2 seeds"), (3, "3 seeds"), (4, "4 seeds")])
def test_fewer_seeds_than_the_first_look_decide_nothing(seeds, cause):
    result = planned_verdict([1.0, 1.1, 0.9, 1.05][:seeds])
    assert (result.verdict, result.alone, result.n) == ("inconclusive", "inconclusive", seeds)
    assert (result.cause, result.p) == (f"{cause}, and the first look is at 5", None)
    assert (result.estimate is None) == (seeds < 3), "an interval is shown from three seeds on"
    if seeds >= 3:
        low, high = stats.ttest_1samp(result.values, 0).confidence_interval(0.9)
        assert (result.low, result.high, result.level) == (pytest.approx(low), pytest.approx(high), "90 %")


AT_FIRST = [0.9, 1.0, 1.1, 1.05, 0.95]
OPEN = [-0.9, 1.0, 1.1, 0.2, -0.3]


def word_by_scipy(differences, region, looks):
    """The word and seeds of the first look that decides, by scipy's and statsmodels' own tests."""
    low, high = region
    zeros = [0.0] * len(differences)
    zeros, differences = np.array(zeros), np.array(differences)
    word, n = "inconclusive", 0
    for seeds, level in looks:
        if seeds > len(differences):
            break
        values, n = differences[:seeds], seeds
        below = stats.ttest_1samp(values, low, alternative="less").pvalue
        if math.isinf(high):
            inside, outside = stats.ttest_1samp(values, low, alternative="greater").pvalue, below
        else:
            inside = ttost_paired(values, zeros[:seeds], low, high)[0]
            outside = 2 * min(below, stats.ttest_1samp(values, high, alternative="greater").pvalue)
        if inside <= level or outside <= level:
            word = "reproduced" if inside <= level else "contradicted"
            break
    return word, n


@pytest.mark.parametrize("seeds", [5, 7, 10, 12, 20, 39, 40, 55])
def test_verdict_is_that_of_the_first_look_that_decides(seeds):
    """The looks are at 5, 10, 20 and 40 seeds at the levels 0.035, 0.005, 0.005, 0.005."""
    looks = [(5, 0.035), (10, 0.005), (20, 0.005), (40, 0.005)]
    random = np.random.default_rng(seeds)
    decided = set()
    for mean in [-1.0, -0.5, 0.0, 0.5, 0.8] * 4:
        differences = random.normal(mean, 1.0, seeds).tolist()
        for test, region in (({"kind": "greater"}, (0.0, math.inf)), ({"kind": "equal", "tol": 0.7}, (-0.7, 0.7))):
            result = planned_verdict(differences, **test)
            assert (result.verdict, result.n) == word_by_scipy(differences, region, looks)
            assert result.values == pytest.approx(differences[: result.n])
            decided.add((result.verdict, result.n))
    assert {n for _, n in decided} == {n for n, _ in looks if n <= seeds}, "each look decides some of them"


def test_seeds_of_an_earlier_decision_are_not_looked_at_again():
    decided = planned_verdict([*AT_FIRST, -9.0, -8.0, 7.0, -9.5, -6.0])
    assert (decided.verdict, decided.n, decided.values) == ("reproduced", 5, pytest.approx(tuple(AT_FIRST)))


def test_between_two_looks_the_last_complete_one_counts():
    first = planned_verdict(OPEN)
    for more in range(1, 5):
        assert planned_verdict(OPEN + [9.0] * more) == first


def test_interval_has_the_level_of_its_look():
    for differences, level in ((OPEN, "93 %"), (OPEN + OPEN[::-1], "99 %")):
        result = planned_verdict(differences)
        confidence = float(level.removesuffix(" %")) / 100
        low, high = stats.ttest_1samp(differences, 0).confidence_interval(confidence)
        assert (result.level, result.low, result.high) == (level, pytest.approx(low), pytest.approx(high))


def test_p_value_is_that_of_all_looks_together():
    """0.05 is its border at every look: the p-value of the look times 0.05 over its level."""
    first = stats.ttest_1samp(AT_FIRST, 0.85, alternative="greater").pvalue
    assert planned_verdict(AT_FIRST, by=0.85).p == pytest.approx(first * 0.05 / 0.035)
    second = OPEN + OPEN[::-1]
    assert planned_verdict(second).p == pytest.approx(
        min(1.0, stats.ttest_1samp(second, 0, alternative="greater").pvalue * 10)
    )


def test_a_suite_may_plan_other_looks():
    cells, records = by_seed([*AT_FIRST, 0.99, 1.01])
    of = claim(kind="greater", than="b")
    assert verdict(of, cells, records, [10, 20]).cause == "7 seeds, and the first look is at 10"
    at_seven = verdict(of, cells, records, [7])
    assert (at_seven.verdict, at_seven.n, at_seven.level) == ("reproduced", 7, "90 %")


def test_three_seeds_that_agree_decide_nothing():
    assert planned_verdict([1.0, 1.01, 0.99]).verdict == "inconclusive"


def test_undecided_verdict_says_how_many_seeds_would_do():
    assert planned_verdict(OPEN).would_take == "too near the border to be worth more seeds"
    assert planned_verdict([x + 0.7 for x in OPEN]).would_take in ("about 20 seeds", "about 40 seeds")
    assert planned_verdict(AT_FIRST).would_take == ""


# Regions with two borders, printed runs, one run that fell apart ---------------------------------------------


@pytest.mark.parametrize("test", [{"kind": "equal", "tol": 0.5}, {"kind": "reaches", "value": 10.0, "tol": 0.5}])
def test_a_region_with_two_borders_is_contradicted_at_half_the_level_on_either_side(test):
    """The side was picked from two, so its p-value is doubled, and the interval shown has half the level."""
    sd, n = stats.tstd(AT_FIRST), 5
    runs = 1 + 1 / 5 if test["kind"] == "reaches" else 1 / 5
    t = stats.t.ppf(1 - 0.03, n - 1)  # 0.03 on one side: below 0.035, and doubled above it
    shift = 0.5 + t * sd * math.sqrt(runs) - 1.0
    test = {"than": "b", **test} if test["kind"] == "equal" else test
    cells, records = by_seed([x + shift for x in AT_FIRST])
    result = verdict(claim(**test), cells, records, LOOKS)
    assert (result.verdict, result.level) == ("inconclusive", "96.5 %")
    assert result.p == pytest.approx(0.06 * 0.05 / 0.035)
    far = by_seed([x + shift + 0.06 for x in AT_FIRST])
    assert verdict(claim(**test), *far, LOOKS).verdict == "contradicted"


@pytest.mark.parametrize("runs", [1, 3, 20, "exact"])
def test_a_printed_mean_brings_its_own_error(runs):
    cells, records = by_seed(AT_FIRST)
    result = verdict(claim(kind="reaches", value=10.9, tol=0.4, value_runs=runs), cells, records, LOOKS)
    error = stats.tstd(AT_FIRST) * math.sqrt(1 / 5 + (0 if runs == "exact" else 1 / runs))
    low, high = stats.t.interval(1 - 2 * 0.035, 4, 11.0, error)
    assert (result.low, result.high) == pytest.approx((low, high))
    assert result.p == pytest.approx(stats.t.sf(0.3 / error, 4) * 0.05 / 0.035)
    assert (result.estimate, result.region, result.scale) == (pytest.approx(11.0), (10.5, pytest.approx(11.3)), "value")


def test_printed_run_is_one_run_unless_the_claim_says_otherwise():
    assert claim(kind="reaches", value=1.0, tol=1.0).test.value_runs == 1
    cells, records = by_seed([0.3, 0.1, -0.2, 0.2, -0.1])
    of = {"kind": "reaches", "value": 10.0, "tol": 0.45}
    assert verdict(claim(**of), cells, records, LOOKS).verdict == "inconclusive"
    assert verdict(claim(**of, value_runs="exact"), cells, records, LOOKS).verdict == "reproduced"


def test_a_run_that_fell_apart_is_named_and_the_verdict_also_given_without_it():
    result = planned_verdict([0.51, 0.49, 0.50, 0.52, -3.0])
    assert result.verdict == "inconclusive"
    assert result.outlier == "seed 4 (-3) is far from the others; without it: reproduced"
    assert planned_verdict([0.51, 0.49, 0.50, 0.52, 0.45]).outlier == ""


@pytest.mark.parametrize("values", [[0.51, 0.49, 0.50, 0.52, 0.11], [0.51, 0.49, 0.50, 0.52, 0.45], AT_FIRST, OPEN])
def test_seed_far_from_the_others_is_that_of_the_externally_studentised_residual(values):
    """By statsmodels' outlier test of a model with a mean alone, corrected by Bonferroni."""
    table = OLS(np.array(values), np.ones(len(values))).fit().outlier_test("bonferroni")
    smallest = table[:, 2].min()
    expected = int(table[:, 2].argmin()) if smallest < 0.001 else None
    assert far_from_the_others(values) == expected


def test_seed_far_from_others_that_are_alike_is_not_named():
    assert far_from_the_others([0.5, 0.5, 0.5, 0.5, 0.1]) is None
    assert far_from_the_others([0.5, 0.51, 0.49, 9.0]) is None, "of four seeds none can be told from the others"


def test_two_settings_of_one_method_are_compared_at_the_looks():
    cells = cross("a", 5, size=[8, 32])
    records = measured(cells, lambda c: c.options["size"] / 8 + 0.1 * c.seed * (c.options["size"] == 32))
    of = claim(kind="greater", where={"size": 32}, than_where={"size": 8})
    result = verdict(of, cells, records, LOOKS)
    assert (result.verdict, result.values) == ("reproduced", pytest.approx([3.0, 3.1, 3.2, 3.3, 3.4]))
    away = verdict(claim(kind="greater", where={"size": 8}, than_where={"size": 32}), cells, records, LOOKS)
    assert (away.verdict, away.estimate) == ("contradicted", pytest.approx(-3.2))
