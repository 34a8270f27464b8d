"""Every kind of verdict, its edge cases, and Holm's correction."""

import json
import math

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from toy_plan import TASKS, by_seed, cell, claim, cross, measured, record, verdict

from harness.errors import UnknownName
from harness.judge import judge


def judged(differences, metric="score", alpha=0.05, **test):
    cells, records = by_seed(differences, metric)
    return verdict(claim(metric=metric, **{"than": "b", **test}), cells, records, alpha)


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
    assert (result.seeds_needed is None) or word == "inconclusive"
    assert not result.deterministic


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


def test_smaller_alpha_decides_less():
    differences = [0.2, 1.0, 1.1, 1.0]
    assert judged(differences, kind="greater").verdict == "reproduced"
    assert judged(differences, kind="greater", alpha=0.001).verdict == "inconclusive"


def test_equal_differences_decide_with_three_seeds():
    result = judged([0.25] * 3, kind="greater")
    assert (result.verdict, result.low, result.high, result.p) == ("reproduced", 0.25, 0.25, 0.0)


def test_tie_in_every_seed_contradicts_greater_and_reproduces_equal():
    assert judged([0.0] * 3, kind="greater").verdict == "contradicted"
    assert judged([0.0] * 3, kind="equal", tol=0.1).verdict == "reproduced"
    assert judged([0.5] * 3, kind="equal", tol=0.5).verdict == "contradicted"
    assert judged([0.0] * 3, kind="ratio", by=1.0).verdict == "contradicted"


def test_difference_in_the_last_place_is_a_tie():
    result = judged([math.ulp(10.0)] * 3, kind="greater")
    assert result.estimate > 0
    assert result.verdict == "contradicted"


def test_ratio_in_the_last_place_is_a_tie():
    cells = cross("ab", 3)
    records = measured(cells, lambda c: 1.0 + (math.ulp(1.0) if c.method == "a" else 0.0))
    assert verdict(claim(kind="ratio", than="b", by=1.0), cells, records).verdict == "contradicted"


def test_difference_equal_to_a_decimal_margin_does_not_exceed_it():
    cells = cross("ab", 3)
    records = measured(cells, lambda c: 0.51 if c.method == "a" else 0.50)
    assert verdict(claim(kind="greater", than="b", by=0.01), cells, records).verdict == "contradicted"


@pytest.mark.parametrize(("seeds", "cause"), [(1, "1 seed;"), (2, "2 seeds;")])
def test_fewer_than_three_seeds_give_no_verdict(seeds, cause):
    result = judged([1.0, 1.1][:seeds], kind="greater")
    assert (result.verdict, result.cause, result.n) == ("not-run", f"{cause} a verdict needs at least 3", seeds)


def test_inconclusive_verdict_has_the_number_of_seeds_that_would_decide():
    result = judged([-0.3, 1.0, 0.8, 0.2], kind="greater", alpha=0.01)
    mean, sd = result.estimate, stats.tstd([-0.3, 1.0, 0.8, 0.2])
    n = next(n for n in range(3, 1000) if mean > stats.t.ppf(0.99, n - 1) * sd / math.sqrt(n))
    assert result.seeds_needed == n


# Several settings -------------------------------------------------------------------------------------------


def settings_of(per_setting, each, **test):
    """The verdict when a minus b has these differences by seed at each size."""
    cells = cross("ab", 3, size=list(per_setting))
    records = measured(cells, lambda c: 10.0 + (per_setting[c.options["size"]][c.seed] if c.method == "a" else 0.0))
    return verdict(claim(**{"kind": "greater", "than": "b", "each": each, **test}), cells, records)


def test_claim_over_several_settings_averages_them_for_each_seed():
    result = settings_of({8: [1.0, 2.0, 3.0], 32: [3.0, 2.0, 1.0]}, each=False)
    assert result.values == (2.0, 2.0, 2.0)
    assert (result.verdict, result.settings, result.weakest) == ("reproduced", 2, "")


@pytest.mark.parametrize(
    ("per_setting", "word", "weakest"),
    [
        ({8: CLEAR, 32: [x + 1 for x in CLEAR]}, "reproduced", "size=8"),
        ({8: CLEAR, 32: NOISY}, "inconclusive", "size=32"),
        ({8: CLEAR, 32: [-x for x in CLEAR], 64: NOISY}, "contradicted", "size=32"),
        ({8: [0.5] * 3, 32: [0.25] * 3}, "reproduced", "size=32"),
        ({8: [-0.5] * 3, 32: [-0.25] * 3, 64: CLEAR}, "contradicted", "size=8"),
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


# Without chance ---------------------------------------------------------------------------------------------


def test_one_seed_decides_a_claim_without_chance():
    result = judged([0.5], kind="greater", seeds=1)
    assert (result.verdict, result.estimate, result.low, result.p, result.deterministic) == (
        "reproduced",
        0.5,
        None,
        None,
        True,
    )
    assert judged([-0.5], kind="greater", seeds=1).verdict == "contradicted"
    assert judged([0.0], kind="greater", seeds=1).verdict == "contradicted"


def test_without_chance_every_value_must_be_in_the_region():
    inside = settings_of({8: [1.0] * 3, 32: [0.5] * 3}, each=False, seeds=1)
    assert (inside.verdict, inside.estimate, inside.weakest) == ("reproduced", 0.5, "size=32")
    outside = settings_of({8: [9.0] * 3, 32: [0.5, -0.5, 0.5]}, each=False, seeds=1)
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


def test_holm_corrects_within_an_article_and_a_device():
    differences = {"b": [0.6, 1.0, 1.4], "c": [0.3, 1.0, 1.9], "d": [0.8, 1.0, 1.3], "e": NOISY}
    cells = cross("abcde", 3, device=["cpu", "cuda"])
    records = measured(cells, lambda c: 10.0 - (differences[c.method][c.seed] if c.method in differences else 0.0))
    claims = {f"toy/{m}": claim(f"toy/{m}", kind="greater", than=m) for m in "bcde"}
    claims["toy/sure"] = claim("toy/sure", kind="greater", than="b", seeds=1)
    claims["toy/absent"] = claim("toy/absent", kind="greater", than="z")
    claims["toy/other"] = claim("toy/other", article="example.org/2", kind="greater", than="b")
    verdicts = {(v.claim, v.device): v for v in judge(claims, cells, records, TASKS)}
    for device in ("cpu", "cuda"):
        family = [verdicts[f"toy/{m}", device] for m in "bcde"]
        adjusted = multipletests([v.p for v in family], method="holm")[1]
        assert [v.p_holm for v in family] == pytest.approx(list(adjusted))
        assert [v.verdict for v in family] == ["reproduced", "inconclusive", "reproduced", "inconclusive"]
        assert [v.holm_verdict for v in family] == ["inconclusive", "inconclusive", "reproduced", "inconclusive"]
        of_other_article = verdicts["toy/other", device]
        assert of_other_article.p_holm == of_other_article.p
        assert of_other_article.holm_verdict == "reproduced"
        assert (verdicts["toy/sure", device].p_holm, verdicts["toy/sure", device].holm_verdict) == (None, "reproduced")
        assert verdicts["toy/absent", device].holm_verdict == "not-run"


def test_devices_are_judged_separately_in_the_order_of_claims_and_plan():
    cells = cross("ab", 3, device=["cuda", "cpu"])
    records = measured(cells, lambda c: c.seed + (1.0 if (c.method == "a") == (c.device == "cpu") else 0.0))
    claims = {name: claim(name, kind="greater", than="b") for name in ("toy/z", "toy/y")}
    verdicts = judge(claims, cells, records, TASKS)
    assert [(v.claim, v.device, v.verdict) for v in verdicts] == [
        ("toy/z", "cuda", "contradicted"),
        ("toy/z", "cpu", "reproduced"),
        ("toy/y", "cuda", "contradicted"),
        ("toy/y", "cpu", "reproduced"),
    ]


def test_claim_on_one_device_is_judged_only_there():
    cells = cross("ab", 3, device=["cuda", "cpu"])
    of = claim(kind="greater", than="b", where={"device": "cuda"})
    result = verdict(of, cells, measured(cells, lambda c: float(c.method == "a")))
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
    assert judged([1e299, 0.0, 0.0], kind="ratio", by=1.0).verdict == "inconclusive"
    too_large = judged([1.0, 1e305, 1.0], kind="greater")
    assert too_large.verdict == "not-run"
    assert too_large.cause == "a number is too large to be judged: score is 1e+305 for a on toy/fit cpu float32 seed=1"
