"""The tasks on a labelled corpus: train an encoder with a span scorer, choose the best epoch, score the entities."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import UsageError
from harness_plugins.efficient_global_pointer.corpus import Corpus, Entity, Sentence
from harness_plugins.efficient_global_pointer.entity_scores import by_nesting, by_type, overall
from harness_plugins.efficient_global_pointer.entity_types import NESTED
from harness_plugins.efficient_global_pointer.model import EntityModel, read_batch
from harness_plugins.efficient_global_pointer.prediction import (
    entities_above,
    in_batches,
    predict,
    predict_with_candidates,
    tune_threshold,
)
from harness_plugins.efficient_global_pointer.spans import SpanScorer
from harness_plugins.encoders.batches import batches
from harness_plugins.encoders.encoder import encoder_of
from harness_plugins.encoders.optimise import Optimizer, paired_dropout

if TYPE_CHECKING:
    from harness.running.run import Run

#: Points of a curve, about.
POINTS = 100


@dataclass(frozen=True)
class Generators:
    """Random generators, one for each purpose: scorers draw different numbers of weights.

    Each is seeded with a number from the run's generator, so order and dropout are the same for all scorers.
    """

    head: torch.Generator
    order: torch.Generator
    dropout: torch.Generator

    @classmethod
    def fork(cls, generator: torch.Generator) -> Generators:
        """Three generators, seeded from this one."""
        seeds = [int(torch.randint(2**62, (1,), generator=generator)) for _ in range(3)]
        return cls(*(torch.Generator().manual_seed(seed) for seed in seeds))


def train_and_score(scorer: SpanScorer, run: Run, corpus: Corpus, nested: bool) -> dict[str, float]:
    """Train on ``corpus.train``, choose the epoch with the best F1 on ``corpus.valid``, score it on ``corpus.test``.

    Under one seed all scorers have the same encoder weights, order of sentences and dropout in the encoder. ``nested``
    adds the scores of nested and of flat entities.
    """
    generators = Generators.fork(run.generator)
    rows = corpus.train
    if run.options["train_rows"]:
        picked = torch.randperm(len(rows), generator=generators.order)[: run.options["train_rows"]].sort().values
        rows = tuple(rows[number] for number in picked.tolist())
    encoder: Any = encoder_of(run.options, [row.text for row in rows], run.generator).to(run.device, run.dtype)
    head: Any = scorer.fresh(encoder.dimension, len(corpus.types), generators.head)
    model = EntityModel(encoder, head.to(run.device, run.dtype))
    untold_share = _unreadable_share(model, rows, corpus.types)
    weights, best_epoch = fit(model, rows, corpus, run, generators)
    model.load_state_dict(weights)

    valid, valid_candidates = predict_with_candidates(model, corpus.valid, corpus.types)
    threshold = tune_threshold(valid_candidates, corpus.valid)
    test, candidates = predict_with_candidates(model, corpus.test, corpus.types)
    gold = _gold(corpus.test)
    score = overall(gold, test)
    tuned = overall(gold, test if threshold == 0 else entities_above(candidates, threshold, len(gold)))
    metrics = {
        "f1": score.f1,
        "precision": score.precision,
        "recall": score.recall,
        "valid_f1": overall(_gold(corpus.valid), valid).f1,
        "best_epoch": float(best_epoch),
        "threshold": threshold,
        "tuned_f1": tuned.f1,
        "threshold_gain": tuned.f1 - score.f1,
        "untold_share": untold_share,
    }
    if nested:
        metrics |= by_nesting(gold, test)
    for type_, of_type in by_type(gold, test, corpus.types).items():
        metrics |= {
            f"f1/{type_}": of_type.f1,
            f"precision/{type_}": of_type.precision,
            f"recall/{type_}": of_type.recall,
        }
    return metrics


def _on(scorer: SpanScorer, run: Run, dataset: str) -> dict[str, float]:
    return train_and_score(scorer, run, run.data(dataset), nested=dataset in NESTED)


on_cluener, on_resume, on_wnut17, on_germeval2014, on_genia = (
    partial(_on, dataset=name) for name in ("cluener", "resume", "wnut17", "germeval2014", "genia")
)


def fit(
    model: EntityModel, rows: Sequence[Sentence], corpus: Corpus, run: Run, generators: Generators
) -> tuple[dict[str, Any], int]:
    """Train on ``rows``; the weights of the best epoch on ``corpus.valid``, and that epoch's number from 1."""
    epochs, batch_size = run.options["epochs"], run.options["batch_size"]
    optimizer = Optimizer(list(model.parameters()), run.options, epochs * -(-len(rows) // batch_size), run.device)
    gold = _gold(corpus.valid)
    lengths = [len(row.text) for row in rows]
    stride = max(1, optimizer.steps // POINTS)
    best_f1, best_epoch, weights = -1.0, 0, {}
    for epoch in range(1, epochs + 1):
        model.train()
        for numbers in batches(lengths, batch_size, generators.order, run.options["bucket"]):
            step = optimizer.done
            batch = read_batch([rows[number] for number in numbers.tolist()], model.encoder, corpus.types)
            with optimizer.autocast(), paired_dropout(generators.dropout):
                loss = model.loss(batch)
            optimizer.step(loss)
            if step % stride == 0:
                run.log(step, loss=loss.item())
                run.progress(step, optimizer.steps)
        f1 = overall(gold, predict(model, corpus.valid, corpus.types)).f1
        run.log(optimizer.done, valid_f1=f1)
        if f1 > best_f1:
            best_f1, best_epoch, weights = f1, epoch, copy.deepcopy(model.state_dict())
    return weights, best_epoch


def _gold(rows: Sequence[Sentence]) -> list[set[Entity]]:
    return [set(row.entities) for row in rows]


def _unreadable_share(model: EntityModel, rows: Sequence[Sentence], types: Sequence[str]) -> float:
    """The share of the entities that are no run of tokens."""
    spans = sum(len(batch.spans) for _, batch in in_batches(rows, model, types))
    entities = sum(len(row.entities) for row in rows)
    if not entities:
        raise UsageError("no entity to train on: the sentences picked by train_rows have none")
    return 1 - spans / entities
