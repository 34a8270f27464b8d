"""Scores of entities against counting by hand, and the best threshold against trying all."""

from __future__ import annotations

import numpy as np
import pytest

from harness_plugins.efficient_global_pointer.corpus import Entity
from harness_plugins.efficient_global_pointer.entity_scores import by_nesting, by_type, overall
from harness_plugins.efficient_global_pointer.f1 import best_threshold


def test_precision_recall_and_f1_by_hand():
    a, b, c = Entity(0, 3, "x"), Entity(1, 2, "y"), Entity(6, 7, "x")
    gold = [{a, b, c}, {c}, set()]
    predicted = [{a, c, Entity(6, 6, "x")}, set(), {Entity(0, 0, "y")}]
    score = overall(gold, predicted)
    assert (score.correct, score.predicted, score.gold) == (2, 4, 4)
    assert (score.precision, score.recall, score.f1) == (0.5, 0.5, 0.5)
    types = by_type(gold, predicted, ("x", "y", "z"))
    assert (types["x"].precision, types["x"].recall) == (2 / 3, 2 / 3)
    assert (types["y"].precision, types["y"].recall, types["y"].f1) == (0, 0, 0)
    assert types["z"].f1 == 0
    by_kind = by_nesting(gold, predicted)
    # In the gold a and b nest, and a is predicted. Of the predictions c and its first token nest, and c is right.
    assert (by_kind["nested_recall"], by_kind["nested_precision"]) == (0.5, 0.5)
    # In the gold c is flat twice, and is predicted once. a and the last one are flat predictions, and a is right.
    assert (by_kind["flat_recall"], by_kind["flat_precision"], by_kind["flat_f1"]) == (0.5, 0.5, 0.5)


def test_best_threshold_is_as_good_as_trying_all():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 9))
        scores = rng.integers(-3, 4, count) * 0.5
        correct = rng.random(count) < 0.5
        gold = int(correct.sum()) + int(rng.integers(0, 3))

        def f1(threshold, scores=scores, correct=correct, gold=gold):
            above = scores > threshold
            total = above.sum() + gold
            return 2 * (above & correct).sum() / total if total else 0.0

        highest = max(f1(threshold) for threshold in np.arange(-2.25, 2.5, 0.5))
        threshold = best_threshold(scores, correct, gold)
        assert f1(threshold) == pytest.approx(highest)
        if f1(0.0) == highest:
            assert threshold == 0
