"""Train a model of sentence pairs, watch it, and return to its best epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, islice
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from harness_plugins.cosent import scoring
from harness_plugins.cosent.model import Model, Numbers, TrainingData
from harness_plugins.cosent.readers import Pairs
from harness_plugins.cosent.thresholds import ExactThreshold
from harness_plugins.encoders.batches import batches
from harness_plugins.encoders.optimise import Optimizer, paired_dropout

if TYPE_CHECKING:
    from harness.running.run import Run

#: Training pairs, drawn for each seed, that are scored before training and after each epoch.
WATCHED = 400


def fit(model: Model, run: Run, data: TrainingData) -> dict[str, float]:
    """Train for the option ``epochs`` and restore the epoch that was best on the mean over ``data.valid``.

    The option ``choose`` says best by what. A model that does not train is left as it is.
    """
    train, options = data.train, run.options
    epochs = options["epochs"] if model.trains else 0
    steps = (data.epoch_steps or math.ceil(len(train) / options["batch_size"])) * epochs
    optimizer = Optimizer(model.parameters(), options, steps, run.device)
    watched = train.take(np.random.default_rng(run.seed).permutation(len(train))[:WATCHED])

    on_train = [_spearman(model, watched)]
    run.log(0, train_spearman=on_train[0])
    on_valid: list[float] = []
    losses: list[float] = []
    best, weights = -math.inf, model.weights()
    for epoch, batch_rows in enumerate(islice(_epochs(data, run), epochs), start=1):
        losses.append(_train_epoch(model, optimizer, run, data, batch_rows))
        scored = [(model.scores(part), part.labels) for part in data.valid]
        on_valid.append(fmean(scoring.spearman(*part) for part in scored))
        on_train.append(_spearman(model, watched))
        run.log(epoch, train_loss=losses[-1], train_spearman=on_train[-1], valid_spearman=on_valid[-1])
        value = _accuracy(scored) if options["choose"] == "accuracy" else on_valid[-1]
        if value > best:
            best, weights = value, model.weights()
    model.restore(weights)
    return {
        "first_epoch_spearman": on_valid[0] if on_valid else valid_spearman(model, data.valid),
        "train_spearman": on_train[-1],
        "untrained_spearman": on_train[0],
        "train_fall": max(on_train) - on_train[-1],
        "loss_fall": losses[0] - losses[-1] if losses else 0.0,
    }


def valid_spearman(model: Model, valid: Sequence[Pairs]) -> float:
    """Mean rank correlation over the parts."""
    return fmean(_spearman(model, part) for part in valid)


def _spearman(model: Model, pairs: Pairs) -> float:
    return scoring.spearman(model.scores(pairs), pairs.labels)


def _accuracy(scored: Sequence[tuple[Numbers, Numbers]]) -> float:
    """Mean accuracy over parts, each scores and labels, at the best threshold of each."""
    return fmean(scoring.accuracy(*part, ExactThreshold()(*part)) for part in scored)


def _epochs(data: TrainingData, run: Run) -> Iterator[Iterable[Tensor]]:
    """The batches of one epoch after another: row numbers (int64) of each batch."""
    lengths, options = data.train.lengths(), run.options
    passes = (batches(lengths, options["batch_size"], run.generator, options["bucket"]) for _ in count())
    if not data.epoch_steps:
        return passes
    endless = chain.from_iterable(passes)
    return (islice(endless, data.epoch_steps) for _ in count())


def _train_epoch(
    model: Model, optimizer: Optimizer, run: Run, data: TrainingData, batch_rows: Iterable[Tensor]
) -> float:
    """Take a step on each batch and return the mean loss over pairs."""
    labels = data.labels().to(run.device)
    total, pairs_seen = 0.0, 0
    for rows in batch_rows:
        pairs = data.train.take(rows.numpy())
        with paired_dropout(run.generator), optimizer.autocast():
            loss = model.matcher.loss(model.vectors(pairs), labels[rows.to(run.device)])
        optimizer.step(loss)
        total, pairs_seen = total + loss.item() * len(rows), pairs_seen + len(rows)
        run.progress(optimizer.done, optimizer.steps)
    return total / pairs_seen
