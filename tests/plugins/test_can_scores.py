"""The scores equal statsmodels and loops over the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from harness_plugins.can import scores


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (3, 9), (40, 41), (1, 1)])
def test_mcnemar_equals_that_of_statsmodels(gained, lost):
    expected = statsmodels_mcnemar([[10, gained], [lost, 10]], exact=True).pvalue if gained + lost else 1.0
    assert scores.mcnemar(gained, lost) == pytest.approx(expected)


def test_calibration_error_equals_a_double_loop():
    generator = np.random.default_rng(0)
    rows = generator.dirichlet([0.3] * 4, size=500)
    # Three rows on the borders of bins.
    rows[:3] = [[1, 0, 0, 0], [0.6, 0.4, 0, 0], [0.4, 0.3, 0.3, 0]]
    labels = generator.integers(0, 4, 500)
    total = 0.0
    for b in range(15):
        inside = [i for i in range(500) if b / 15 < rows[i].max() <= (b + 1) / 15]
        if inside:
            right = np.mean([rows[i].argmax() == labels[i] for i in inside])
            total += len(inside) / 500 * abs(right - np.mean([rows[i].max() for i in inside]))
    assert scores.calibration_error(rows, labels) == pytest.approx(total)


def test_flips_and_accuracy_count_rows():
    before = np.eye(3)[[0, 1, 2, 0, 1]]
    after = np.eye(3)[[0, 2, 1, 1, 0]]
    labels = np.array([0, 2, 2, 0, 2])
    assert scores.accuracy(before, labels) == 0.6
    assert scores.accuracy(after, labels) == 0.4
    assert scores.flips(before, after, labels) == (1, 2)


def test_total_variation_is_half_the_absolute_difference():
    first, second = np.array([[0.5, 0.5, 0], [1, 0, 0]]), np.array([[0, 0.5, 0.5], [0, 0, 1]])
    np.testing.assert_allclose(scores.total_variation(first, second), [0.5, 1])


def test_confidence_on_a_border_belongs_to_the_bin_below():
    """0.6 and 0.58 share the bin from 8/15 to 9/15: one is right and one wrong, so their gaps nearly cancel."""
    rows, labels = np.array([[0.6, 0.4], [0.58, 0.42]]), np.array([0, 1])
    assert scores.calibration_error(rows, labels) == pytest.approx(abs(1 - 0.6 - 0.58) / 2)
