"""Every kind of verdict at one look: words, ties, units, devices, and the plain JSON of a verdict."""

import json
import math
from dataclasses import replace

import pytest
from scipy import stats
from toy_plan import CLEAR, NOISY, TASK, TASKS, by_seed, claim, cross, judged, measured, verdict

from harness.errors import UnknownName
from harness.judge import judge


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
    result = judged(differences, **test)
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
        judge({"toy/claim": claim(kind="greater", than="b", metric="scores")}, [], {}, TASKS)


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
