"""Intervals over test items: against loops, scipy and statsmodels, and from which cells they are."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simulate_items
from scipy import stats
from toy_plan import TASKS, claim, cross, record

from harness.files.suite import LOOKS
from harness.judge import judge
from harness.judge.items import LEVEL, Sums, bootstrap, item_intervals, mcnemar, two_way
from harness.judge.other_items import OtherItems
from harness.records.items import write_items
from harness.spec import Metric, Option, Task

RANDOM = np.random.default_rng(20_260_102)


def rows(table):
    """A table [items, seeds] as the rows of `item_intervals`, in one setting."""
    return [[column] for column in table.T]


# Statistics ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (5, 5), (9, 1), (3, 17), (120, 90)])
def test_mcnemar_is_that_of_statsmodels(better, worse):
    peer = pytest.importorskip("statsmodels.stats.contingency_tables")
    table = [[50, better], [worse, 20]]
    assert mcnemar(better, worse) == pytest.approx(peer.mcnemar(table, exact=True).pvalue, rel=1e-12)


@pytest.mark.parametrize(("better", "worse"), [(4, 1), (2, 2), (0, 6)])
def test_mcnemar_counts_every_way_to_spread_the_discordant_items(better, worse):
    n = better + worse
    tails = [sum(ways) <= min(better, worse) for ways in itertools.product((0, 1), repeat=n)]
    assert mcnemar(better, worse) == pytest.approx(min(1.0, 2 * sum(tails) / 2**n))


def test_bootstrap_is_the_bca_interval_of_scipy():
    # Of values so skewed a percentile interval would be off by a tenth of its width.
    skewed = RANDOM.lognormal(size=60)
    for values in (RANDOM.choice([-1.0, 0.0, 1.0], size=500, p=[0.1, 0.8, 0.1]), skewed, -skewed):
        peer = stats.bootstrap(
            (values,), np.mean, n_resamples=20_000, batch=500, method="BCa", confidence_level=LEVEL, rng=RANDOM
        ).confidence_interval
        width = peer.high - peer.low
        assert bootstrap(values, 1) == pytest.approx(tuple(peer), abs=0.03 * width)


def test_bootstrap_resamples_items_as_a_loop_does():
    """Drawing how often each value occurs is drawing items with replacement."""
    values = np.repeat([-1.0, 0.0, 1.0], [3, 20, 17])
    means = [RANDOM.choice(values, len(values)).mean() for _ in range(4000)]
    low, high = bootstrap(values, 2)
    # Nearly symmetric, so that BCa is close to the percentiles; a mean has steps of 1/40.
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.051)
    assert bootstrap(values, 2) == (low, high)
    assert bootstrap(RANDOM.permutation(values), 2) == (low, high)


def test_items_that_all_give_the_same_have_no_interval():
    assert bootstrap(np.zeros(100), 0) == (None, None)
    same = item_intervals(rows(np.full((50, 3), 0.25)), 0)
    assert (same.low, same.both_low) == (None, None)
    assert str(same) == "other test items: not known, all 50 items give the same difference"


def two_way_by_loops(table):
    """Variance of the mean and its degrees of freedom, from the mean squares of a textbook, cell by cell."""
    n, seeds = table.shape
    grand = sum(table[i, s] for i in range(n) for s in range(seeds)) / (n * seeds)
    of_items = [sum(table[i]) / seeds for i in range(n)]
    of_seeds = [sum(table[:, s]) / n for s in range(seeds)]
    ms_items = seeds * sum((x - grand) ** 2 for x in of_items) / (n - 1)
    ms_seeds = n * sum((x - grand) ** 2 for x in of_seeds) / (seeds - 1)
    rest = sum((table[i, s] - of_items[i] - of_seeds[s] + grand) ** 2 for i in range(n) for s in range(seeds))
    ms_rest = rest / ((n - 1) * (seeds - 1))
    total = ms_items + ms_seeds - ms_rest
    parts = [(ms_items, n - 1), (ms_seeds, seeds - 1), (ms_rest, (n - 1) * (seeds - 1))]
    return grand, total / (n * seeds), total**2 / sum(ms**2 / df for ms, df in parts)


def test_two_way_interval_is_that_of_the_mean_squares():
    table = RANDOM.normal(0, 0.4, (30, 1)) + RANDOM.normal(0, 0.3, 4) + RANDOM.normal(0, 0.5, (30, 4))
    mean, variance, df = two_way_by_loops(table)
    half = stats.t.ppf(0.975, df) * math.sqrt(variance)
    assert two_way(Sums.of(rows(table))) == pytest.approx((mean - half, mean + half), rel=1e-9)


@pytest.mark.parametrize("kind", ["items", "seeds"])
def test_both_together_are_never_surer_than_either_alone(kind):
    """Where the other source of chance is estimated to be less than none, it counts as none."""
    table = RANDOM.normal(0, 1, (20, 5))
    if kind == "items":
        table += 2 * RANDOM.normal(size=(20, 1)) - table.mean(axis=0)
        expected = stats.t.interval(0.95, 19, table.mean(), stats.sem(table.mean(axis=1)))
    else:
        table += 2 * RANDOM.normal(size=5) - table.mean(axis=1, keepdims=True)
        expected = stats.t.interval(0.95, 4, table.mean(), stats.sem(table.mean(axis=0)))
    assert two_way(Sums.of(rows(table))) == pytest.approx(expected, rel=1e-9)


def test_one_seed_has_no_interval_over_seeds():
    assert two_way(Sums.of(rows(RANDOM.normal(size=(20, 1))))) == (None, None)


def test_settings_are_averaged_item_by_item_and_every_discordant_outcome_counts():
    first, second = np.array([1.0, 0.0, -1.0, 0.0]), np.array([1.0, 1.0, 0.0, -1.0])
    result = item_intervals([[first, second], [first, first]], 0)
    assert (result.items, result.seeds, result.better, result.worse) == (4, 2, 5, 4)
    assert result.estimate == pytest.approx(np.mean([(first + second) / 2, first]))
    assert result.p is None


# Cells --------------------------------------------------------------------------------------------------------

SPLIT = {"split": Option("fixed", choices=("fixed", "redraw"))}
SCORED = Task(
    name="toy/fit",
    role="toy",
    run="math:hypot",
    metrics={"score": Metric("higher"), "error": Metric("lower")},
    options=SPLIT,
    test_set="split",
)


def plan(folder, outcomes, metric="score", **axes):
    """Cells of methods a and b, and records with these outcomes [items] by method and seed."""
    seeds = 1 + max(seed for _, seed in outcomes)
    cells = cross("ab", seeds, **axes)
    records = {}
    for cell in cells:
        content = np.asarray(outcomes[cell.method, cell.seed], np.uint8).tobytes()
        digest = write_items(folder, content)
        own = record(cell, **{metric: content.count(1) / len(content)})
        records[cell.id] = replace(own, items={metric: digest})
    return cells, records


def drawn(seeds, items=200):
    ease = RANDOM.normal(size=items)
    lead = {"a": 0.3, "b": 0.0}
    return {
        (m, s): lead[m] + ease + RANDOM.normal(0, 0.1) + RANDOM.normal(0, 0.7, items) > 0
        for m in "ab"
        for s in range(seeds)
    }


def intervals(of, cells, records, folder, tasks=None, looks=LOOKS):
    tasks = tasks or {SCORED.name: SCORED}
    (verdict,) = judge({of.id: of}, cells, records, tasks, looks)
    return OtherItems(cells, records, tasks, folder).of(of, verdict), verdict


GREATER = claim(kind="greater", than="b")


def test_items_are_paired_seed_by_seed_and_item_by_item(tmp_path):
    outcomes = drawn(5)
    cells, records = plan(tmp_path, outcomes)
    result, verdict = intervals(GREATER, cells, records, tmp_path)
    table = np.array([outcomes["a", s].astype(float) - outcomes["b", s] for s in range(5)]).T
    assert result.estimate == pytest.approx(verdict.estimate) == pytest.approx(table.mean())
    assert (result.better, result.worse) == ((table > 0).sum(), (table < 0).sum())
    # Items in another order for one side give the same mean, and other item means.
    of_items = table.mean(axis=1)
    assert (result.low + result.high) / 2 == pytest.approx(of_items.mean(), abs=0.004)
    assert result.high - result.low == pytest.approx(2 * 1.96 * stats.sem(of_items), rel=0.05)
    assert (result.both_low, result.both_high) == pytest.approx(two_way(Sums.of(rows(table))))


def test_items_of_one_side_in_another_order_give_a_wider_interval(tmp_path):
    """That the test above can tell whether items are paired."""
    outcomes = drawn(5)
    shuffled = {key: RANDOM.permutation(row) if key[0] == "b" else row for key, row in outcomes.items()}
    paired, _ = intervals(GREATER, *plan(tmp_path, outcomes), tmp_path)
    unpaired, _ = intervals(GREATER, *plan(tmp_path, shuffled), tmp_path)
    assert unpaired.estimate == pytest.approx(paired.estimate)
    assert unpaired.high - unpaired.low > 1.15 * (paired.high - paired.low)


def test_only_the_seeds_of_the_look_count(tmp_path):
    outcomes = drawn(7)
    result, verdict = intervals(GREATER, *plan(tmp_path, outcomes), tmp_path)
    first = {key: row for key, row in outcomes.items() if key[1] < 5}
    expected, _ = intervals(GREATER, *plan(tmp_path, first), tmp_path)
    assert (verdict.n, result.seeds) == (5, 5)
    assert result == expected


def test_of_a_metric_that_is_better_low_the_sign_is_that_of_the_verdict(tmp_path):
    outcomes = drawn(5)
    wrong = {key: ~row for key, row in outcomes.items()}
    of = claim(kind="greater", than="b", metric="error")
    result, verdict = intervals(of, *plan(tmp_path, wrong, "error"), tmp_path)
    as_score, _ = intervals(GREATER, *plan(tmp_path, outcomes), tmp_path)
    assert result.estimate == pytest.approx(verdict.estimate) == pytest.approx(as_score.estimate)
    assert (result.better, result.worse) == (as_score.better, as_score.worse)


def test_a_single_seed_has_mcnemars_test(tmp_path):
    outcomes = drawn(1)
    result, _ = intervals(GREATER, *plan(tmp_path, outcomes), tmp_path)
    gained = int((outcomes["a", 0] & ~outcomes["b", 0]).sum())
    lost = int((~outcomes["a", 0] & outcomes["b", 0]).sum())
    assert result.p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    assert result.both_low is None
    several, _ = intervals(GREATER, *plan(tmp_path, drawn(3)), tmp_path)
    assert several.p is None, "outcomes of one item under several seeds are not independent"


def test_settings_are_averaged_or_the_weakest_is_taken_as_the_verdict_does(tmp_path):
    outcomes = drawn(5)
    cells, records = plan(tmp_path, outcomes, k=[1, 2])
    better = drawn(5)
    for cell in cells:
        if dict(cell.options) == {"k": 2}:
            content = better[cell.method, cell.seed].astype(np.uint8).tobytes()
            own = record(cell, score=content.count(1) / len(content))
            records[cell.id] = replace(own, items={"score": write_items(tmp_path, content)})
    average, verdict = intervals(GREATER, cells, records, tmp_path)
    assert verdict.averaged
    assert average.estimate == pytest.approx(verdict.estimate)
    weakest, verdict = intervals(claim(kind="greater", than="b", each=True), cells, records, tmp_path)
    assert weakest.estimate == pytest.approx(verdict.estimate)
    assert verdict.weakest in ("k=1", "k=2")
    assert weakest.estimate < average.estimate


@pytest.mark.parametrize(
    "test",
    [
        {"kind": "ratio", "than": "b", "by": 1.0},
        {"kind": "greater", "value": 0.1},
        {"kind": "reaches", "value": 0.5, "tol": 0.1},
    ],
)
def test_only_differences_of_two_methods_have_item_intervals(tmp_path, test):
    result, verdict = intervals(claim(**test), *plan(tmp_path, drawn(5)), tmp_path)
    assert verdict.estimate is not None
    assert result is None


@pytest.mark.parametrize(
    ("gained", "lost", "word", "leaves_open"),
    [
        (12, 6, "reproduced", True),
        (6, 12, "contradicted", True),
        (60, 6, "reproduced", False),
        (6, 60, "contradicted", False),
    ],
)
def test_a_decision_that_other_items_would_leave_open_says_so(tmp_path, gained, lost, word, leaves_open):
    """Under every seed nearly the same items are gained and lost, so that the seeds agree, and the items do not."""
    outcomes = {}
    for seed in range(5):
        outcomes["a", seed], outcomes["b", seed] = np.zeros((2, 200), bool)
        outcomes["a", seed][:gained] = True
        outcomes["b", seed][gained : gained + lost + seed % 2] = True
    result, verdict = intervals(GREATER, *plan(tmp_path, outcomes), tmp_path)
    assert verdict.verdict == word
    assert result.leaves_open == leaves_open == (result.low < 0 < result.high)
    assert str(result).endswith(", which leaves the claim open") == leaves_open


def test_equal_has_item_intervals(tmp_path):
    result, _ = intervals(claim(kind="equal", than="b", tol=0.5), *plan(tmp_path, drawn(5)), tmp_path)
    assert result.low < result.estimate < result.high


def test_a_test_set_that_is_not_fixed_has_no_item_intervals(tmp_path):
    cells, records = plan(tmp_path, drawn(5), split=["redraw"])
    assert intervals(GREATER, cells, records, tmp_path)[0] is None
    cells, records = plan(tmp_path, drawn(5))
    tasks = {SCORED.name: replace(SCORED, test_set="redrawn")}
    assert intervals(GREATER, cells, records, tmp_path, tasks)[0] is None


def test_records_without_outcomes_among_others_are_counted(tmp_path):
    cells, records = plan(tmp_path, drawn(5))
    records[cells[2].id] = replace(records[cells[2].id], items={})
    result, _ = intervals(GREATER, cells, records, tmp_path)
    assert result.cause == "1 of 10 records name no outcomes"
    assert str(result) == "other test items: not known, 1 of 10 records name no outcomes"


def test_records_of_different_data_are_not_paired(tmp_path):
    cells, records = plan(tmp_path, drawn(5))
    for cell in cells:
        records[cell.id] = replace(records[cell.id], data={"digits": cell.method})
    assert intervals(GREATER, cells, records, tmp_path)[0].cause == "the records are of different data"


def test_different_numbers_of_items_are_not_paired(tmp_path):
    outcomes = drawn(5)
    outcomes["b", 3] = outcomes["b", 3][:-1]
    cells, records = plan(tmp_path, outcomes)
    result, _ = intervals(GREATER, cells, records, tmp_path)
    assert result.cause == "some cells have outcomes of 199 items and some of 200"


def test_every_call_gives_the_same_interval(tmp_path):
    cells, records = plan(tmp_path, drawn(5))
    first, _ = intervals(GREATER, cells, records, tmp_path)
    again, _ = intervals(GREATER, cells, dict(reversed(records.items())), tmp_path)
    assert first == again


def test_tasks_that_name_no_kind_of_test_set_are_refused():
    from harness.errors import UsageError

    for bad, problem in [("sometimes", "name of an option"), ("k", r"\('fixed', 'redraw'\) is needed"), (3, "allowed")]:
        with pytest.raises(UsageError, match=problem):
            replace(SCORED, options={**SPLIT, "k": Option("a", choices=("a", "b"))}, test_set=bad)
    assert TASKS["toy/fit"].test_set_of({}) == "fixed"
    assert SCORED.test_set_of({}) == SCORED.test_set_of({"split": "fixed"}) == "fixed"
    assert SCORED.test_set_of({"split": "redraw"}) == "redrawn"


# The page -----------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text("utf-8")


def printed():
    """The rows of the table of the page: by design the shares."""
    (found,) = re.findall(r"<!-- items -->\n\|.*\n\|.*\n((?:\|.*\n)+)", PAGE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in found.splitlines()]
    return {row[0]: [float(cell.removesuffix("%")) / 100 for cell in row[1:]] for row in rows}


def test_the_page_has_the_designs_that_the_script_simulates():
    assert list(printed()) == list(simulate_items.DESIGNS)


def test_printed_intervals_over_items_and_seeds_hold_what_they_promise():
    """To four standard errors of 2,000 experiments."""
    for name, (_, _, both, same_items, same_seeds) in printed().items():
        assert both > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 2000), name
        assert abs(same_items - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000), name
        assert same_seeds > 0.92, name
    assert printed()["1,000 items, 40 seeds"][0] < 0.8, "far too narrow for new items"
    assert printed()["10,000 items, 5 seeds"][1] < 0.7, "far too narrow for new seeds"


@pytest.mark.slow
@pytest.mark.parametrize("name", simulate_items.DESIGNS)
def test_printed_coverage_is_that_of_the_intervals(name):
    """Simulated anew from another seed, five standard errors."""
    draws = 150
    again = simulate_items.coverage(simulate_items.DESIGNS[name], draws, seed=7)
    for share, simulated in zip(printed()[name], again, strict=True):
        assert abs(share - simulated) <= 5 * math.sqrt(max(share * (1 - share), 0.02) * (1 / draws + 1 / 2000))
