"""Threshold searches against brute force, on ties and on every range; and the measures that judge them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin_run import METHODS, make_run
from sklearn.metrics import accuracy_score, f1_score

from harness_plugins.cosent.free_vectors import wrong_orders
from harness_plugins.cosent.ranges import RANGES, search_ranges
from harness_plugins.cosent.scoring import accuracy, f1, pearson, spearman

MEASURES = {"accuracy": accuracy, "f1": f1}


def exact(measure="accuracy"):
    return METHODS["threshold-exact"].create(measure=measure)


def best_by_trying_all(scores, labels, measure):
    """The best value over every threshold that makes a difference."""
    thresholds = [-np.inf, *np.unique(scores)]
    return max(MEASURES[measure](scores, labels, threshold) for threshold in thresholds)


pairs = st.lists(
    st.tuples(st.one_of(st.integers(-3, 3), st.floats(-1e300, 1e300)), st.booleans()), min_size=1, max_size=30
)


@settings(deadline=None, max_examples=150)
@given(pairs, st.sampled_from(["accuracy", "f1"]))
def test_exact_search_is_as_good_as_trying_all(drawn, measure):
    scores = np.array([float(score) for score, _ in drawn])
    labels = np.array([float(label) for _, label in drawn])
    threshold = exact(measure)(scores, labels)
    assert MEASURES[measure](scores, labels, threshold) == pytest.approx(best_by_trying_all(scores, labels, measure))


@pytest.mark.parametrize("measure", MEASURES)
def test_exact_search_takes_the_highest_of_equally_good_thresholds(measure):
    rng = np.random.default_rng(0)
    tied = 0
    for _ in range(100):
        scores, labels = rng.integers(0, 6, 8).astype(float), rng.integers(0, 2, 8).astype(float)
        steps = np.unique(scores)
        # From the highest down: at the highest score, halfway between neighbours, below the lowest.
        thresholds = [steps[-1], *((steps[1:] + steps[:-1]) / 2)[::-1], np.nextafter(steps[0], -np.inf)]
        values = [MEASURES[measure](scores, labels, threshold) for threshold in thresholds]
        tied += values.count(max(values)) > 1
        assert exact(measure)(scores, labels) == thresholds[int(np.argmax(values))]
    assert tied


@pytest.mark.parametrize("low", [1.0, np.nextafter(1.0, 2)], ids=["even", "odd"])
def test_exact_search_parts_neighbouring_floats(low):
    """Halfway between them is rounded to the one whose last bit is 0."""
    high = np.nextafter(low, 2)
    threshold = exact()(np.array([low, high]), np.array([0.0, 1.0]))
    assert low <= threshold < high


@pytest.mark.parametrize("labels", [np.zeros(5), np.ones(5)])
def test_labels_of_one_class_are_all_classified_rightly(labels):
    scores = np.arange(5.0)
    assert accuracy(scores, labels, exact()(scores, labels)) == 1.0


def test_a_million_pairs_are_searched_quickly():
    rng = np.random.default_rng(0)
    labels = (rng.random(1_000_000) < 0.3).astype(float)
    scores = rng.normal(labels, 1.0)
    assert exact()(scores, labels) == pytest.approx(0.5 + np.log(0.7 / 0.3), abs=0.1)


@pytest.mark.parametrize("name", ["threshold-exact", "threshold-bisection", "threshold-powell"])
def test_bad_scores_are_an_error(name):
    search = METHODS[name].create()
    with pytest.raises(ValueError, match=r"scores \[2\] and labels \[3\]"):
        search(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match=r"N > 0"):
        search(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="row 1 is nan, a finite number is needed"):
        search(np.array([0.0, np.nan]), np.zeros(2))


def test_bisection_and_powell_find_what_is_easy_and_bisection_misses_the_higher_of_two_peaks():
    scores, labels = np.array([0.1, 0.2, 0.7, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    for name in ("threshold-bisection", "threshold-powell"):
        assert accuracy(scores, labels, METHODS[name].create()(scores, labels)) == 1.0
    # Accuracy has a peak on either side of the middle of the range.
    misleading = np.concatenate(
        [np.linspace(0.00, 0.20, 30), np.linspace(0.30, 0.36, 20), np.linspace(0.45, 0.85, 25), [0.95] * 9]
    )
    truth = np.concatenate([np.zeros(30), np.ones(20), np.zeros(25), np.ones(9)])
    threshold = METHODS["threshold-bisection"].create()(misleading, truth)
    assert accuracy(misleading, truth, threshold) < best_by_trying_all(misleading, truth, "accuracy")


def test_powell_cannot_leave_the_range_of_the_tangent():
    scores, labels = np.array([2.0, 3.0, 8.0, 9.0]), np.array([0.0, 0.0, 1.0, 1.0])
    assert -1 <= METHODS["threshold-powell"].create()(scores, labels) <= 1
    assert accuracy(scores, labels, exact()(scores, labels)) == 1.0


@pytest.mark.parametrize("range_", sorted(RANGES))
@pytest.mark.parametrize("shape", ["one-peak", "two-peaks"])
def test_task_measures_what_is_lost_on_every_range(range_, shape):
    run = make_run("matching/thresholds", range=range_, shape=shape, pairs=300)
    assert search_ranges(exact(), run)["accuracy_lost"] == 0
    assert search_ranges(exact("f1"), run)["f1_lost"] == 0
    worst = search_ranges(lambda scores, labels: float(scores.max()), make_run("matching/thresholds", range=range_))
    assert worst["accuracy_lost"] > 0.1


def test_correlations_are_scipys_and_constant_scores_have_none():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=200).round(1), rng.integers(0, 6, 200).astype(float)
    assert spearman(scores, labels) == pytest.approx(scipy.stats.spearmanr(scores, labels).statistic)
    assert pearson(scores, labels) == pytest.approx(scipy.stats.pearsonr(scores, labels).statistic)
    assert spearman(np.ones(5), labels[:5]) == 0.0
    assert pearson(scores[:5], np.ones(5)) == 0.0
    assert accuracy(scores, labels / 5, 0.2) == accuracy_score(labels / 5 > 0.5, scores > 0.2)
    assert f1(scores, labels / 5, 0.2) == pytest.approx(f1_score(labels / 5 > 0.5, scores > 0.2))
    assert f1(np.zeros(3), np.zeros(3), 0.5) == 0.0


def test_wrong_orders_are_counted_as_a_loop_counts_them():
    import torch

    generator = torch.Generator().manual_seed(0)
    cosine = (4 * torch.rand(50, generator=generator)).round()
    label = torch.randint(2, (50,), generator=generator).float()
    orders = [(a > b).item() for a in cosine[label == 1] for b in cosine[label == 0]]
    assert wrong_orders(cosine, label) == pytest.approx(1 - sum(orders) / len(orders))
    assert wrong_orders(cosine, torch.ones(50)) == 0.0
