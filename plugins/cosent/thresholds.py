"""Where to cut scores into the same and not the same: exactly, and as the article on CoSENT does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from harness_plugins.cosent.scoring import accuracy, f1

Numbers = NDArray[np.float64]
_MEASURES = {"accuracy": accuracy, "f1": f1}
#: Halvings of a bisection: enough to part any two float64 numbers of one size.
HALVINGS = 60


def _check(scores: Numbers, labels: Numbers) -> None:
    if scores.ndim != 1 or labels.shape != scores.shape or not len(scores):
        raise ValueError(f"scores {list(scores.shape)} and labels {list(labels.shape)}: both must be [N], N > 0")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ValueError(
            f"scores {list(scores.shape)}: row {row} is {scores[row]}, which has no place among the others"
        )


@dataclass(frozen=True)
class ExactThreshold:
    """The best threshold of all, by sorting and running counts: O(N log N).

    Nothing but the order of the scores is used, so that their range does not matter. Of thresholds that are as good
    the highest is taken, halfway between two scores; one above all scores calls nothing the same.

    >>> ExactThreshold()(np.array([0.9, 0.6, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]))
    0.55
    """

    measure: str = "accuracy"

    def __call__(self, scores: Numbers, labels: Numbers) -> float:
        _check(scores, labels)
        order = np.argsort(-scores, kind="stable")
        ordered, true = scores[order], labels[order] > 0.5
        # After k rows from the top are called the same: only where the next score is another can one cut.
        called = np.arange(len(scores) + 1)
        hits = np.concatenate([[0], np.cumsum(true)])
        total = hits[-1]
        if self.measure == "accuracy":
            value = hits + (len(scores) - total) - (called - hits)
        else:
            value = 2 * hits / np.maximum(called + total, 1)
        possible = np.concatenate([[True], ordered[1:] < ordered[:-1], [True]])
        best = int(np.argmax(np.where(possible, value, -1)))
        return _between(ordered, best)


def _between(ordered: Numbers, count: int) -> float:
    """A threshold that just the first ``count`` of falling scores are above."""
    if count == 0:
        return float(ordered[0])
    if count == len(ordered):
        return float(np.nextafter(ordered[-1], -np.inf))
    above, below = float(ordered[count - 1]), float(ordered[count])
    middle = below + (above - below) / 2
    # Between neighbouring floats there is no middle; the lower one then does, as it is not above itself.
    return middle if below <= middle < above else below


@dataclass(frozen=True)
class BisectedThreshold:
    """Bisection, which the article says will do for two classes (kexue.fm/archives/8860 gives no code for it).

    Read as: of the two halves of the range of scores, go to the one whose middle is the better threshold. That finds
    the best one where the measure rises to one peak and falls, which nothing promises.
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

    The measure is a staircase, flat wherever the method looks between two scores, and no threshold beyond -1 to 1 can
    be found.
    """

    measure: str = "accuracy"

    def __call__(self, scores: Numbers, labels: Numbers) -> float:
        _check(scores, labels)
        measure = _MEASURES[self.measure]
        found = minimize(lambda t: -measure(scores, labels, float(np.tanh(t[0]))), [1.0], method="Powell")
        return float(np.tanh(found.x[0]))
