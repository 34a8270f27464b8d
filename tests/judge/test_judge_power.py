"""The smallest difference that seeds show with a probability of 80 %: against scipy and simulation, for every claim."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rule_for_arrays
import simulate
from rule_for_arrays import KINDS, LEVELS, LOOKS, Kind, p_values
from scipy import optimize, stats
from toy_plan import TASKS, by_seed, check, claim, cross, measured

from harness.cell import Record
from harness.judge import judge, planned, power_of, seen_text, sentence
from harness.judge.looks import Look
from harness.judge.power import smallest_shown, upper_sd, with_smallest
from harness.planning.plan import make_plan
from harness.planning.request import Request
from harness.registry import load_registry

KIND_FOLDER = str(Path(__file__).parents[1] / "kinds")
TRIALS = 40_000
#: Four standard errors of a power of .8 over so many trials, and as much again for the draws behind the number.
NEAR = 8 * math.sqrt(0.8 * 0.2 / TRIALS)


def by_scipy(n, level):
    """The distance, in standard deviations, at which one t-test has a power of 80 %."""

    def missing(d):
        return float(stats.nct.sf(stats.t.ppf(1 - level, n - 1), n - 1, d * math.sqrt(n))) - 0.8

    return optimize.brentq(missing, 1e-3, 50.0)


def upper(values):
    """The upper end of the 80 % interval of a standard deviation."""
    n = len(values)
    return float(np.std(values, ddof=1)) * math.sqrt((n - 1) / stats.chi2.ppf(0.2, n - 1))


# The number ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [1, 7])
@pytest.mark.parametrize("n", [5, 10, 20, 40])
def test_smallest_difference_at_one_look_is_that_of_the_noncentral_t(n, family):
    level = 0.05 / family
    assert smallest_shown([2.0], [Look(n, level)]) == pytest.approx(2.0 * by_scipy(n, level), rel=0.02)


@pytest.mark.parametrize("family", [1, 7])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_claim_is_reproduced_in_80_percent_of_the_cases_at_the_smallest_difference(depth, family):
    looks, levels = LOOKS[:depth], [level / family for level in LEVELS[:depth]]
    inside = smallest_shown([0.1], [Look(n, level) for n, level in zip(looks, levels, strict=True)])
    draws = simulate.draws_of(simulate.normal, rule_for_arrays.BORDER + inside, TRIALS, 900 + depth)
    words, _ = rule_for_arrays.at_looks(draws, KINDS[0], looks, levels)
    assert np.mean(words == 1) == pytest.approx(0.8, abs=NEAR)


@pytest.mark.parametrize("runs", [math.inf, 1, 20])
@pytest.mark.parametrize("depth", [2, 4])
def test_so_is_one_between_two_borders_beside_a_printed_number(depth, runs):
    looks, levels, half = LOOKS[:depth], LEVELS[:depth], 0.6
    kind = Kind("reaches", -half, half, runs=runs)
    inside = smallest_shown([0.1], planned(LOOKS)[:depth], 2 * half, runs)
    draws = simulate.draws_of(simulate.normal, half - inside, TRIALS, 950 + depth)
    words, _ = rule_for_arrays.at_looks(simulate.minus_printed(draws, kind, 0.1, 951), kind, looks, levels)
    assert np.mean(words == 1) == pytest.approx(0.8, abs=NEAR)


def test_borders_nearer_than_the_noise_show_no_truth():
    assert smallest_shown([1.0], planned(LOOKS), width=0.5) == math.inf
    assert smallest_shown([1.0], planned(LOOKS), width=2.0) < 1.0


def test_each_of_several_settings_must_be_shown_at_the_same_look():
    """Settings of different spread, all by the same distance inside; drawn one by one, seed by seed."""
    spreads, depth = (0.1, 0.2, 0.2), 2
    inside = smallest_shown(spreads, planned(LOOKS)[:depth])
    random = np.random.default_rng(3)
    every = [inside + sd * random.standard_normal((TRIALS, LOOKS[depth - 1])) for sd in spreads]
    shown = np.zeros(TRIALS, dtype=bool)
    for n, level in zip(LOOKS[:depth], LEVELS[:depth], strict=True):
        shown |= np.all([p_values(draws[:, :n], Kind("greater", 0.0))[0] <= level for draws in every], axis=0)
    assert shown.mean() == pytest.approx(0.8, abs=NEAR)


@pytest.mark.parametrize("n", [3, 5, 20])
def test_true_spread_lies_below_the_upper_end_in_80_percent_of_the_cases(n):
    draws = np.random.default_rng(n).normal(0.0, 2.0, (4000, n))
    ends = [upper_sd(sd, n) for sd in draws.std(axis=1, ddof=1).tolist()]
    assert np.mean(np.asarray(ends) >= 2.0) == pytest.approx(0.8, abs=0.03)


# Beside a verdict ---------------------------------------------------------------------------------------------

#: Undecided at five seeds.
OPEN = [0.9, -0.4, 0.8, -0.2, 0.5]


def seen(differences, family=1, metric="score", **test):
    """The verdict of a claim, as one of several of its family."""
    cells, records = by_seed(differences, metric)
    of = claim(**{"kind": "greater", "than": "b", "metric": metric, **test})
    others = [claim(f"toy/other{i}", kind="greater", than="never") for i in range(family - 1)]
    claims = {c.id: c for c in (of, *others)}
    return with_smallest(judge(claims, cells, records, TASKS), claims, LOOKS)[0]


def test_inconclusive_verdict_says_what_its_seeds_could_have_shown():
    verdict = seen(OPEN)
    assert verdict.verdict == "inconclusive"
    assert verdict.could_have_seen == pytest.approx(upper(OPEN) * by_scipy(5, 0.035), rel=0.02)
    assert seen_text(verdict) == f"could have seen {verdict.could_have_seen:.2g}"
    assert seen_text(verdict) in sentence(verdict, claim(kind="greater", than="b"))
    assert verdict.to_json()["could_have_seen"] == verdict.could_have_seen


def test_level_is_that_which_holm_leaves_to_the_smallest_p_value_of_the_family():
    assert seen(OPEN, family=6).could_have_seen == pytest.approx(upper(OPEN) * by_scipy(5, 0.035 / 6), rel=0.02)


def test_looks_are_those_that_the_records_have_reached():
    values = [*OPEN, *(x - 0.2 for x in OPEN)]
    expected = upper(values) * smallest_shown([1.0], planned(LOOKS)[:2])
    assert seen(values).could_have_seen == pytest.approx(expected)
    assert seen(OPEN[:4]).could_have_seen is None, "before the first look"


def test_spread_is_that_of_the_differences_and_not_of_a_side():
    """Both sides move by ten from seed to seed, together."""
    cells = cross("ab", 5)
    records = measured(cells, lambda c: 10.0 * c.seed + (OPEN[c.seed] if c.method == "a" else 0.0))
    of = claim(kind="greater", than="b")
    (verdict,) = with_smallest(judge({of.id: of}, cells, records, TASKS), {of.id: of}, LOOKS)
    assert verdict.could_have_seen == pytest.approx(seen(OPEN).could_have_seen)


def test_ratio_is_seen_in_times_beyond_its_border():
    cells = cross("ab", 5)
    records = measured(cells, lambda c: 1.5 * math.exp(OPEN[c.seed]) if c.method == "a" else 1.0)
    of = claim(kind="ratio", than="b", by=1.5)
    (verdict,) = with_smallest(judge({of.id: of}, cells, records, TASKS), {of.id: of}, LOOKS)
    expected = 1.5 * (math.exp(upper(OPEN) * by_scipy(5, 0.035)) - 1)
    assert verdict.could_have_seen == pytest.approx(expected, rel=0.05)
    assert seen_text(verdict).endswith(" times beyond 1.5")


def test_text_names_a_border_that_is_not_zero():
    assert seen_text(seen([x + 0.5 for x in OPEN], by=0.5)).endswith(" beyond +0.5")
    assert seen_text(seen(OPEN, kind="equal", tol=10.0)) == "", "decided"
    assert seen_text(seen([x + 2.0 for x in OPEN], kind="equal", tol=2.2)).endswith(" inside its borders")
    assert seen_text(seen(OPEN, kind="equal", tol=0.1)).startswith("could have seen none")


def test_decided_verdicts_and_those_without_spread_say_nothing():
    assert seen([0.9, 1.0, 1.1, 1.0, 0.9]).could_have_seen is None
    assert seen([1.0] * 5).could_have_seen is None
    of = check()
    cells = cross("a", 5)
    records = measured(cells, lambda c: OPEN[c.seed])
    (verdict,) = with_smallest(judge_check(of, cells, records), {of.id: of}, LOOKS)
    assert verdict.could_have_seen == pytest.approx(seen(OPEN).could_have_seen), "a check is judged alone"


def judge_check(of, cells, records):
    from harness.judge import judge_each

    return [looks[0] for looks in judge_each({of.id: of}, cells, records, TASKS)]


# Before the run -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kinds():
    registry = load_registry((KIND_FOLDER,))
    return lambda folder, **fields: make_plan(Request(suite="kinds", results=folder, **fields), registry)


def level_of(cell):
    """Both methods move together from seed to seed, and differ by less; the loss is its logarithm."""
    random = np.random.default_rng([cell.seed, cell.options["width"], len(cell.task)])
    common = random.normal(0.0, 0.05)
    own = np.random.default_rng([cell.seed, cell.options["width"], ord(cell.method[0])]).normal(0.0, 0.01)
    return {"score": 0.8 + common + own, "loss": math.exp(common + own), "size": 1.0, "violations": 0.0}


def pilot_of(plan, seeds, methods=("new", "old", "chance"), **fields):
    """Records of seeds that the suite does not use, by other code."""
    cells = [replace(c, code="earlier").with_seed(c.seed + 100) for c in plan.scope if c.seed < seeds]
    return {c.id: record_of(c, **fields) for c in cells if c.method in methods}


def record_of(cell, **fields):
    axes = ("id", "suite", "method", "task", "options", "device", "dtype", "seed")
    return Record(**{name: getattr(cell, name) for name in axes}, status="done", metrics=level_of(cell), **fields)


def differences(metric, seeds, pairs, log=False):
    """By seed the mean over (method, task, width, weight) of a metric: by hand, from the records' rule."""
    from types import SimpleNamespace

    def number(method, task, width, seed):
        value = level_of(SimpleNamespace(method=method, task=task, options={"width": width}, seed=seed))[metric]
        return math.log(value) if log else value

    return [sum(weight * number(m, t, w, seed) for m, t, w, weight in pairs) for seed in seeds]


FIT, OTHER = "kinds/fit", "kinds/other"
NEW_OLD = [("new", FIT, 8, 0.5), ("old", FIT, 8, -0.5), ("new", FIT, 16, 0.5), ("old", FIT, 16, -0.5)]
BOTH = {
    "kinds/greater": ("score", NEW_OLD, False),
    "kinds/ratio": ("loss", NEW_OLD, True),
    "kinds/lower": ("loss", [(m, t, w, x / 2) for t in (FIT, OTHER) for m, _, w, x in NEW_OLD], False),
    "kinds/above": ("score", [("new", FIT, 16, 1.0)], False),
    "kinds/gap": ("score", [("new", FIT, 16, 1), ("old", FIT, 16, -1), ("new", FIT, 8, -1), ("old", FIT, 8, 1)], False),
}


@pytest.mark.parametrize("name", BOTH)
def test_plan_takes_the_spread_from_pairs_recorded_under_the_same_settings(kinds, tmp_path, name):
    metric, pairs, log = BOTH[name]
    plan = kinds(tmp_path, seeds=10)
    pilot = pilot_of(plan, 8)
    (power,) = [p for p in power_of(plan, pilot) if p.verdict.claim == name]
    assert power.source == ("8 seeds" if name == "kinds/above" else "pairs of 8 seeds")
    assert power.seeds == 10
    sd = upper(differences(metric, range(100, 108), pairs, log))
    for family, shown in ((power.verdict.family, power.smallest), (1, power.alone)):
        looks = [Look(look.seeds, look.level / family) for look in planned(LOOKS)[:2]]
        expected = smallest_shown([sd], looks)
        assert shown == pytest.approx(2 * (math.exp(expected) - 1) if log else expected)


@pytest.mark.parametrize("name", ["kinds/greater", "kinds/ratio", "kinds/lower", "kinds/gap"])
def test_plan_takes_the_spread_from_the_baseline_alone_times_the_square_root_of_two(kinds, tmp_path, name):
    metric, pairs, log = BOTH[name]
    plan = kinds(tmp_path)
    (power,) = [p for p in power_of(plan, pilot_of(plan, 5, ["old"])) if p.verdict.claim == name]
    assert power.source == "5 seeds of old alone"
    of_baseline = [pair for pair in pairs if pair[0] == "old"]
    sd = math.sqrt(2) * upper(differences(metric, range(100, 105), of_baseline, log))
    expected = smallest_shown([sd], planned(LOOKS)[:1])
    assert power.alone == pytest.approx(2 * (math.exp(expected) - 1) if log else expected)


def test_claim_that_must_hold_in_each_setting_has_a_spread_for_each(kinds, tmp_path):
    plan = kinds(tmp_path)
    (power,) = [p for p in power_of(plan, pilot_of(plan, 5)) if p.verdict.claim == "kinds/each"]
    sds = [
        upper(differences("score", range(100, 105), [("new", FIT, width, 1.0), ("old", FIT, width, -1.0)]))
        for width in (8, 16)
    ]
    assert power.alone == pytest.approx(smallest_shown(sds, planned(LOOKS)[:1]))


def test_plan_has_a_line_for_each_claim_of_chance_and_the_answer_comes_first(kinds, tmp_path):
    powers = power_of(kinds(tmp_path))
    names = [power.verdict.claim for power in powers]
    assert names[:2] == ["kinds/greater", "kinds/ratio"], "the suite's answer"
    certain = {"kinds/holds", "kinds/counted", "kinds/smaller", "kinds/untestable"}
    assert not certain & set(names)
    assert {"kinds/each", "kinds/equal", "kinds/reaches", "kinds/never"} < set(names)
    by_name = {power.verdict.claim: power.text for power in powers}
    assert by_name["kinds/greater"] == "not known: no records of the baseline; --pilot FOLDER"
    assert by_name["kinds/above"] == "not known: no records of new; --pilot FOLDER"


def test_settings_with_other_options_and_too_few_seeds_tell_no_spread(kinds, tmp_path):
    plan = kinds(tmp_path)
    pilot = pilot_of(plan, 5)
    other = {i: replace(r, options={"width": 32}) for i, r in pilot.items()}
    powers = {p.verdict.claim: p for p in power_of(plan, other)}
    assert powers["kinds/greater"].smallest is None
    powers = {p.verdict.claim: p for p in power_of(plan, pilot_of(plan, 2))}
    assert powers["kinds/greater"].text == "not known: only 2 seeds of the baseline; --pilot FOLDER"
    assert powers["kinds/greater"].to_json()["smallest"] is None
    powers = {p.verdict.claim: p for p in power_of(plan, {i: r for i, r in pilot.items() if r.options["width"] == 8})}
    assert powers["kinds/greater"].smallest is None, "one of the two widths that are averaged is missing"


def test_looks_of_the_plan_are_those_of_its_seeds_and_all_until_decided(kinds, tmp_path):
    def of(plan):
        return next(p for p in power_of(plan, pilot_of(plan, 3)) if p.verdict.claim == "kinds/greater")

    assert of(kinds(tmp_path, seeds=3)).text == "none: 3 seeds, and the first look is at 5"
    five, twelve, until = of(kinds(tmp_path)), of(kinds(tmp_path, seeds=12)), of(kinds(tmp_path, until_decided=True))
    assert (five.seeds, twelve.seeds, until.seeds) == (5, 12, 40)
    assert five.smallest > twelve.smallest > until.smallest
    unit = twelve.smallest / five.smallest
    assert unit == pytest.approx(smallest_shown([1.0], planned(LOOKS)[:2]) / smallest_shown([1.0], planned(LOOKS)[:1]))
