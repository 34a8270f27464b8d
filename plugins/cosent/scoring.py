"""Quality of the scores of pairs: rank and linear correlation with the labels, accuracy and F1 at a threshold."""

from __future__ import annotations

import numpy as np
import scipy.stats
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def spearman(scores: Numbers, labels: Numbers) -> float:
    """Rank correlation of scores and labels [N], ties at their mean rank; 0 if either is constant.

    >>> round(spearman(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.0, 1.0])), 4)
    0.866
    """
    return _correlation(scipy.stats.rankdata(scores), scipy.stats.rankdata(labels))


def pearson(scores: Numbers, labels: Numbers) -> float:
    """Linear correlation of scores and labels [N]; 0 if either is constant."""
    return _correlation(scores, labels)


def _correlation(first: Numbers, second: Numbers) -> float:
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def accuracy(scores: Numbers, labels: Numbers, threshold: float) -> float:
    """Share of pairs classified rightly: score above the threshold if and only if the label is above one half."""
    return float(np.mean(classified_rightly(scores, labels, threshold)))


def classified_rightly(scores: Numbers, labels: Numbers, threshold: float) -> NDArray[np.bool_]:
    """Which pairs have a score above the threshold if and only if their label is above one half."""
    return np.asarray((scores > threshold) == (labels > 0.5))


def f1(scores: Numbers, labels: Numbers, threshold: float) -> float:
    """F1 of the pairs above the threshold; 0 if there are none and no label is 1.

    >>> f1(np.array([0.9, 0.8, 0.1]), np.array([1.0, 0.0, 1.0]), 0.5)
    0.5
    """
    positive, true = scores > threshold, labels > 0.5
    correct = int((positive & true).sum())
    total = int(positive.sum()) + int(true.sum())
    return 2 * correct / total if total else 0.0
