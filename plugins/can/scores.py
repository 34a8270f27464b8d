"""What refining has done to predictions: accuracies, flips and their exact test, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Equal bins of confidence that the calibration error is taken over.
BINS = 15

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


def accuracy(probabilities: Rows, labels: Labels) -> float:
    """Share of the rows [N, C] whose largest probability is at the label [N]; of no rows there is none.

    >>> accuracy(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    0.5
    """
    return float((probabilities.argmax(axis=1) == labels).mean())


def flips(before: Rows, after: Rows, labels: Labels) -> tuple[int, int]:
    """How many rows became right, and how many became wrong.

    >>> flips(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([[0.1, 0.9], [0.4, 0.6]]), np.array([0, 1]))
    (1, 1)
    """
    was, now = before.argmax(axis=1) == labels, after.argmax(axis=1) == labels
    return int((~was & now).sum()), int((was & ~now).sum())


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of McNemar's exact test: that gains and losses as uneven as these, or more, come by chance.

    Under the null each of the rows that changed was as likely to become right as to become wrong, so that
    gains are binomial with one half (McNemar 1947; exact form: Edwards 1948). No change at all gives 1.

    >>> mcnemar(8, 2)
    0.109375
    """
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def calibration_error(probabilities: Rows, labels: Labels) -> float:
    """Expected calibration error of the decided class, over 15 equal bins (arXiv 1706.04599, equation 3).

    Sum over bins of the share of rows in it times how far their accuracy is from their mean confidence.

    >>> calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1])).__round__(12)
    0.3
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # A bin holds its upper border and not its lower one.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


def total_variation(one: Rows, other: Rows) -> NDArray[np.float64]:
    """Half the sum of absolute differences of each row with the other's: [N], from 0 to 1."""
    distance: NDArray[np.float64] = np.abs(one - other).sum(axis=-1) / 2
    return distance
