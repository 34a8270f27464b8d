"""Searches for the threshold that classifies pairs by their scores: exact, and as in the article on CoSENT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from harness_plugins.cosent.scoring import accuracy, f1

Numbers = NDArray[np.float64]
_MEASURES = {"accuracy": accuracy, "f1": f1}
#: Halvings of a bisection: enough to separate any two float64 numbers of similar size.
HALVINGS = 60


def _check(scores: Numbers, labels: Numbers) -> None:
    if scores.ndim != 1 or labels.shape != scores.shape or not len(scores):
        raise ValueError(f"scores {list(scores.shape)} and labels {list(labels.shape)}: both must be [N], N > 0")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ValueError(f"scores {list(scores.shape)}: row {row} is {scores[row]}, a finite number is needed")


@dataclass(frozen=True)
class ExactThreshold:
    """The best of all thresholds, by sorting and running counts: O(N log N).

    Uses the order of the scores alone, so their range does not matter. Of equally good thresholds it takes the highest,
    halfway between two scores. A threshold at the highest score calls no pair 1.

    >>> ExactThreshold()(np.array([0.9, 0.6, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]))
    0.55
    """

    measure: str = "accuracy"

    def __call__(self, scores: Numbers, labels: Numbers) -> float:
        _check(scores, labels)
        order = np.argsort(-scores, kind="stable")
        descending, true = scores[order], labels[order] > 0.5
        # Element k is for a threshold that calls the k highest scores 1. It must part two different scores.
        positive = np.arange(len(scores) + 1)
        correct = np.concatenate([[0], np.cumsum(true)])
        total = correct[-1]
        if self.measure == "accuracy":
            value = correct + (len(scores) - total) - (positive - correct)
        else:
            value = 2 * correct / np.maximum(positive + total, 1)
        possible = np.concatenate([[True], descending[1:] < descending[:-1], [True]])
        best = int(np.argmax(np.where(possible, value, -1)))
        return _between(descending, best)


def _between(descending: Numbers, count: int) -> float:
    """A threshold below the first ``count`` of the descending scores and at or above all others."""
    if count == 0:
        return float(descending[0])
    if count == len(descending):
        return float(np.nextafter(descending[-1], -np.inf))
    above, below = float(descending[count - 1]), float(descending[count])
    middle = below + (above - below) / 2
    # Neighbouring floats have no number between them; the lower one serves, as it is not above itself.
    return middle if below <= middle < above else below


@dataclass(frozen=True)
class BisectedThreshold:
    """Bisection, which suffices for two classes, the article says (kexue.fm/archives/8860 gives no code for it).

    Read as: of the two halves of the range of scores, go to the one whose middle is the better threshold. That finds
    the best threshold if the measure has one peak, which is not guaranteed.
    """

    measure: str = "accuracy"

    def __call__(self, scores: Numbers, labels: Numbers) -> float:
        _check(scores, labels)
        measure = _MEASURES[self.measure]
        low, high = float(scores.min()), float(scores.max())
        for _ in range(HALVINGS):
            middle = low + (high - low) / 2
            left, right = low + (middle - low) / 2, middle + (high - middle) / 2
            if measure(scores, labels, left) > measure(scores, labels, right):
                high = middle
            else:
                low = middle
        return low + (high - low) / 2


@dataclass(frozen=True)
class PowellThreshold:
    """Powell's method on the hyperbolic tangent, started at 1 (bojone/CoSENT, accuracy/cosent.py).

    The measure is a step function, flat between two scores. Only thresholds from -1 to 1 can be found.
    """

    measure: str = "accuracy"

    def __call__(self, scores: Numbers, labels: Numbers) -> float:
        _check(scores, labels)
        measure = _MEASURES[self.measure]
        optimum = minimize(lambda t: -measure(scores, labels, float(np.tanh(t[0]))), [1.0], method="Powell")
        return float(np.tanh(optimum.x[0]))
