"""Rates of wrong verdicts on simulated seeds whose true mean lies exactly on the border.

``rule_for_arrays`` is the rule a second time. Here the judge's own verdicts are compared with it draw by draw,
and its rates are held to what the levels promise. Draws are fixed; a count exceeds its bound once in 10,000 times.
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import rule_for_arrays
import simulate
from scipy import stats
from toy_plan import TASKS, claim, cross, measured

from harness.files.suite import LOOKS
from harness.judge import Interval, holm, holm_corrected, judge, judge_each, planned, position, t_interval
from harness.judge.looks import seeds_that_would_do
from harness.judge.outlier import far_from_the_others

MARGIN = rule_for_arrays.BORDER
CLAIMS = {
    "greater": claim(kind="greater", than="b", by=MARGIN),
    "equal": claim(kind="equal", than="b", tol=MARGIN),
    "reaches": claim(kind="reaches", value=10.0, tol=MARGIN),
    "reaches, exact": claim(kind="reaches", value=10.0, tol=MARGIN, value_runs="exact"),
    "ratio": claim(kind="ratio", than="b", by=1 + MARGIN),
}
KINDS = {kind.name: kind for kind in rule_for_arrays.KINDS}
WORDS = {1: "reproduced", -1: "contradicted", 0: "inconclusive"}


def at_most(rate, trials):
    """The largest plausible count (exceeded once in 10,000) if each trial errs at this rate."""
    return stats.binom.ppf(1 - 1e-4, trials, rate)


def at_least(rate, trials):
    return stats.binom.ppf(1e-4, trials, rate)


def verdicts(of, draws, looks=LOOKS):
    """The judge's verdicts on plans whose differences (log ratios for a ratio) by seed are the rows of draws."""
    cells = cross("ab", draws.shape[1])
    for row in draws:
        values = [10.0 * math.exp(x) if of.test.kind == "ratio" else 10.0 + x for x in row]
        records = measured(cells, lambda c, values=values: values[c.seed] if c.method == "a" else 10.0)
        (verdict,) = judge({of.id: of}, cells, records, TASKS, looks)
        yield verdict


def test_simulation_has_the_looks_and_levels_of_the_judge():
    assert [(look.seeds, look.level) for look in planned(LOOKS)] == [
        (n, pytest.approx(level)) for n, level in zip(rule_for_arrays.LOOKS, rule_for_arrays.LEVELS, strict=True)
    ]


@pytest.mark.parametrize("sd", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("name", CLAIMS)
def test_rule_for_arrays_equals_that_of_the_judge(name, sd):
    """Word and number of seeds of each of 40 plans, at three numbers of seeds and on both sides of the border."""
    kind = KINDS[name]
    border = kind.high if math.isfinite(kind.high) else kind.low
    for n, mean in ((5, border), (13, border + 0.7 * sd), (40, border - 0.5 * sd)):
        draws = np.random.default_rng([n, 7]).normal(mean, sd, (40, n))
        depth = sum(look <= n for look in LOOKS)
        words, seeds = rule_for_arrays.at_looks(draws, kind, LOOKS[:depth], rule_for_arrays.LEVELS[:depth])
        judged = list(verdicts(CLAIMS[name], draws))
        assert [v.verdict for v in judged] == [WORDS[word] for word in words.tolist()]
        assert [v.n for v in judged] == seeds.tolist()
        inside, outside = rule_for_arrays.p_values(draws[:, : seeds.max()], kind)
        for verdict, p_in, p_out in zip(judged, inside, outside, strict=True):
            if verdict.n == seeds.max():
                level = rule_for_arrays.LEVELS[LOOKS.index(verdict.n)]
                p = {"reproduced": p_in, "contradicted": p_out}.get(verdict.verdict, min(p_in, p_out))
                assert verdict.p == pytest.approx(min(1.0, p * 0.05 / level), rel=1e-6, abs=1e-12)


def test_holm_for_arrays_equals_that_of_the_judge():
    p = np.random.default_rng(8).beta(0.3, 1.0, (50, 7))
    for row, adjusted in zip(p.tolist(), rule_for_arrays.holm(p).tolist(), strict=True):
        assert holm(row) == pytest.approx(adjusted)


def family_at_border(random, size):
    """Claims of one family, each exactly on its border, over all looks."""
    methods = [f"m{i}" for i in range(size)]
    leads = dict(zip(methods, random.standard_normal((size, LOOKS[-1])), strict=True))
    cells = cross(["a", *methods], LOOKS[-1])
    records = measured(cells, lambda c: -leads[c.method][c.seed] if c.method in leads else 0.0)
    claims = {f"toy/{m}": claim(f"toy/{m}", kind="greater", than=m) for m in methods}
    return claims, cells, records, np.stack(list(leads.values()))


def test_families_for_arrays_equal_those_of_the_judge():
    random = np.random.default_rng(9)
    reproduced = 0
    for _ in range(12):
        claims, cells, records, draws = family_at_border(random, 5)
        draws[:3] += 1.0
        records = measured(cells, lambda c, draws=draws: -draws[int(c.method[1:])][c.seed] if c.method != "a" else 0.0)
        looks = judge_each(claims, cells, records, TASKS)
        words = [v.verdict == "reproduced" for v in holm_corrected(looks, claims)]
        p = rule_for_arrays.p_over_looks(draws, rule_for_arrays.Kind("greater", 0.0))
        assert words == (rule_for_arrays.holm(p) <= 0.05).tolist()
        reproduced += sum(words)
    assert 12 < reproduced < 60


def test_seeds_that_would_do_for_arrays_equal_those_of_the_judge():
    random = np.random.default_rng(10)
    for n in (5, 10):
        mean, sd = random.normal(0, 0.7, 60), random.gamma(4, 0.25, 60)
        later = [look for look in planned(LOOKS) if look.seeds > n]
        words = {10: "about 10 s", 20: "about 20 s", 40: "about 40 s", 400: "more than 40", 0: "too near"}
        advice_for = rule_for_arrays.would_take(mean, sd, n)
        for m, s, seeds in zip(mean.tolist(), sd.tolist(), advice_for.tolist(), strict=True):
            interval = Interval(m, m - 1, m + 1, n, s, s / math.sqrt(n))
            assert seeds_that_would_do(interval, (0.0, math.inf), later).startswith(words[seeds])


def test_seed_far_from_the_others_for_arrays_is_that_of_the_judge():
    draws = np.random.default_rng(11).standard_t(1, (200, 6))
    expected = [row.argmax() if row.any() else None for row in rule_for_arrays.far_from_the_others(draws)]
    assert [far_from_the_others(row) for row in draws.tolist()] == expected
    assert 20 < sum(place is not None for place in expected) < 180


# Rates -------------------------------------------------------------------------------------------------------

TRIALS = 20_000


def test_no_rule_that_a_person_can_follow_errs_in_more_than_one_in_twenty():
    """Each kind of claim, with the truth on the border, stopped after any look."""
    for name, shares in simulate.border_errors(TRIALS).items():
        assert all(share * TRIALS <= at_most(0.05, TRIALS) for share in shares), name
        assert shares[0] * TRIALS <= at_most(0.035, TRIALS), name
        assert shares == sorted(shares), "more looks decide more"
        if name != "reaches":
            assert shares[-1] * TRIALS >= at_least(0.038, TRIALS), "fewer could not reveal an error"


def test_claims_that_hold_are_contradicted_in_at_most_one_in_twenty():
    for name, shares in simulate.contradicted_errors(TRIALS).items():
        assert all(share * TRIALS <= at_most(0.05, TRIALS) for share in shares), name
        limit = 0.0175 if name in ("equal", "reaches, exact") else 0.035
        assert shares[0] * TRIALS <= at_most(limit, TRIALS), name


def test_looks_at_the_full_level_would_err_more_often():
    """The reason why the looks share the error."""
    rates = simulate.rule_errors(TRIALS)
    shared, *unshared = list(rates.values())[3:]
    assert shared * TRIALS <= at_most(0.05, TRIALS)
    assert all(rate * TRIALS > at_least(0.12, TRIALS) for rate in unshared)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_families_err_in_at_most_one_in_twenty_after_holm(correlation):
    for size, (_, one_look, alone, looks) in simulate.family_errors(TRIALS, correlation).items():
        trials = max(2000, TRIALS // size)
        assert one_look * trials <= at_most(0.05, trials)
        assert looks * trials <= at_most(0.05, trials)
        assert size == 1 or alone > 0.1, "without the correction more of them err"


def test_following_the_seeds_that_would_do_errs_in_at_most_one_in_twenty_and_mostly_decides():
    assert simulate.followed_error(TRIALS) * TRIALS <= at_most(0.05, TRIALS)
    for of in simulate.calibration(TRIALS).values():
        assert all(0.75 < of[seeds][1] < 0.92 for seeds in (20, 40)), "it promises 80 %"
        assert of[0][1] < of[400][1] < 0.75


def test_true_claims_are_reproduced_as_often_as_the_noncentral_t_says():
    """At the first look the power is that of Student's test."""
    for inside, (first, *_, last, seeds) in simulate.powers(TRIALS).items():
        power = stats.nct.sf(stats.t.ppf(0.965, 4), 4, inside * math.sqrt(5))
        assert abs(first - power) < 4 * math.sqrt(power * (1 - power) / TRIALS)
        assert last > first
        assert 5 <= seeds <= 40


def test_interval_covers_the_true_mean():
    """90 % of the intervals at the one-sided level 0.05 contain the true mean."""
    for n in (3, 5, 10):
        trials = 3000
        draws = np.random.default_rng([n, 6]).normal(0.7, 2.0, (trials, n)).tolist()
        missed = sum(not i.low <= 0.7 <= i.high for i in map(t_interval, draws))
        assert at_least(0.1, trials) <= missed <= at_most(0.1, trials)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_judge_itself_reproduces_at_most_one_in_twenty_claims_at_the_border(name):
    """The judge's own verdicts over all looks; a copy of the rule for arrays could share an error with it."""
    trials, kind = 1500, KINDS[name]
    border = kind.high if math.isfinite(kind.high) else kind.low
    draws = simulate.draws_of(simulate.normal, border, trials, 700)
    draws = simulate.minus_printed(draws, kind, 0.1, 701)
    wrong = sum(v.verdict == "reproduced" for v in verdicts(CLAIMS[name], draws))
    assert wrong <= at_most(0.05, trials)
    assert wrong >= at_least(0.03, trials), "if there were fewer, the test could not detect an error"


@pytest.mark.slow
def test_judge_itself_errs_in_at_most_one_in_twenty_families():
    random = np.random.default_rng(12)
    trials, wrong = 300, 0
    for _ in range(trials):
        claims, cells, records, _ = family_at_border(random, 5)
        wrong += any(v.verdict == "reproduced" for v in judge(claims, cells, records, TASKS))
    assert wrong <= at_most(0.05, trials)


@pytest.mark.slow
def test_rates_of_many_draws():
    trials = 200_000
    for shares in (*simulate.border_errors(trials).values(), *simulate.contradicted_errors(trials).values()):
        assert all(share * trials <= at_most(0.05, trials) for share in shares)
    for _, one_look, _, looks in simulate.family_errors(trials).values():
        assert max(one_look, looks) * 10_000 <= at_most(0.05, 10_000)
    assert simulate.followed_error(trials) * trials <= at_most(0.05, trials)


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("sd", [0.01, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("name", ["greater", "equal"])
def test_at_most_one_in_twenty_at_one_look_at_any_number_of_seeds(name, n, sd):
    """A suite that plans a single look has the whole level for it."""
    trials = 200_000
    draws = np.random.default_rng([n, 2]).normal(MARGIN, sd, (trials, n))
    word, _ = rule_for_arrays.at_looks(draws, KINDS[name], (n,), (0.05,))
    assert (word == 1).sum() <= at_most(0.05, trials)


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("sd", [0.05, 0.3, 2.0])
def test_one_look_of_the_judge_equals_the_rule_for_arrays(n, sd):
    draws = np.random.default_rng(n).normal(MARGIN, sd, (100, n))
    for name in ("greater", "equal"):
        words, _ = rule_for_arrays.at_looks(draws, KINDS[name], (n,), (0.05,))
        judged = [v.verdict for v in verdicts(CLAIMS[name], draws, [n])]
        assert judged == [WORDS[word] for word in words.tolist()]
    for row in draws[:20]:
        interval = t_interval(row.tolist())
        inside = rule_for_arrays.p_values(row[None, :], KINDS["greater"])[0][0] <= 0.05
        assert inside == (position(interval, (MARGIN, math.inf)) == "inside")


@pytest.mark.slow
def test_claim_that_holds_in_each_of_many_settings_is_seldom_contradicted_by_the_worst():
    """Each of eight settings lies exactly on the bound of the claim, and the verdict is that of the worst."""
    rng = np.random.default_rng(3)
    of = claim(kind="equal", than="b", tol=MARGIN, each=True)
    cells = cross("ab", 5, size=list(range(8)))
    trials, wrong, reproduced = 300, 0, 0
    for _ in range(trials):
        draws = rng.normal(loc=MARGIN, scale=0.2, size=(8, 5))
        records = measured(cells, lambda c, draws=draws: draws[c.options["size"], c.seed] if c.method == "a" else 0.0)
        (result,) = judge({of.id: of}, cells, records, TASKS)
        wrong += result.verdict == "contradicted"
        reproduced += result.verdict == "reproduced"
    assert wrong <= at_most(0.05, trials)
    assert reproduced == 0


# The page ----------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text("utf-8")


def printed(marker):
    """The rows of a table of the page: the first cell, and the percentages of the others as shares."""
    (table,) = re.findall(rf"<!-- {marker} -->\n\|.*\n\|.*\n((?:\|.*\n)+)", PAGE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    return [(row[0], [float(cell.removesuffix("%")) / 100 for cell in row[1:] if cell.endswith("%")]) for row in rows]


def credible(shares, simulated, trials):
    """Whether printed shares can be these, simulated anew: five standard errors and the rounding of the print."""
    return all(
        abs(a - b) <= 5 * math.sqrt(max(b * (1 - b), 1e-3) * (1 / trials + 1 / 100_000)) + 6e-4
        for a, b in zip(shares, simulated, strict=True)
    )


def by_name(table):
    return lambda trials: {str(key): row for key, row in table(trials).items()}


def advice(trials):
    return {(n, seeds): row for n, of in simulate.calibration(trials).items() for seeds, row in of.items()}


@pytest.mark.parametrize(
    ("marker", "table", "trials"),
    [
        ("border", simulate.border_errors, TRIALS),
        ("inside", simulate.contradicted_errors, TRIALS),
        ("rules", lambda trials: {name: [rate] for name, rate in simulate.rule_errors(trials).items()}, TRIALS),
        ("shapes", simulate.shape_errors, TRIALS),
        ("power", lambda trials: {f"{d:g} sd": row[:-1] for d, row in simulate.powers(trials).items()}, TRIALS),
        ("printed", simulate.printed_runs, TRIALS),
        ("collapse", by_name(simulate.named), TRIALS),
        ("families", by_name(simulate.family_errors), 2000),
        ("families with a shared baseline", by_name(lambda trials: simulate.family_errors(trials, 0.5)), 2000),
    ],
)
def test_printed_rates_are_those_of_the_rule(marker, table, trials):
    simulated = table(trials)
    rows = printed(marker)
    assert [name for name, _ in rows] == list(simulated), "the page has the rows that the script prints"
    for name, shares in rows:
        assert credible(shares, simulated[name], trials), (name, shares, simulated[name])


def test_printed_advice_is_that_of_the_rule():
    rows, simulated = printed("would take"), advice(100_000)
    for (_, shares), row in zip(rows, simulated.values(), strict=True):
        # Of 100,000 claims about half are undecided, and a tenth of these or more get each advice.
        assert credible(shares, row, 4000)
