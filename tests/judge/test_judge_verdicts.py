"""Every kind of verdict and its edge cases: at one look, at the planned looks, in several settings, without chance."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.weightstats import ttost_paired
from toy_plan import OTHER, TASK, TASKS, by_seed, cell, claim, cross, measured, planned_verdict, record, verdict

from harness.errors import UnknownName, UsageError
from harness.files.suite import LOOKS
from harness.judge import judge
from harness.judge.outlier import far_from_the_others


def judged(differences, metric="score", **test):
    cells, records = by_seed(differences, metric)
    return verdict(claim(metric=metric, **{"than": "b", **test}), cells, records)


CLEAR = [0.9, 1.0, 1.1]
NOISY = [-0.9, 1.0, 1.1]


@pytest.mark.parametrize(
    ("test", "differences", "word"),
    [
        ({"kind": "greater"}, CLEAR, "reproduced"),
        ({"kind": "greater"}, [-x for x in CLEAR], "contradicted"),
        ({"kind": "greater"}, NOISY, "inconclusive"),
        ({"kind": "greater", "by": 0.5}, CLEAR, "reproduced"),
        ({"kind": "greater", "by": 1.5}, CLEAR, "contradicted"),
        ({"kind": "greater", "by": 1.0}, CLEAR, "inconclusive"),
        ({"kind": "greater", "metric": "error"}, CLEAR, "contradicted"),
        ({"kind": "greater", "metric": "error"}, [-x for x in CLEAR], "reproduced"),
        ({"kind": "equal", "tol": 2.0}, CLEAR, "reproduced"),
        ({"kind": "equal", "tol": 0.5}, CLEAR, "contradicted"),
        ({"kind": "equal", "tol": 0.5}, [-x for x in CLEAR], "contradicted"),
        ({"kind": "equal", "tol": 1.0}, CLEAR, "inconclusive"),
        ({"kind": "equal", "tol": 0.5, "metric": "error"}, [0.1, 0.0, -0.1], "reproduced"),
        ({"kind": "reaches", "than": None, "value": 11.0, "tol": 0.5}, CLEAR, "reproduced"),
        ({"kind": "reaches", "than": None, "value": 10.0, "tol": 0.5}, CLEAR, "contradicted"),
        ({"kind": "reaches", "than": None, "value": 10.5, "tol": 0.5}, CLEAR, "inconclusive"),
        ({"kind": "greater", "than": None, "value": 10.0}, CLEAR, "reproduced"),
        ({"kind": "greater", "than": None, "value": 12.0}, CLEAR, "contradicted"),
        ({"kind": "ratio", "by": 1.05}, CLEAR, "reproduced"),
        ({"kind": "ratio", "by": 1.2}, CLEAR, "contradicted"),
        ({"kind": "ratio", "by": 1.1}, CLEAR, "inconclusive"),
        ({"kind": "ratio", "by": 0.9, "metric": "error"}, CLEAR, "inconclusive"),
        ({"kind": "ratio", "by": 0.8, "metric": "error"}, CLEAR, "reproduced"),
    ],
)
def test_the_interval_decides(test, differences, word):
    test = {k: v for k, v in {"than": "b", **test}.items() if v is not None}
    metric = test.pop("metric", "score")
    cells, records = by_seed(differences, metric)
    result = verdict(claim(metric=metric, **test), cells, records)
    assert result.verdict == word
    assert result.low <= result.estimate <= result.high
    assert (result.p <= 0.05) == (word != "inconclusive")
    assert bool(result.would_take) == (word == "inconclusive")
    assert (result.alone, result.deterministic) == (word, False)


def test_verdict_contains_its_numbers():
    differences = [0.5, 1.0, 1.6, 0.7]
    result = judged(differences, kind="greater", by=0.2)
    test = stats.ttest_1samp(differences, 0.2, alternative="greater")
    low, high = stats.ttest_1samp(differences, 0.2).confidence_interval(0.9)
    assert (result.low, result.high, result.p) == pytest.approx((low, high, test.pvalue))
    assert result.values == pytest.approx(differences)
    assert (result.a, result.b, result.n, result.settings) == (pytest.approx(10.95), 10.0, 4, 1)
    assert (result.region, result.scale, result.better, result.alpha) == ((0.2, math.inf), "difference", "higher", 0.05)
    assert (result.device, result.claim, result.cause, result.weakest) == ("cpu", "toy/claim", "", "")
    assert (result.level, result.covers, result.averaged, result.outlier) == (
        "90 %",
        "seeds, on one fixed test set",
        (),
        "",
    )
    assert (result.p_holm, result.family) == (result.p, 1)


def test_equal_values_under_all_seeds_decide_nothing():
    """Point 4 of the rules: three equal draws leave room for 63 % of seeds that differ."""
    for value in (0.25, 0.0, -0.25):
        result = judged([value] * 3, kind="greater")
        assert (result.verdict, result.low, result.high, result.p) == ("inconclusive", value, value, None)
        assert result.cause == "all 3 seeds give the same, which leaves room for 63 % of seeds that do not"
    assert judged([0.0] * 3, kind="equal", tol=0.1).verdict == "inconclusive"
    assert judged([0.0] * 3, kind="ratio", by=1.0).verdict == "inconclusive"
    assert judged([0.25] * 40, kind="greater").cause.endswith("leaves room for 7 % of seeds that do not")


def test_tie_in_every_seed_contradicts_greater_and_reproduces_equal_where_chance_has_no_part():
    assert judged([0.0] * 3, "sure", kind="greater").verdict == "contradicted"
    assert judged([0.0] * 3, "sure", kind="equal", tol=0.1).verdict == "reproduced"
    assert judged([0.5] * 3, "sure", kind="equal", tol=0.5).verdict == "contradicted"
    assert judged([0.0] * 3, "sure", kind="ratio", by=1.0).verdict == "contradicted"


def test_difference_in_the_last_place_is_a_tie():
    result = judged([math.ulp(10.0)] * 3, "sure", kind="greater")
    assert result.estimate > 0
    assert result.verdict == "contradicted"
    assert judged([0.0, math.ulp(10.0), 0.0], kind="greater").cause.startswith("all 3 seeds give the same")


def test_ratio_in_the_last_place_is_a_tie():
    cells = cross("ab", 3)
    records = measured(cells, lambda c: 1.0 + (math.ulp(1.0) if c.method == "a" else 0.0), "sure")
    assert verdict(claim(kind="ratio", than="b", by=1.0, metric="sure"), cells, records).verdict == "contradicted"


def test_difference_equal_to_a_decimal_margin_does_not_exceed_it():
    cells = cross("ab", 3)
    records = measured(cells, lambda c: 0.51 if c.method == "a" else 0.50, "sure")
    assert verdict(claim(kind="greater", than="b", by=0.01, metric="sure"), cells, records).verdict == "contradicted"


@pytest.mark.parametrize(("seeds", "cause"), [(1, "1 seed"), (2, "2 seeds"), (3, "3 seeds"), (4, "4 seeds")])
def test_fewer_seeds_than_the_first_look_decide_nothing(seeds, cause):
    result = planned_verdict([1.0, 1.1, 0.9, 1.05][:seeds])
    assert (result.verdict, result.alone, result.n) == ("inconclusive", "inconclusive", seeds)
    assert (result.cause, result.p) == (f"{cause}, and the first look is at 5", None)
    assert (result.estimate is None) == (seeds < 3), "an interval is shown from three seeds on"
    if seeds >= 3:
        low, high = stats.ttest_1samp(result.values, 0).confidence_interval(0.9)
        assert (result.low, result.high, result.level) == (pytest.approx(low), pytest.approx(high), "90 %")


# Looks ------------------------------------------------------------------------------------------------------

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


def test_three_seeds_that_agree_no_longer_decide():
    """The first state called this reproduced."""
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


# Several settings -------------------------------------------------------------------------------------------


def settings_of(per_setting, each, **test):
    """The verdict when a minus b has these differences by seed at each size."""
    cells = cross("ab", 3, size=list(per_setting))
    values = lambda c: 10.0 + (per_setting[c.options["size"]][c.seed] if c.method == "a" else 0.0)  # noqa: E731
    records = measured(cells, values, test.get("metric", "score"))
    return verdict(claim(**{"kind": "greater", "than": "b", "each": each, **test}), cells, records)


def test_claim_over_several_settings_averages_them_for_each_seed():
    result = settings_of({8: [1.0, 2.0, 3.0], 32: [3.0, 2.0, 1.0]}, each=False)
    assert result.values == (2.0, 2.0, 2.0)
    assert (result.verdict, result.settings, result.weakest) == ("inconclusive", 2, ""), "no spread is no certainty"
    assert result.averaged == ("size=8", "size=32")
    result = settings_of({8: [1.0, 2.0, 3.0], 32: [3.1, 2.0, 1.0]}, each=False)
    assert (result.verdict, result.settings, result.weakest) == ("reproduced", 2, "")


@pytest.mark.parametrize(
    ("per_setting", "word", "weakest"),
    [
        ({8: CLEAR, 32: [x + 1 for x in CLEAR]}, "reproduced", "size=8"),
        ({8: CLEAR, 32: NOISY}, "inconclusive", "size=32"),
        ({8: CLEAR, 32: [-x for x in CLEAR], 64: NOISY}, "contradicted", "size=32"),
        ({8: [0.5] * 3, 32: [0.25] * 3}, "inconclusive", "size=8"),
        ({8: CLEAR, 32: [0.25] * 3}, "inconclusive", "size=32"),
        ({8: [0.0] * 3, 32: [-x for x in CLEAR]}, "contradicted", "size=32"),
        ({8: [-x for x in CLEAR], 32: [0.5] * 3}, "contradicted", "size=8"),
    ],
)
def test_claim_on_each_setting_has_the_verdict_of_the_weakest(per_setting, word, weakest):
    result = settings_of(per_setting, each=True)
    assert (result.verdict, result.weakest, result.settings) == (word, weakest, len(per_setting))
    assert result.values == pytest.approx(per_setting[int(weakest.removeprefix("size="))])


def test_p_value_of_a_claim_on_each_setting_combines_those_of_the_settings():
    per_setting = {8: CLEAR, 32: [0.5, 0.9, 1.1], 64: [2.0, 2.1, 1.9]}
    largest = max(stats.ttest_1samp(d, 0, alternative="greater").pvalue for d in per_setting.values())
    assert settings_of(per_setting, each=True).p == pytest.approx(largest)
    against = {size: [-x for x in d] for size, d in per_setting.items()}
    smallest = min(stats.ttest_1samp(d, 0, alternative="less").pvalue for d in against.values())
    assert settings_of(against, each=True).p == pytest.approx(3 * smallest)
    low, high = stats.ttest_1samp(against[64], 0).confidence_interval(1 - 2 * 0.05 / 3)
    result = settings_of(against, each=True)
    assert (result.low, result.high, result.level) == (pytest.approx(low), pytest.approx(high), "96.7 %")


# Without chance ---------------------------------------------------------------------------------------------


def test_one_seed_decides_a_claim_without_chance():
    result = judged([0.5], "sure", kind="greater")
    assert (result.verdict, result.estimate, result.low, result.p, result.deterministic) == (
        "reproduced",
        0.5,
        None,
        None,
        True,
    )
    assert (result.level, result.covers, result.family, result.p_holm) == ("", "", 0, None)
    assert judged([-0.5], "sure", kind="greater").verdict == "contradicted"
    assert judged([0.0], "sure", kind="greater").verdict == "contradicted"


@pytest.mark.parametrize(("fidelity", "sure"), [("identity", True), ("recomputed", True), ("exact", False)])
def test_statement_on_every_draw_is_decided_by_every_single_value(fidelity, sure):
    """A claim of an identity or of printed numbers has no interval, though its metric depends on the seed."""
    result = planned_verdict([0.5, 0.1, 7.0], fidelity=fidelity)
    assert (result.verdict, result.deterministic) == ("reproduced" if sure else "inconclusive", sure)
    assert result.estimate == (pytest.approx(0.1) if sure else pytest.approx(7.6 / 3)), "the worst value of all"
    broken = planned_verdict([0.5, -0.1, 7.0], fidelity=fidelity)
    assert (broken.verdict, broken.estimate < 0) == ("contradicted" if sure else "inconclusive", sure)


def test_metric_that_is_deterministic_on_one_of_two_tasks_alone_has_an_interval():
    sometimes = replace(OTHER, metrics={**OTHER.metrics, "sure": OTHER.metrics["score"]})
    cells = cross("ab", 3, task=[TASK.name, OTHER.name])
    records = measured(cells, lambda c: float(c.method == "a") + 0.1 * c.seed, "sure")
    of = claim(kind="greater", than="b", metric="sure", task=[TASK.name, OTHER.name])
    (sure,) = judge({of.id: of}, cells, records, TASKS)
    (unsure,) = judge({of.id: of}, cells, records, {**TASKS, OTHER.name: sometimes})
    assert (sure.deterministic, sure.verdict) == (True, "reproduced")
    assert (unsure.deterministic, unsure.verdict) == (False, "inconclusive")


def test_without_chance_every_value_must_be_in_the_region():
    inside = settings_of({8: [1.0] * 3, 32: [0.5] * 3}, each=False, metric="sure")
    assert (inside.verdict, inside.estimate, inside.weakest) == ("reproduced", 0.5, "size=32")
    outside = settings_of({8: [9.0] * 3, 32: [0.5, -0.5, 0.5]}, each=False, metric="sure")
    assert (outside.verdict, outside.estimate, outside.weakest, outside.values) == (
        "contradicted",
        -0.5,
        "size=32",
        (0.5, -0.5, 0.5),
    )


def holds_verdict(counts, **test):
    """The verdict on a claim that holds where no cell has violations, with these counts by method and seed."""
    cells = [cell(method, seed) for method, by_seed in counts.items() for seed in range(len(by_seed))]
    records = measured(cells, lambda c: counts[c.method][c.seed], "violations")
    return verdict(claim(**{"kind": "holds", "metric": "violations", **test}), cells, records)


def test_no_violation_among_seeds_of_chance_is_inconclusive():
    """Zero of n is no proof of zero: with 95 % certainty at most a share of 1 - .05^(1/n)."""
    cells = cross("ab", 5)
    of = claim(kind="holds", metric="diagnostic", method=["a", "b"])
    result = verdict(of, cells, measured(cells, lambda _: 0.0, "diagnostic"), LOOKS)
    assert (result.verdict, result.n, result.deterministic) == ("inconclusive", 5, False)
    assert result.cause == "no violation in 10 cells, which leaves room for 45 % of seeds with one"
    worse = verdict(of, cells, measured(cells, lambda c: float(c.seed == 4), "diagnostic"), LOOKS)
    assert worse.verdict == "contradicted"


def test_claim_without_violations_is_reproduced():
    result = holds_verdict({"a": [0.0], "b": [0.0], "c": [7.0]}, method=["a", "b"])
    assert (result.verdict, result.n, result.values, result.deterministic) == ("reproduced", 1, (0.0, 0.0), True)


def test_single_violation_contradicts_and_is_named():
    result = holds_verdict({"a": [0.0, 3.0], "b": [5.0, 0.0]}, method=["a", "b"])
    assert (result.verdict, result.estimate) == ("contradicted", 5.0)
    first = "a on toy/fit cpu float32 seed=1 with 3"
    assert result.cause == f"2 of 4 cells have violations; first: {first}"


def test_claim_without_violations_on_a_method_without_cells_is_not_run():
    result = holds_verdict({"a": [0.0]}, method=["a", "d"])
    assert (result.verdict, result.cause) == (
        "not-run",
        "the suite has no cell for it: needs method d on task toy/fit",
    )


def test_claim_without_violations_with_a_failed_cell_is_not_run():
    cells = cross("a", 2)
    records = measured(cells[:1], lambda _: 0.0, "violations")
    records[cells[1].id] = record(cells[1], "crashed", "killed")
    result = verdict(claim(kind="holds", metric="violations"), cells, records)
    assert (result.verdict, result.cause.split(";")[0]) == ("not-run", "1 of 2 cells have no good record")


def test_claim_without_violations_counts_only_cells_of_its_restriction():
    cells = cross("a", 1, dtype=["float32", "float64"])
    records = measured(cells, lambda c: float(c.dtype == "float32"), "violations")
    exact = claim(kind="holds", metric="violations", where={"dtype": "float64"})
    assert verdict(exact, cells, records).verdict == "reproduced"


# Several claims, devices and names --------------------------------------------------------------------------


def test_devices_are_judged_separately_in_the_order_of_claims_and_plan():
    cells = cross("ab", 3, device=["cuda", "cpu"])
    records = measured(
        cells, lambda c: c.seed + (1.0 + 0.01 * c.seed if (c.method == "a") == (c.device == "cpu") else 0.0)
    )
    claims = {name: claim(name, kind="greater", than="b") for name in ("toy/z", "toy/y")}
    verdicts = judge(claims, cells, records, TASKS, [3])
    assert [(v.claim, v.device, v.verdict) for v in verdicts] == [
        ("toy/z", "cuda", "contradicted"),
        ("toy/z", "cpu", "reproduced"),
        ("toy/y", "cuda", "contradicted"),
        ("toy/y", "cpu", "reproduced"),
    ]


def test_claim_on_one_device_is_judged_only_there():
    cells = cross("ab", 3, device=["cuda", "cpu"])
    of = claim(kind="greater", than="b", where={"device": "cuda"})
    result = verdict(of, cells, measured(cells, lambda c: float(c.method == "a") * (1 + 0.1 * c.seed)))
    assert (result.device, result.verdict) == ("cuda", "reproduced")


def test_error_about_an_unknown_metric_suggests_the_nearest_name():
    with pytest.raises(UnknownName, match=r"claim toy/claim: unknown metric of toy/fit 'scores'; did you mean 'score'"):
        judged(CLEAR, kind="greater").claim and judge(
            {"toy/claim": claim(kind="greater", than="b", metric="scores")}, [], {}, TASKS
        )


def test_unregistered_task_is_an_error():
    cells, records = by_seed(CLEAR)
    with pytest.raises(UnknownName, match="unknown task 'toy/fit'"):
        judge({"toy/claim": claim(kind="greater", than="b")}, cells, records, {})


@pytest.mark.parametrize("test", [{"kind": "greater", "than": "b"}, {"kind": "greater", "than": "z"}])
def test_verdict_is_plain_json_without_infinities(test):
    cells, records = by_seed(CLEAR)
    plain = verdict(claim(**test), cells, records).to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["region"] == [0.0, None]


def test_huge_numbers_of_a_diverged_run_do_not_stop_the_judge():
    result = judged([1e299, 1.1e299, 0.9e299], kind="greater")
    assert (result.verdict, result.estimate) == ("reproduced", pytest.approx(1e299))
    wide = judged([1e299, 0.0, 0.0], kind="ratio", by=1.0)
    assert (wide.verdict, wide.high) == ("inconclusive", math.inf)
    assert json.loads(json.dumps(wide.to_json(), allow_nan=False))["high"] is None
    too_large = judged([1.0, 1e305, 1.0], kind="greater")
    assert too_large.verdict == "not-run"
    assert too_large.cause == "a number is too large to be judged: score is 1e+305 for a on toy/fit cpu float32 seed=1"


def test_number_and_region_are_in_the_claims_own_unit_and_direction():
    """Of a loss the difference is b - a; of a ratio it is times; beside a printed number the metric itself."""
    lower = judged([-0.9, -1.0, -1.1], "error", kind="greater", by=0.5)
    assert (lower.verdict, lower.estimate, lower.region) == ("reproduced", pytest.approx(1.0), (0.5, math.inf))
    times = judged(CLEAR, kind="ratio", by=1.05)
    logs = [math.log((10 + x) / 10) for x in CLEAR]
    low, high = stats.ttest_1samp(logs, 0).confidence_interval(0.9)
    assert (times.low, times.high, times.region) == (
        pytest.approx(math.exp(low)),
        pytest.approx(math.exp(high)),
        (pytest.approx(1.05), math.inf),
    )
    assert (times.scale, times.values) == ("times", pytest.approx([1.09, 1.1, 1.11]))
    cells, records = by_seed(CLEAR, "error")
    printed = verdict(claim(kind="greater", value=12.0, by=0.5, metric="error"), cells, records)
    assert (printed.scale, printed.estimate, printed.region) == ("value", pytest.approx(11.0), (-math.inf, 11.5))
    assert printed.values == pytest.approx([10.9, 11.0, 11.1])
    assert printed.low < 11.0 < printed.high


@pytest.mark.parametrize(
    ("test_set", "covers"),
    [("fixed", "seeds, on one fixed test set"), ("redrawn", "seeds and test sets"), (None, "seeds")],
)
def test_verdict_says_what_its_interval_covers(test_set, covers):
    cells, records = by_seed(CLEAR)
    of = claim(kind="greater", than="b")
    (result,) = judge({of.id: of}, cells, records, {TASK.name: replace(TASK, test_set=test_set)}, [3])
    assert result.covers == covers


# Several tasks ----------------------------------------------------------------------------------------------

BOTH = [TASK.name, OTHER.name]


def on_both(scores, seeds=5, **axes):
    """Cells of a and b on two tasks; a's lead by task (and size) and seed."""
    cells = cross("ab", seeds, task=BOTH, **axes)
    return cells, measured(cells, lambda c: 10.0 + (scores(c) if c.method == "a" else 0.0))


def test_claim_on_several_tasks_is_judged_by_their_average_seed_by_seed():
    cells, records = on_both(lambda c: (1.0 if c.task == TASK.name else 3.0) + 0.1 * c.seed)
    result = verdict(claim(kind="greater", than="b", by=1.5, task=BOTH), cells, records, LOOKS)
    assert result.values == pytest.approx([2.0, 2.1, 2.2, 2.3, 2.4])
    assert (result.verdict, result.settings, result.averaged) == ("reproduced", 2, ("task=toy/fit", "task=toy/other"))
    assert result.covers == "seeds", "the test set is fixed in one of them and redrawn in the other"


def test_each_task_has_the_same_weight_however_many_settings_it_has():
    fit, other = cross("ab", 3, task=[TASK.name], size=[1, 2, 3]), cross("ab", 3, task=[OTHER.name], size=[1])
    cells = [*fit, *other]
    records = measured(cells, lambda c: (c.method == "a") * (c.options["size"] if c.task == TASK.name else 10.0))
    result = verdict(claim(kind="greater", than="b", task=BOTH), cells, records)
    assert result.values == pytest.approx([(2.0 + 10.0) / 2] * 3)
    assert (result.a, result.b) == (pytest.approx(6.0), 0.0)


def test_claim_on_each_of_several_tasks_has_the_verdict_of_the_weakest():
    cells, records = on_both(lambda c: (1.0 if c.task == TASK.name else -1.0) * (1 + 0.1 * c.seed))
    result = verdict(claim(kind="greater", than="b", task=BOTH, each=True), cells, records, LOOKS)
    assert (result.verdict, result.weakest) == ("contradicted", "task=toy/other")


def test_missing_task_is_named_and_not_left_out_of_the_average():
    cells, records = on_both(lambda c: 1.0 + 0.1 * c.seed)
    of = claim(kind="greater", than="b", task=BOTH)
    fewer = [c for c in cells if (c.method, c.task) != ("b", OTHER.name)]
    result = verdict(of, fewer, records, LOOKS)
    cause = "the suite has no cell for it: needs method b on task toy/other"
    assert (result.verdict, result.cause) == ("not-run", cause)
    disjoint = [
        *cross("ab", 5, task=[TASK.name], size=[1]),
        *cross("a", 5, task=[OTHER.name], size=[1]),
        *cross("b", 5, task=[OTHER.name], size=[2]),
    ]
    result = verdict(of, disjoint, measured(disjoint, lambda _: 1.0), LOOKS)
    assert (result.verdict, result.cause) == ("not-run", "no setting of the task toy/other is shared by: a; b")
    unrun = {i: r for i, r in records.items() if r.task == TASK.name}
    assert verdict(of, cells, unrun, LOOKS).cause == "10 of its 20 cells have not run"


def test_tasks_that_disagree_about_the_better_direction_are_an_error():
    turned = replace(OTHER, metrics={"score": TASK.metrics["error"]})
    cells, records = on_both(lambda _: 1.0)
    of = claim(kind="greater", than="b", task=BOTH)
    with pytest.raises(UsageError, match="score is better higher on one of its tasks and not on another"):
        judge({of.id: of}, cells, records, {TASK.name: TASK, OTHER.name: turned})


def test_two_settings_of_one_method_are_compared_at_the_looks():
    cells = cross("a", 5, size=[8, 32])
    records = measured(cells, lambda c: c.options["size"] / 8 + 0.1 * c.seed * (c.options["size"] == 32))
    of = claim(kind="greater", where={"size": 32}, than_where={"size": 8})
    result = verdict(of, cells, records, LOOKS)
    assert (result.verdict, result.values) == ("reproduced", pytest.approx([3.0, 3.1, 3.2, 3.3, 3.4]))
    away = verdict(claim(kind="greater", where={"size": 8}, than_where={"size": 32}), cells, records, LOOKS)
    assert (away.verdict, away.estimate) == ("contradicted", pytest.approx(-3.2))
