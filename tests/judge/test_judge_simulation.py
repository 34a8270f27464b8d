"""Rates of wrong verdicts on simulated seeds whose true mean lies exactly at the margin.

A claim whose effect only equals its margin must be reproduced in at most 5 % of the cases. The judge itself decides a
few thousand plans; a vectorised copy of its rule, compared with it draw by draw, decides many more.
"""

import math

import numpy as np
import pytest
from scipy import stats
from toy_plan import TASKS, claim, cross, measured

from harness.judge import LOOK_ALPHA, judge, p_values, position, t_interval
from harness.planning.request import LOOKS

pytestmark = pytest.mark.slow

MARGIN = 0.3
GREATER = claim(kind="greater", than="b", by=MARGIN)
EQUAL = claim(kind="equal", than="b", tol=MARGIN)
REACHES = claim(kind="reaches", value=10.0, tol=MARGIN)


def at_most(rate, trials):
    """The largest plausible count (exceeded once in 10,000) if each trial errs at this rate."""
    return stats.binom.ppf(1 - 1e-4, trials, rate)


def decided(draws, alpha, low, high):
    """1 inside, -1 outside, 0 across, for each row of draws: the judge's rule for arrays."""
    n = draws.shape[1]
    mean = draws.mean(axis=1)
    half = stats.t.ppf(1 - alpha, n - 1) * draws.std(axis=1, ddof=1) / math.sqrt(n)
    inside = (mean - half > low) & (mean + half < high)
    return inside.astype(int) - ((mean + half <= low) | (mean - half >= high))


def words(of, draws, alpha=0.05):
    """The judge's verdicts on plans whose differences by seed are the rows of draws."""
    cells = cross("ab", draws.shape[1])
    for row in draws:
        records = measured(cells, lambda c, row=row: 10.0 + (row[c.seed] if c.method == "a" else 0.0))
        (verdict,) = judge({of.id: of}, cells, records, TASKS, alpha)
        yield verdict.verdict


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("sd", [0.05, 0.3, 2.0])
@pytest.mark.parametrize(("of", "low", "high"), [(GREATER, MARGIN, math.inf), (EQUAL, -MARGIN, MARGIN)])
def test_rule_for_arrays_equals_that_of_the_judge(of, low, high, n, sd):
    draws = np.random.default_rng(n).normal(MARGIN, sd, (100, n))
    names = {1: "reproduced", -1: "contradicted", 0: "inconclusive"}
    assert list(words(of, draws)) == [names[x] for x in decided(draws, 0.05, low, high).tolist()]
    for row in draws[:20]:
        interval = t_interval(row.tolist())
        assert (p_values(interval, (low, high))[0] <= 0.05) == (position(interval, (low, high)) == "inside")


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("of", [GREATER, EQUAL, REACHES], ids=lambda of: of.test.kind)
def test_judge_reproduces_at_most_one_in_twenty_claims_at_the_margin(of, n):
    trials = 2000
    draws = np.random.default_rng([n, 1]).normal(MARGIN, 0.1, (trials, n))
    wrong = sum(word == "reproduced" for word in words(of, draws))
    assert wrong <= at_most(0.05, trials)
    if of is GREATER or n > 3:
        assert wrong >= stats.binom.ppf(1e-4, trials, 0.04), "if there were fewer, the test could not detect an error"


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("sd", [0.01, 0.1, 0.3, 1.0])
@pytest.mark.parametrize(("low", "high"), [(MARGIN, math.inf), (-MARGIN, MARGIN)])
def test_at_most_one_in_twenty_claims_at_the_margin_is_reproduced(low, high, n, sd):
    trials = 200_000
    draws = np.random.default_rng([n, 2]).normal(MARGIN, sd, (trials, n))
    assert (decided(draws, 0.05, low, high) == 1).sum() <= at_most(0.05, trials)


@pytest.mark.parametrize("sd", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("low", "high"), [(MARGIN, math.inf), (-MARGIN, MARGIN)])
def test_at_most_one_in_twenty_is_reproduced_over_all_planned_looks(low, high, sd):
    trials = 200_000
    draws = np.random.default_rng(3).normal(MARGIN, sd, (trials, LOOKS[-1]))
    looks = np.stack([decided(draws[:, :n], LOOK_ALPHA, low, high) for n in LOOKS])
    first = looks[(looks != 0).argmax(axis=0), np.arange(trials)]
    assert (first == 1).sum() <= at_most(0.05, trials)
    assert (first == 1).sum() > at_most(LOOK_ALPHA, trials) or sd == 0.5


def test_judge_reproduces_at_most_one_in_twenty_over_all_planned_looks():
    trials = 1000
    draws = np.random.default_rng(4).normal(MARGIN, 0.1, (trials, LOOKS[-1]))
    looks = [list(words(GREATER, draws[:, :n], LOOK_ALPHA)) for n in LOOKS]
    first = [next((w for w in verdicts if w != "inconclusive"), "") for verdicts in zip(*looks, strict=True)]
    assert first.count("reproduced") <= at_most(0.05, trials)


def test_three_looks_at_the_full_level_would_err_more_often():
    """The reason why the looks share the error."""
    trials = 200_000
    draws = np.random.default_rng(5).normal(MARGIN, 0.1, (trials, LOOKS[-1]))
    looks = np.stack([decided(draws[:, :n], 0.05, MARGIN, math.inf) for n in LOOKS])
    first = looks[(looks != 0).argmax(axis=0), np.arange(trials)]
    assert (first == 1).sum() > at_most(0.05, trials)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_interval_covers_the_true_mean(n):
    """90 % of the intervals at the one-sided level 0.05 contain the true mean."""
    trials = 20_000
    draws = np.random.default_rng([n, 6]).normal(0.7, 2.0, (trials, n)).tolist()
    missed = sum(not i.low <= 0.7 <= i.high for i in map(t_interval, draws))
    assert stats.binom.ppf(1e-4, trials, 0.1) <= missed <= at_most(0.1, trials)


def test_claim_that_holds_in_each_of_many_settings_is_seldom_contradicted_by_the_worst():
    """Each of eight settings lies exactly on the bound of the claim, and the verdict is that of the worst."""
    rng = np.random.default_rng(3)
    of = claim(kind="equal", than="b", tol=MARGIN, each=True)
    cells = cross("ab", 5, size=list(range(8)))
    trials, wrong = 300, 0
    for _ in range(trials):
        draws = rng.normal(loc=MARGIN, scale=0.2, size=(8, 5))
        records = measured(cells, lambda c, draws=draws: draws[c.options["size"], c.seed] if c.method == "a" else 0.0)
        (result,) = judge({of.id: of}, cells, records, TASKS)
        wrong += result.verdict == "contradicted"
    assert wrong <= at_most(0.05, trials)
