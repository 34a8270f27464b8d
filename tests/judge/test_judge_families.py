"""Families of claims (Holm's correction) and checks that must hold before a claim can be judged."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from toy_plan import TASKS, by_seed, check, claim, cross, measured, verdict

from harness.files.suite import LOOKS
from harness.judge import holm_corrected, informative, judge, judge_each, judge_settings

NOISY = [-0.9, 1.0, 1.1, 0.2, -0.3]
#: How far a is above each of the others, by seed.
LEADS = {
    "b": [0.6, 1.0, 1.4, 0.8, 1.2],
    "c": [0.1, 1.0, 1.9, 0.2, 1.5],
    "d": [0.8, 1.0, 1.3, 0.9, 1.1],
    "e": NOISY,
}


def several(device=("cpu",), leads=LEADS):
    cells = cross(["a", *leads], 5, device=list(device))
    return cells, measured(cells, lambda c: 10.0 - (leads[c.method][c.seed] if c.method in leads else 0.0))


def better_than(method, name=None, **fields):
    name = name or f"toy/{method}"
    return {name: claim(name, **{"kind": "greater", "than": method, **fields})}


def p_of(values, level=0.035):
    """For all looks together, by scipy."""
    return min(1.0, stats.ttest_1samp(values, 0, alternative="greater").pvalue * 0.05 / level)


def test_holm_corrects_within_an_article_and_a_device():
    cells, records = several(("cpu", "cuda"))
    claims = {}
    for method in "bcde":
        claims |= better_than(method)
    claims |= better_than("b", "toy/sure", fidelity="identity")
    claims |= better_than("b", "toy/other", article="example.org/2")
    verdicts = {(v.claim, v.device): v for v in judge(claims, cells, records, TASKS)}
    for device in ("cpu", "cuda"):
        family = [verdicts[f"toy/{m}", device] for m in "bcde"]
        adjusted = multipletests([p_of(LEADS[m]) for m in "bcde"], method="holm")[1]
        assert [v.p_holm for v in family] == pytest.approx(list(adjusted))
        assert [v.alone for v in family] == ["reproduced", "reproduced", "reproduced", "inconclusive"]
        assert [v.verdict for v in family] == ["reproduced", "inconclusive", "reproduced", "inconclusive"]
        assert [v.family for v in family] == [4] * 4
        assert family[1].cause == "reproduced if it were the only claim, not as one of 4"
        of_other_article = verdicts["toy/other", device]
        assert of_other_article.p_holm == of_other_article.p == pytest.approx(p_of(LEADS["b"]))
        assert (of_other_article.verdict, of_other_article.family) == ("reproduced", 1)
        sure = verdicts["toy/sure", device]
        assert (sure.p, sure.p_holm, sure.family, sure.verdict) == (None, None, 0, "reproduced")


def test_claims_that_have_not_run_count_in_their_family():
    """A family does not shrink with what was run: such a claim has a p-value of 1."""
    cells, records = several()
    claims = (
        better_than("b") | better_than("d") | {f"toy/z{i}": claim(f"toy/z{i}", kind="greater", than="z") for i in "12"}
    )
    verdicts = judge(claims, cells, records, TASKS)
    adjusted = multipletests([p_of(LEADS["b"]), p_of(LEADS["d"]), 1.0, 1.0], method="holm")[1]
    assert [v.p_holm for v in verdicts[:2]] == pytest.approx(list(adjusted[:2]))
    assert [(v.verdict, v.alone, v.p_holm) for v in verdicts[2:]] == [("not-run", "not-run", None)] * 2
    assert {v.family for v in verdicts[:2]} == {4}


def test_claims_with_too_few_seeds_or_without_spread_count_in_their_family():
    cells, records = several(leads={"b": LEADS["b"], "f": [1.0] * 5})
    verdicts = judge(better_than("b") | better_than("f"), cells, records, TASKS)
    assert [(v.family, v.verdict) for v in verdicts] == [(2, "reproduced"), (2, "inconclusive")]
    assert verdicts[0].p_holm == pytest.approx(2 * p_of(LEADS["b"]))
    few = [c for c in cells if c.method != "f" or c.seed < 4]
    assert judge(better_than("b") | better_than("f"), few, records, TASKS)[0].p_holm == pytest.approx(
        2 * p_of(LEADS["b"])
    )


def test_our_questions_are_a_family_of_their_own():
    cells, records = several()
    claims = better_than("b", origin="article") | better_than("c", origin="paper") | better_than("d", origin="article")
    claims |= {name: q for m in "bcde" for name, q in better_than(m, f"toy/ours-{m}", origin="ours").items()}
    claims |= better_than("b", "toy/peer", origin="peer")
    families = {v.claim: v.family for v in judge(claims, cells, records, TASKS)}
    assert families == {
        "toy/b": 2,
        "toy/d": 2,
        "toy/c": 1,
        **{f"toy/ours-{m}": 4 for m in "bcde"},
        "toy/peer": 1,
    }


def test_primary_claim_is_judged_alone_and_leaves_the_family_of_the_others():
    cells, records = several()
    claims = better_than("c", origin="article", primary=True)
    claims |= better_than("b", origin="article") | better_than("d", origin="article")
    by_claim = {v.claim: v for v in judge(claims, cells, records, TASKS)}
    assert (by_claim["toy/c"].family, by_claim["toy/c"].verdict) == (1, "reproduced")
    assert by_claim["toy/c"].p_holm == by_claim["toy/c"].p
    assert by_claim["toy/b"].family == by_claim["toy/d"].family == 2
    secondary = better_than("c", origin="article") | claims.copy()
    del secondary["toy/c"]
    demoted = judge(better_than("c", origin="article") | secondary, cells, records, TASKS)
    assert {v.family for v in demoted} == {3}


def test_later_look_may_stand_where_the_first_is_taken_back():
    """Holm takes back the first look; the second, with a smaller p-value, stands."""
    random = np.random.default_rng(5)
    strong = [0.9, 0.4, 1.6, 0.6, 1.2, *(1.0 + 0.3 * random.standard_normal(5))]
    p = [p_of(strong[:5]), p_of(strong, 0.005)]
    assert 0.05 / 6 < p[0] <= 0.05
    assert p[1] <= 0.05 / 6
    cells, records = by_seed(strong)
    claims = better_than("b") | {f"toy/z{i}": claim(f"toy/z{i}", kind="greater", than="z") for i in range(5)}
    result, *_ = judge(claims, cells, records, TASKS, LOOKS)
    assert (result.verdict, result.n, result.p_holm) == ("reproduced", 10, pytest.approx(6 * p[1]))
    fewer = [c for c in cells if c.seed < 5]
    early, *_ = judge(claims, fewer, records, TASKS, LOOKS)
    assert (early.verdict, early.alone, early.n, early.p_holm) == (
        "inconclusive",
        "reproduced",
        5,
        pytest.approx(6 * p[0]),
    )


def test_holm_over_claims_at_several_looks_equals_that_of_statsmodels():
    """The p-value of a claim is its smallest among the looks that decide it; statsmodels' Holm over these."""
    random = np.random.default_rng(6)
    for _ in range(20):
        leads = {m: random.normal(random.choice([0.0, 0.6, 1.2]), 1.0, 20).tolist() for m in "bcdef"}
        cells = cross(["a", *leads], 20)
        records = measured(cells, lambda c, leads=leads: -leads[c.method][c.seed] if c.method in leads else 0.0)
        claims = {}
        for method in leads:
            claims |= better_than(method)
        looks = judge_each(claims, cells, records, TASKS)
        smallest = [min(v.p for v in each) for each in looks]
        rejected, adjusted, *_ = multipletests(smallest, method="holm")
        verdicts = holm_corrected(looks, claims)
        assert [v.verdict != "inconclusive" for v in verdicts] == rejected.tolist()
        assert all(v.p_holm >= p * (1 - 1e-12) for v, p in zip(verdicts, adjusted, strict=True))


# Settings of a claim ----------------------------------------------------------------------------------------


def each_setting(leads, others=(), check_word="reproduced"):
    """A claim on each size with these leads of a by seed, beside other claims of its source: it and its settings."""
    cells = cross("abc", len(leads[8]), size=list(leads))
    records = measured(cells, lambda c: 10.0 + (leads[c.options["size"]][c.seed] if c.method == "a" else 0.0))
    of = claim("toy/each", kind="greater", than="b", each=True)
    claims = {of.id: of, **{c.id: c for c in others}}
    judged = judge(claims, cells, records, TASKS, LOOKS)
    checked = replace(judged[0], claim="toy/check", verdict=check_word)
    whole = informative(judged, [checked], {of.id: ["toy/check"]})[0]
    return whole, judge_settings(of, whole, cells, records, TASKS, LOOKS)


FAR = {8: [0.9, 1.0, 1.1, 1.05, 0.95], 32: [1.0, 0.2, 0.9, 1.2, 0.3]}


def test_each_setting_of_a_claim_has_a_verdict_and_the_weakest_is_that_of_the_claim():
    whole, (strong, weak) = each_setting(FAR)
    assert [v.weakest for v in (strong, weak)] == ["size=8", "size=32"]
    assert [v.verdict for v in (whole, strong, weak)] == ["reproduced"] * 3
    assert (weak.estimate, weak.low, weak.high, weak.p, weak.n) == (whole.estimate, whole.low, whole.high, whole.p, 5)
    assert weak.p == pytest.approx(stats.ttest_1samp(FAR[32], 0, alternative="greater").pvalue * 0.05 / 0.035)
    assert strong.p < weak.p


def test_settings_are_corrected_for_the_other_claims_of_the_source_as_the_claim_is():
    others = [claim(f"toy/{i}", kind="greater", method="b", than="c") for i in range(9)]
    whole, (strong, weak) = each_setting(FAR, others)
    assert whole.p_holm == pytest.approx(10 * whole.p)
    assert (whole.verdict, weak.verdict) == ("inconclusive", "inconclusive")
    assert 10 * strong.p < 0.05
    assert strong.verdict == "reproduced"


def test_settings_of_a_claim_that_is_not_informative_are_not_either():
    whole, settings = each_setting(FAR, check_word="contradicted")
    assert {v.verdict for v in (whole, *settings)} == {"not-informative"}


def test_settings_before_the_first_look_are_undecided():
    whole, settings = each_setting({size: leads[:4] for size, leads in FAR.items()})
    assert (whole.verdict, whole.n) == ("inconclusive", 4)
    assert [(v.verdict, v.n, v.cause) for v in settings] == [
        ("inconclusive", 4, "4 seeds, and the first look is at 5")
    ] * 2
    low, high = stats.ttest_1samp(FAR[8][:4], 0).confidence_interval(0.9)
    assert (settings[0].low, settings[0].high) == (pytest.approx(low), pytest.approx(high))


def test_claim_on_one_setting_has_no_settings():
    assert each_setting({8: FAR[8]})[1] == []


# Checks -----------------------------------------------------------------------------------------------------


def with_check(leads, check_, claims=None, looks=LOOKS, methods="ab", values=None):
    """The verdicts of claims that rest on a check, whatever metric it is on."""
    cells = cross(methods, len(leads))
    records = measured(cells, values or (lambda c: 10.0 + (leads[c.seed] if c.method == "a" else 0.0)))
    claims = claims or better_than("b")
    judged = holm_corrected(judge_each(claims, cells, records, TASKS, looks), claims)
    checks = [looks[0] for looks in judge_each({check_.id: check_}, cells, records, TASKS, looks)]
    return informative(judged, checks, {name: [check_.id] for name in claims}), checks


CLEAR = [0.9, 1.0, 1.1, 1.05, 0.95]


@pytest.mark.parametrize(
    ("test", "state", "word", "cause"),
    [
        ({"value": 5.0}, "reproduced", "reproduced", ""),
        ({"value": 50.0}, "contradicted", "not-informative", "the check toy/check fails"),
        ({"value": 11.0}, "inconclusive", "not-informative", "the check toy/check is undecided"),
        (
            {"method": "z"},
            "not-run",
            "not-informative",
            "the check toy/check has not run: the suite has no cell for it: needs method z on task toy/fit",
        ),
    ],
)
def test_claim_is_informative_only_where_its_check_holds(test, state, word, cause):
    (result,), (judged,) = with_check(CLEAR, check(**test))
    assert judged.verdict == state
    assert (result.verdict, result.cause, result.alone) == (word, cause, "reproduced")
    assert result.estimate == pytest.approx(1.0), "the numbers are shown all the same"


def test_undecided_check_says_why():
    (result,), _ = with_check(CLEAR[:4], check(value=5.0))
    cause = "the check toy/check is undecided: 4 seeds, and the first look is at 5"
    assert (result.verdict, result.cause) == ("not-informative", cause)


def test_claim_that_has_not_run_stays_so_whatever_its_check_says():
    (result,), _ = with_check(CLEAR, check(value=50.0), better_than("z"))
    assert result.verdict == "not-run"


def test_check_without_cells_on_the_device_is_not_passed():
    """A check that is restricted to another device says nothing about this one."""
    of = check(value=5.0, where={"device": "cuda"})
    cells = cross("ab", 5, device=["cpu", "cuda"])
    records = measured(cells, lambda c: 10.0 + CLEAR[c.seed] * (c.method == "a"))
    claims = better_than("b")
    judged = holm_corrected(judge_each(claims, cells, records, TASKS), claims)
    checks = [looks[0] for looks in judge_each({of.id: of}, cells, records, TASKS)]
    words = {v.device: (v.verdict, v.cause) for v in informative(judged, checks, {"toy/b": [of.id]})}
    assert words["cuda"] == ("reproduced", "")
    assert words["cpu"] == ("not-informative", "the check toy/check has no cells here")


def test_check_that_no_device_has_cells_for_has_not_run_on_any():
    (of,) = better_than("b").values()
    cells, records = by_seed(CLEAR)
    judged = [verdict(of, cells, records, LOOKS)]
    nowhere = replace(judged[0], claim="toy/check", device="", verdict="not-run", cause="no cells")
    (result,) = informative(judged, [nowhere], {of.id: ["toy/check"]})
    assert (result.verdict, result.cause) == ("not-informative", "the check toy/check has not run: no cells")
    assert informative(judged, [nowhere], {}) == tuple(judged), "a claim that rests on nothing"


def test_contradicted_claim_on_a_failed_check_is_not_contradicted():
    (result,), _ = with_check([-x for x in CLEAR], check(value=50.0))
    assert (result.verdict, result.alone) == ("not-informative", "contradicted")


def test_control_that_tells_the_same_thing_apart_fails():
    """Two settings of one method that must not differ, here by 3."""
    cells = cross("ab", 5, size=[8, 32])
    records = measured(
        cells,
        lambda c: 10.0 + CLEAR[c.seed] * (c.method == "a") + 3.0 * (c.options["size"] == 32) * (1 + 0.01 * c.seed),
    )
    control = check(kind="control").model_copy(
        update={"test": claim(kind="equal", where={"size": 8}, than_where={"size": 32}, tol=1.0).test}
    )
    (looks,) = judge_each({control.id: control}, cells, records, TASKS)
    assert looks[0].verdict == "contradicted"
    assert looks[0].region == (-1.0, 1.0)


def test_checks_are_not_corrected_and_leave_the_families_of_claims_alone():
    results, (judged,) = with_check(CLEAR, check(value=5.0), better_than("b") | better_than("z"))
    assert [v.family for v in results] == [2, 2]
    assert (judged.p_holm, judged.family) == (None, 0)


def test_infinite_region_of_a_check_is_its_own():
    _, (judged,) = with_check(CLEAR, check(value=5.0))
    assert judged.region == (5.0, math.inf)
    assert verdict(claim(kind="greater", value=5.0), *by_seed(CLEAR), LOOKS).region == judged.region
