"""Entity-level scores: an entity counts as found if its offsets and its type are exactly right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness_plugins.efficient_global_pointer.corpus import Entity, nested


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 from three counts; each is 0 where it would be 0 / 0.

    >>> Score(correct=1, predicted=2, gold=4).f1  # 2 correct / (predicted + gold)
    0.3333333333333333
    """

    correct: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        """The share of the predicted entities that is correct."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of the entities that was found."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of the two."""
        return 2 * self.correct / (self.predicted + self.gold) if self.predicted + self.gold else 0.0


def overall(gold: Sequence[set[Entity]], predicted: Sequence[set[Entity]]) -> Score:
    """Micro scores over all sentences.

    >>> ada, bob = Entity(0, 2, "person"), Entity(8, 10, "person")
    >>> overall([{ada, bob}], [{ada, Entity(8, 10, "place")}])
    Score(correct=1, predicted=2, gold=2)
    """
    correct = sum(len(g & p) for g, p in zip(gold, predicted, strict=True))
    return Score(correct, sum(map(len, predicted)), sum(map(len, gold)))


def by_type(gold: Sequence[set[Entity]], predicted: Sequence[set[Entity]], types: Sequence[str]) -> dict[str, Score]:
    """Scores of each type."""
    correct, found, wanted = (
        Counter(entity.type for row in rows for entity in row)
        for rows in ((g & p for g, p in zip(gold, predicted, strict=True)), predicted, gold)
    )
    return {type_: Score(correct[type_], found[type_], wanted[type_]) for type_ in types}


def by_nesting(gold: Sequence[set[Entity]], predicted: Sequence[set[Entity]]) -> dict[str, float]:
    """Recall and precision of nested and of flat entities apart.

    Recall looks at the entities that are nested (flat) among those of their sentence, precision at the predictions
    that are nested (flat) among the predictions of theirs. So a tagger without nested predictions has precision 0.
    """
    counts: Counter[str] = Counter()
    for g, p in zip(gold, predicted, strict=True):
        deep, deep_predicted = nested(g), nested(p)
        counts.update(
            nested_gold=len(deep),
            nested_found=len(deep & p),
            nested_predicted=len(deep_predicted),
            nested_right=len(deep_predicted & g),
            flat_gold=len(g - deep),
            flat_found=len((g - deep) & p),
            flat_predicted=len(p - deep_predicted),
            flat_right=len((p - deep_predicted) & g),
        )
    scores: dict[str, float] = {}
    for kind in ("nested", "flat"):
        precision = Score(counts[f"{kind}_right"], counts[f"{kind}_predicted"], 0).precision
        recall = Score(counts[f"{kind}_found"], 0, counts[f"{kind}_gold"]).recall
        scores |= {
            f"{kind}_precision": precision,
            f"{kind}_recall": recall,
            f"{kind}_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        }
    return scores


def best_threshold(scores: NDArray[np.float64], correct: NDArray[np.bool_], gold: int) -> float:
    """The threshold above which candidates must score for the highest F1; of equal ones that nearest to 0.

    ``scores`` and ``correct`` [N] are candidates' logits and whether each is an entity, ``gold`` how many entities
    there are, candidates or not. A threshold stands in the middle between two scores.

    >>> best_threshold(np.array([3.0, 1.0, 0.2, -1.0]), np.array([True, True, False, True]), gold=4)
    -2.0
    """
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], np.cumsum(correct[order])
    # A cut after the last candidate, or where the next one scores less.
    cuts = np.append(np.flatnonzero(np.diff(sorted_scores) < 0), len(scores) - 1) if len(scores) else np.array([], int)
    if not len(cuts) or not hits[-1]:
        return 0.0
    f1 = 2 * hits[cuts] / (cuts + 1 + gold)
    best = cuts[f1 >= f1.max() - 1e-12]
    below = np.append(sorted_scores[1:], sorted_scores[-1] - 2.0)[best]
    between = (sorted_scores[best] + below) / 2
    # Between two scores of which one is above 0 and the other is not, 0 does as well as the middle.
    between = np.where((sorted_scores[best] > 0) & (below <= 0), 0.0, between)
    return float(between[np.argmin(np.abs(between))])
