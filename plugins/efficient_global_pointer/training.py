"""Train an encoder with a span scorer on a labelled corpus, choose the best epoch, and score its entities."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import UsageError
from harness_plugins.efficient_global_pointer.corpora import NESTED
from harness_plugins.efficient_global_pointer.corpus import Corpus, Entity, Sentence
from harness_plugins.efficient_global_pointer.scores import best_threshold, by_nesting, by_type, overall
from harness_plugins.efficient_global_pointer.spans import SpanScorer, spans_above
from harness_plugins.encoders.batches import batches
from harness_plugins.encoders.encoder import encoder_of
from harness_plugins.encoders.optimise import Optimizer, paired_dropout
from harness_plugins.encoders.tokens import Tokens

if TYPE_CHECKING:
    from harness.running.run import Run

#: Sentences that are predicted at once.
PREDICTED = 64
#: Candidates for another threshold than 0: spans that score above this, and at most so many of a sentence.
FLOOR = -8.0
MOST = 128
#: About so many points make a curve.
POINTS = 100


@dataclass(frozen=True)
class Batch:
    """Sentences as the encoder's tokens, with the tokens that are text and the entities that tokens can tell."""

    tokens: Tokens
    #: bool [B, L]: tokens that stand for text.
    mask: Tensor
    #: int64 [M, 4], rows (text, type, start, end).
    spans: Tensor


def train_and_score(scorer: SpanScorer, run: Run, corpus: Corpus, nests: bool) -> dict[str, float]:
    """Train on ``corpus.train``, keep the epoch with the best F1 on ``corpus.valid``, score it on ``corpus.test``.

    The encoder's weights, the order of sentences and what dropout drops are the same for all scorers under one seed;
    the scorer's own weights come from a generator of their own, since scorers need different numbers of them.
    """
    own, order, dropped = (_forked(run.generator) for _ in range(3))
    rows = corpus.train
    if run.options["train_rows"]:
        picked = torch.randperm(len(rows), generator=order)[: run.options["train_rows"]].sort().values
        rows = tuple(rows[number] for number in picked.tolist())
    encoder: Any = encoder_of(run.options, [row.text for row in rows], run.generator).to(run.device, run.dtype)
    untold = _untold(encoder, rows, corpus.types)
    head = scorer.fresh(encoder.dimension, len(corpus.types), own)
    model = nn.ModuleList([encoder, head.to(run.device, run.dtype)])  # type: ignore[attr-defined]
    best, best_epoch = fit(model, rows, corpus, run, order, dropped)
    model.load_state_dict(best)

    found, valid_candidates = predict(model, corpus.valid, corpus.types)
    threshold = _tuned(valid_candidates, corpus.valid)
    test, candidates = predict(model, corpus.test, corpus.types)
    gold = [set(row.entities) for row in corpus.test]
    score = overall(gold, test)
    moved = overall(gold, test if threshold == 0 else _above(candidates, threshold, len(gold)))
    metrics = {
        "f1": score.f1,
        "precision": score.precision,
        "recall": score.recall,
        "valid_f1": overall([set(row.entities) for row in corpus.valid], found).f1,
        "best_epoch": float(best_epoch),
        "threshold": threshold,
        "tuned_f1": moved.f1,
        "threshold_gain": moved.f1 - score.f1,
        "untold_share": untold,
    }
    if nests:
        metrics |= by_nesting(gold, test)
    for type_, of_type in by_type(gold, test, corpus.types).items():
        metrics |= {
            f"f1/{type_}": of_type.f1,
            f"precision/{type_}": of_type.precision,
            f"recall/{type_}": of_type.recall,
        }
    return metrics


def _on(scorer: SpanScorer, run: Run, dataset: str) -> dict[str, float]:
    return train_and_score(scorer, run, run.data(dataset), nests=dataset in NESTED)


on_cluener, on_resume, on_wnut17, on_germeval2014, on_genia = (
    partial(_on, dataset=name) for name in ("cluener", "resume", "wnut17", "germeval2014", "genia")
)


def fit(
    model: nn.ModuleList,
    rows: Sequence[Sentence],
    corpus: Corpus,
    run: Run,
    order: torch.Generator,
    dropped: torch.Generator,
) -> tuple[dict[str, Any], int]:
    """Train ``model`` (encoder, scorer) and give the weights of its best epoch and that epoch's number, from 1."""
    encoder, head = halves(model)
    epochs, batch_size = run.options["epochs"], run.options["batch_size"]
    per_epoch = -(-len(rows) // batch_size)
    steps = epochs * per_epoch
    optimizer = Optimizer(list(model.parameters()), run.options, steps, run.device)
    gold = [set(row.entities) for row in corpus.valid]
    lengths = [len(row.text) for row in rows]
    best: tuple[float, int, dict[str, Any]] = (-1.0, 0, {})
    step, stride = 0, max(1, steps // POINTS)
    for epoch in range(1, epochs + 1):
        model.train()
        for numbers in batches(lengths, batch_size, order, run.options["bucket"]):
            batch = read([rows[number] for number in numbers.tolist()], encoder, corpus.types)
            with optimizer.autocast(), paired_dropout(dropped):
                loss = head.loss(encoder(batch.tokens), batch.mask, batch.spans)
            optimizer.step(loss)
            if step % stride == 0:
                run.log(step, loss=loss.item())
                run.progress(step, steps)
            step += 1
        score = overall(gold, predict(model, corpus.valid, corpus.types, candidates=False)[0]).f1
        run.log(step, valid_f1=score)
        if score > best[0]:
            best = (score, epoch, copy.deepcopy(model.state_dict()))
    return best[2], best[1]


def halves(model: nn.ModuleList) -> tuple[Any, Any]:
    """The encoder and the scorer."""
    encoder, head = model
    return encoder, head


def read(rows: Sequence[Sentence], encoder: Any, types: Sequence[str]) -> Batch:
    """Sentences as a batch. Entities that do not begin and end with a token, or are cut off, are left out."""
    tokens = encoder.tokens([row.text for row in rows])
    numbers = {type_: number for number, type_ in enumerate(types)}
    mask = tokens.mask.cpu().clone()
    found = []
    for place, (row, spans) in enumerate(zip(rows, tokens.spans, strict=True)):
        starts, ends = {}, {}
        for token, (_, start, end) in enumerate(spans):
            if start == end:
                mask[place, token] = False
            else:
                starts[start], ends[end - 1] = token, token
        found += [
            (place, numbers[entity.type], starts[entity.start], ends[entity.end])
            for entity in row.entities
            if entity.start in starts and entity.end in ends
        ]
    device = tokens.mask.device
    return Batch(tokens, mask.to(device), torch.tensor(found, dtype=torch.int64, device=device).reshape(-1, 4))


#: A candidate: its sentence, the entity it would be, and its logit.
Candidate = tuple[int, Entity, float]


@torch.no_grad()
def predict(
    model: nn.ModuleList, rows: Sequence[Sentence], types: Sequence[str], candidates: bool = True
) -> tuple[list[set[Entity]], list[Candidate]]:
    """Entities that score above 0 of each sentence, and the candidates for other thresholds.

    Of a scorer whose logits do not rank the candidates are what it predicts: no threshold but 0 is better or worse.
    """
    encoder, head = halves(model)
    model.eval()
    entities: list[set[Entity]] = [set() for _ in rows]
    others: list[Candidate] = []
    for numbers, batch in _in_parts(rows, encoder, types):
        hidden = encoder(batch.tokens)
        if hasattr(head, "spans") and not candidates:
            chosen, scores = head.spans(hidden, batch.mask)
        else:
            logits = head(hidden, batch.mask)
            chosen, scores = spans_above(logits)
            if candidates:
                among = _highest(logits) if getattr(head, "ranks", True) else (chosen, scores)
                others += _entities(numbers, batch, *among, types)
        for place, entity, _ in _entities(numbers, batch, chosen, scores, types):
            entities[place].add(entity)
    return entities, others


def _highest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The spans of each text that score highest, above the floor: rows and logits."""
    flat = logits.flatten(1)
    scores, cells = flat.topk(min(MOST, flat.shape[1]), dim=1)
    text, rank = (scores > FLOOR).nonzero().T
    cell = cells[text, rank]
    _, _, length, _ = logits.shape
    kind, pair = cell // length**2, cell % length**2
    return torch.stack([text, kind, pair // length, pair % length], dim=1), scores[text, rank]


def _entities(
    numbers: Sequence[int], batch: Batch, rows: Tensor, scores: Tensor, types: Sequence[str]
) -> Iterator[Candidate]:
    for (text, kind, start, end), score in zip(rows.tolist(), scores.tolist(), strict=True):
        spans = batch.tokens.spans[text]
        yield numbers[text], Entity(spans[start][1], spans[end][2] - 1, types[kind]), score


def _in_parts(rows: Sequence[Sentence], encoder: Any, types: Sequence[str]) -> Iterator[tuple[list[int], Batch]]:
    """Sentences of about one length together, with their numbers: scores grow with the square of the longest."""
    order = sorted(range(len(rows)), key=lambda number: len(rows[number].text))
    for first in range(0, len(rows), PREDICTED):
        numbers = order[first : first + PREDICTED]
        yield numbers, read([rows[number] for number in numbers], encoder, types)


def _tuned(candidates: Sequence[Candidate], rows: Sequence[Sentence]) -> float:
    gold = [set(row.entities) for row in rows]
    scores = np.array([score for _, _, score in candidates])
    correct = np.array([entity in gold[place] for place, entity, _ in candidates], dtype=bool)
    return best_threshold(scores, correct, sum(map(len, gold)))


def _above(candidates: Sequence[Candidate], threshold: float, count: int) -> list[set[Entity]]:
    entities: list[set[Entity]] = [set() for _ in range(count)]
    for place, entity, score in candidates:
        if score > threshold:
            entities[place].add(entity)
    return entities


def _untold(encoder: Any, rows: Sequence[Sentence], types: Sequence[str]) -> float:
    """The share of the entities that no run of tokens tells."""
    told = sum(len(batch.spans) for _, batch in _in_parts(rows, encoder, types))
    every = sum(len(row.entities) for row in rows)
    if not every:
        raise UsageError("no entity to train on: train_rows picked sentences without any")
    return 1 - told / every


def _forked(generator: torch.Generator) -> torch.Generator:
    """A generator of its own that starts from a number drawn from ``generator``."""
    return torch.Generator().manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
