"""Scores of predicted entities: a prediction is correct if its offsets and its type are exactly right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness_plugins.efficient_global_pointer.corpus import Entity, nested
from harness_plugins.efficient_global_pointer.f1 import Score


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
    correct = [g & p for g, p in zip(gold, predicted, strict=True)]
    counts = [Counter(entity.type for row in rows for entity in row) for rows in (correct, predicted, gold)]
    return {type_: Score(*(count[type_] for count in counts)) for type_ in types}


def by_nesting(gold: Sequence[set[Entity]], predicted: Sequence[set[Entity]]) -> dict[str, float]:
    """Recall and precision of nested and of flat entities.

    Recall is over the entities that are nested (flat) among those of their sentence, precision over the predictions
    that are nested (flat) among the predictions of their sentence. A tagger, whose predictions never nest, has thus a
    nested precision of 0.
    """
    counts: Counter[str] = Counter()
    for g, p in zip(gold, predicted, strict=True):
        nested_gold, nested_predicted = nested(g), nested(p)
        counts.update(
            nested_gold=len(nested_gold),
            nested_recalled=len(nested_gold & p),
            nested_predicted=len(nested_predicted),
            nested_correct=len(nested_predicted & g),
            flat_gold=len(g - nested_gold),
            flat_recalled=len((g - nested_gold) & p),
            flat_predicted=len(p - nested_predicted),
            flat_correct=len((p - nested_predicted) & g),
        )
    scores: dict[str, float] = {}
    for kind in ("nested", "flat"):
        precision = Score(counts[f"{kind}_correct"], counts[f"{kind}_predicted"], 0).precision
        recall = Score(counts[f"{kind}_recalled"], 0, counts[f"{kind}_gold"]).recall
        scores |= {
            f"{kind}_precision": precision,
            f"{kind}_recall": recall,
            f"{kind}_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        }
    return scores
