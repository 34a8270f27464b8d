"""Statistics over all tasks follow rliable's definitions, checked by scipy, brute force and full enumeration."""

from __future__ import annotations

import itertools
from statistics import fmean

import numpy as np
import pytest
from report_results import REGISTRY, done, write_results
from scipy.stats import mannwhitneyu

from harness.judge import judged_suites
from harness.planning.request import Request
from harness_plugins.report import aggregates
from harness_plugins.report.overall import overall_sections


def middle_mean(scores):
    """The mean without the lowest and the highest quarter, cut off at whole values."""
    ordered = sorted(scores.ravel().tolist())
    cut = len(ordered) // 4
    return fmean(ordered[cut : len(ordered) - cut])


@pytest.mark.parametrize("shape", [(2, 2), (3, 1), (5, 3), (7, 11), (1, 9)])
def test_the_interquartile_mean_is_the_mean_of_the_middle_half(shape):
    scores = np.random.default_rng(1).normal(size=shape)
    assert float(aggregates.interquartile_mean(scores)) == pytest.approx(middle_mean(scores))
    stacked = np.stack([scores, 2 * scores])
    assert aggregates.interquartile_mean(stacked).tolist() == pytest.approx(
        [middle_mean(scores), 2 * middle_mean(scores)]
    )


def test_the_probability_of_improvement_is_the_mean_mann_whitney_statistic_with_ties_half():
    generator = np.random.default_rng(2)
    first, second = generator.integers(0, 4, (6, 3)).astype(float), generator.integers(0, 4, (4, 3)).astype(float)
    by_scipy = [mannwhitneyu(first[:, t], second[:, t]).statistic / 24 for t in range(3)]
    probability = float(aggregates.probability_of_improvement(first, second))
    assert probability == pytest.approx(np.mean(by_scipy))
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for t in range(3) for a in first[:, t] for b in second[:, t]]
    assert probability == pytest.approx(sum(wins) / len(wins))
    assert probability + float(aggregates.probability_of_improvement(second, first)) == pytest.approx(1.0)


def test_the_performance_profile_counts_runs_above_each_level():
    scores = np.random.default_rng(3).uniform(size=(5, 4))
    levels = np.array([0.0, 0.3, 0.7, float(scores[2, 1]), 1.0])
    by_hand = [sum(s > level for s in scores.ravel()) / 20 for level in levels]
    assert aggregates.performance_profile(scores, levels).tolist() == pytest.approx(by_hand)


def test_the_bootstrap_draws_runs_within_each_task_alone():
    scores = np.array([[0.0, 100.0], [1.0, 101.0], [2.0, 102.0]])
    batches = []

    def mean(resampled):
        batches.append(resampled)
        return resampled.mean(axis=(-2, -1))

    aggregates.stratified_bootstrap(mean, scores, np.random.default_rng(0), resamples=450)
    drawn = np.concatenate(batches)
    assert drawn.shape == (450, 3, 2)
    assert set(np.unique(drawn[..., 0])) == {0.0, 1.0, 2.0}
    assert set(np.unique(drawn[..., 1])) == {100.0, 101.0, 102.0}
    assert not np.array_equal(drawn[:, :, 0], drawn[:, :, 1] - 100), "tasks are drawn independently"


def test_bootstrap_quantiles_are_those_of_all_resamples():
    """Three runs of one task have 27 equally likely resamples."""
    scores = np.array([[0.0], [1.0], [5.0]])
    means = [np.mean(c) for c in itertools.product(scores[:, 0], repeat=3)]
    low, high = aggregates.stratified_bootstrap(
        lambda resampled: resampled.mean(axis=(-2, -1)), scores, np.random.default_rng(0), resamples=20_000
    )
    assert [low, high] == pytest.approx(np.quantile(means, [0.05, 0.95], method="inverted_cdf"), abs=1e-9)


def test_the_counted_bootstrap_of_the_improvement_is_the_drawn_one():
    generator = np.random.default_rng(4)
    first, second = generator.normal(0.4, 1, (8, 3)), generator.normal(0, 1, (6, 3))
    counted = aggregates.estimated_improvement(first, second, np.random.default_rng(5))
    draws = []
    for _ in range(4000):
        a = np.stack([generator.choice(first[:, t], 8) for t in range(3)], axis=1)
        b = np.stack([generator.choice(second[:, t], 6) for t in range(3)], axis=1)
        draws.append(np.mean([(a[:, t][:, None] > b[:, t]).mean() for t in range(3)]))
    assert [counted.low, counted.high] == pytest.approx(np.quantile(draws, [0.05, 0.95]), abs=0.015)
    assert counted.value == pytest.approx(float(aggregates.probability_of_improvement(first, second)))


def test_scores_go_from_the_worst_run_to_the_best_of_each_task():
    by_method = {"a": [[1.0, 3.0], [10.0, 10.0], [5.0, 5.0]], "b": [[2.0, 5.0], [20.0, 30.0], [5.0, 5.0]]}
    higher = aggregates.normalised(by_method, 1)
    assert higher["a"].tolist() == [[0.0, 0.0, 0.5], [0.5, 0.0, 0.5]]
    assert higher["b"].tolist() == [[0.25, 0.5, 0.5], [1.0, 1.0, 0.5]]
    lower = aggregates.normalised(by_method, -1)
    assert lower["a"][0, 0] == 1.0


def sections(folder):
    (result,) = judged_suites(REGISTRY, ["toy"], Request(suite="", results=folder))
    return overall_sections(result)


def test_there_is_a_section_where_two_settings_and_two_methods_share_a_metric(tmp_path):
    write_results(tmp_path)
    (total,) = sections(tmp_path)
    assert total.metric == "total"
    assert "5 seeds in each of 2 tasks or settings that 2 methods share" in total.explanation
    (rows,) = [table.rows for table in total.tables if table.columns[0] == "first over second"]
    assert rows[0][1].startswith("0") or rows[0][1].startswith("1")
    assert sections(tmp_path) == sections(tmp_path), "the same records give the same report"


@pytest.mark.parametrize(
    "keep",
    [lambda c: c.seed == 0, lambda c: c.method == "plain", lambda c: c.options["slope"] == 1.0],
    ids=["one seed", "one method", "one setting"],
)
def test_there_is_no_section_where_too_little_is_shared(tmp_path, keep):
    write_results(tmp_path, lambda cell: done(cell) if keep(cell) else None)
    assert sections(tmp_path) == []
