"""Predict the entities of sentences, and find the threshold with the best F1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness_plugins.efficient_global_pointer.corpus import Entity, Sentence
from harness_plugins.efficient_global_pointer.f1 import best_threshold
from harness_plugins.efficient_global_pointer.model import Batch, EntityModel, read_batch
from harness_plugins.efficient_global_pointer.spans import spans_above

#: Sentences that are predicted at once.
PREDICTED = 64
#: Candidates for other thresholds than 0: spans that score above this, and at most so many of a sentence.
FLOOR = -8.0
MOST = 128


class Candidate(NamedTuple):
    """A span that would be an entity at some threshold."""

    #: Number of its sentence.
    sentence: int
    entity: Entity
    logit: float


@torch.no_grad()
def predict(model: EntityModel, rows: Sequence[Sentence], types: Sequence[str]) -> list[set[Entity]]:
    """The entities of each sentence: spans that score above 0."""
    model.eval()
    entities: list[set[Entity]] = [set() for _ in rows]
    for numbers, batch in in_batches(rows, model, types):
        hidden = model.encoder(batch.tokens)
        if hasattr(model.head, "spans"):
            spans, logits = model.head.spans(hidden, batch.mask)
        else:
            spans, logits = spans_above(model.head(hidden, batch.mask))
        for candidate in _candidates(numbers, batch, spans, logits, types):
            entities[candidate.sentence].add(candidate.entity)
    return entities


@torch.no_grad()
def predict_with_candidates(
    model: EntityModel, rows: Sequence[Sentence], types: Sequence[str]
) -> tuple[list[set[Entity]], list[Candidate]]:
    """The entities of each sentence, and candidates for other thresholds.

    If the logits of a scorer do not rank spans (``ranks``), its predictions are the candidates: no threshold is better
    than 0.
    """
    model.eval()
    entities: list[set[Entity]] = [set() for _ in rows]
    candidates: list[Candidate] = []
    for numbers, batch in in_batches(rows, model, types):
        logits = model.head(model.encoder(batch.tokens), batch.mask)
        predicted = spans_above(logits)
        ranked = _highest(logits) if getattr(model.head, "ranks", True) else predicted
        candidates += _candidates(numbers, batch, *ranked, types)
        for candidate in _candidates(numbers, batch, *predicted, types):
            entities[candidate.sentence].add(candidate.entity)
    return entities, candidates


def entities_above(candidates: Sequence[Candidate], threshold: float, sentences: int) -> list[set[Entity]]:
    """The entities of so many sentences at another threshold."""
    entities: list[set[Entity]] = [set() for _ in range(sentences)]
    for candidate in candidates:
        if candidate.logit > threshold:
            entities[candidate.sentence].add(candidate.entity)
    return entities


def tune_threshold(candidates: Sequence[Candidate], rows: Sequence[Sentence]) -> float:
    """The threshold with the best F1 on these sentences."""
    gold = [set(row.entities) for row in rows]
    logits = np.array([candidate.logit for candidate in candidates])
    correct = np.array([candidate.entity in gold[candidate.sentence] for candidate in candidates], dtype=bool)
    return best_threshold(logits, correct, sum(map(len, gold)))


def in_batches(rows: Sequence[Sentence], model: EntityModel, types: Sequence[str]) -> Iterator[tuple[list[int], Batch]]:
    """Batches with the numbers of their sentences.

    Sentences of similar length come together, as the number of scores grows with the square of the longest.
    """
    order = sorted(range(len(rows)), key=lambda number: len(rows[number].text))
    for first in range(0, len(rows), PREDICTED):
        numbers = order[first : first + PREDICTED]
        yield numbers, read_batch([rows[number] for number in numbers], model.encoder, types)


def _highest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The spans of each text that score highest, above the floor: rows (text, type, start, end) and logits."""
    flat = logits.flatten(1)
    scores, cells = flat.topk(min(MOST, flat.shape[1]), dim=1)
    text, rank = (scores > FLOOR).nonzero().T
    cell = cells[text, rank]
    _, _, length, _ = logits.shape
    kind, pair = cell // length**2, cell % length**2
    return torch.stack([text, kind, pair // length, pair % length], dim=1), scores[text, rank]


def _candidates(
    numbers: Sequence[int], batch: Batch, spans: Tensor, logits: Tensor, types: Sequence[str]
) -> Iterator[Candidate]:
    """Spans of tokens as entities by characters."""
    for (text, kind, start, end), logit in zip(spans.tolist(), logits.tolist(), strict=True):
        tokens = batch.tokens.spans[text]
        yield Candidate(numbers[text], Entity(tokens[start][1], tokens[end][2] - 1, types[kind]), logit)
