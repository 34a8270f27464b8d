"""Precision, recall and F1 from counts, and the threshold with the best F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 from three counts; each is 0 instead of 0 / 0.

    >>> Score(correct=1, predicted=2, gold=4).f1  # 2 correct / (predicted + gold)
    0.3333333333333333
    """

    correct: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        """Share of the predictions that are correct."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold labels that are predicted."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.correct / (self.predicted + self.gold) if self.predicted + self.gold else 0.0


def best_threshold(scores: NDArray[np.float64], correct: NDArray[np.bool_], gold: int) -> float:
    """The threshold with the highest F1; of equally good ones the nearest to 0.

    ``scores`` and ``correct`` [N] are the candidates' logits and whether each is right; ``gold`` counts all that are
    right, candidates or not. A threshold lies halfway between two scores.

    >>> best_threshold(np.array([3.0, 1.0, 0.2, -1.0]), np.array([True, True, False, True]), gold=4)
    -2.0
    """
    order = np.argsort(-scores, kind="stable")
    descending, hits = scores[order], np.cumsum(correct[order])
    # Cut only where the next candidate scores less, or after the last one.
    cuts = np.append(np.flatnonzero(np.diff(descending) < 0), len(scores) - 1) if len(scores) else np.array([], int)
    if not len(cuts) or not hits[-1]:
        return 0.0
    f1 = 2 * hits[cuts] / (cuts + 1 + gold)
    best = cuts[f1 >= f1.max() - 1e-12]
    below = np.append(descending[1:], descending[-1] - 2.0)[best]
    middle = (descending[best] + below) / 2
    # Between a score above 0 and one that is not, 0 separates as well as the middle.
    middle = np.where((descending[best] > 0) & (below <= 0), 0.0, middle)
    return float(middle[np.argmin(np.abs(middle))])
