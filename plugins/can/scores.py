"""Scores of refined predictions: accuracies, flips and their exact test, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Number of equal bins of confidence in the calibration error.
BINS = 15
#: Random draws that say what chance gives, and the share of them that must stay below.
CHANCE_DRAWS, CHANCE_SHARE = 1000, 0.95

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


def accuracy(probabilities: Rows, labels: Labels) -> float:
    """Share of the rows [N, C] whose largest probability is at the label [N]; NaN without rows.

    >>> accuracy(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    0.5
    """
    return float((probabilities.argmax(axis=1) == labels).mean())


def flips(before: Rows, after: Rows, labels: Labels) -> tuple[int, int]:
    """Number of rows that became right, and number of rows that became wrong.

    >>> flips(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([[0.1, 0.9], [0.4, 0.6]]), np.array([0, 1]))
    (1, 1)
    """
    right_before, right_after = before.argmax(axis=1) == labels, after.argmax(axis=1) == labels
    return int((~right_before & right_after).sum()), int((right_before & ~right_after).sum())


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p-value of McNemar's exact test: gains and losses at least this uneven arise by chance.

    Under the null hypothesis each changed row was as likely to become right as to become wrong, so the number of
    gains is binomial with probability one half (McNemar 1947; exact form: Edwards 1948). Without changes p is 1.

    >>> mcnemar(8, 2)
    0.109375
    """
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def calibration_error(probabilities: Rows, labels: Labels) -> float:
    """Expected calibration error of the decided class, over 15 equal bins (arXiv 1706.04599, equation 3).

    Sum over bins: share of rows in the bin times the distance between their accuracy and their mean confidence.

    >>> calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1])).__round__(12)
    0.3
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # A bin includes its upper border and excludes its lower one.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


def total_variation(first: Rows, second: Rows) -> NDArray[np.float64]:
    """Half the sum of absolute differences between the rows of both: [N], from 0 to 1."""
    distance: NDArray[np.float64] = np.abs(first - second).sum(axis=-1) / 2
    return distance


def chance_variation(prior: Rows, train: int, test: int, rng: np.random.Generator) -> float:
    """Total variation that 95 % of draws stay below, between the class shares of ``train`` and of ``test`` rows.

    Both kinds of rows are drawn from one ``prior`` [C]. A larger distance says that a set's training and test rows
    do not have the same class frequencies.

    >>> round(chance_variation(np.full(10, 0.1), 10_000, 1_000, np.random.default_rng(0)), 2)
    0.06
    """
    first, second = (rng.multinomial(rows, prior, size=CHANCE_DRAWS) / rows for rows in (train, test))
    return float(np.quantile(total_variation(first, second), CHANCE_SHARE))
