"""Train an encoder on sentence pairs with a method, choose the best epoch on valid, and score the test part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count, islice
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness_plugins.cosent import scoring
from harness_plugins.cosent.matchers import matcher_of
from harness_plugins.cosent.readers import Corpus, Pairs
from harness_plugins.cosent.thresholds import ExactThreshold
from harness_plugins.encoders.batches import batches
from harness_plugins.encoders.encoder import encoder_of, make_encoder
from harness_plugins.encoders.optimise import Optimizer, paired_dropout
from harness_plugins.encoders.scratch import Architecture
from harness_plugins.encoders.tokens import pool

if TYPE_CHECKING:
    from harness.running.run import Run

#: Pairs that are scored at once.
SCORED = 128
#: Training pairs, drawn for each seed, on which it is watched whether training helps them.
WATCHED = 400

Numbers = NDArray[np.float64]


@dataclass
class Model:
    """An encoder, how its states become one vector, and the matcher on top."""

    encoder: Any
    matcher: Any
    pooling: str
    #: "one" tells the encoder nothing of which text a token of a joint input is of, as the article's code does.
    segments: str

    def vectors(self, pairs: Pairs) -> Tensor:
        """One vector for each text [2, N, D], or for each pair [N, D] with a matcher of joint inputs."""
        if self.matcher.joint:
            tokens = self.encoder.tokens(pairs.first, pairs.second)
            if self.segments == "one":
                tokens = replace(tokens, segments=torch.zeros_like(tokens.segments))
            return pool(self.encoder(tokens), tokens.mask, self.pooling)
        tokens = self.encoder.tokens([*pairs.first, *pairs.second])
        pooled = pool(self.encoder(tokens), tokens.mask, self.pooling)
        return pooled.view(2, len(pairs), -1)

    @torch.no_grad()
    def scores(self, pairs: Pairs) -> Numbers:
        """How alike the texts of each pair are [N]."""
        self.encoder.eval()
        order = np.argsort([len(a) + len(b) for a, b in zip(pairs.first, pairs.second, strict=True)], kind="stable")
        found = np.empty(len(pairs))
        for rows in np.split(order, range(SCORED, len(order), SCORED)):
            found[rows] = self.matcher.score(self.vectors(pairs.take(rows))).double().cpu().numpy()
        self.encoder.train()
        if not np.isfinite(found).all():
            row = int(np.flatnonzero(~np.isfinite(found))[0])
            raise FloatingPointError(f"the score of pair {row} of {len(found)} is {found[row]}")
        return found

    def parameters(self) -> list[nn.Parameter]:
        """All that is trained."""
        return [*self.encoder.parameters(), *self.matcher.parameters()]


def train_and_score(method: Any, run: Run, dataset: str, model: str = "") -> dict[str, float]:
    """The metrics of the tasks ``matching/...`` on sentence pairs.

    Under one seed every method starts from one encoder, sees the same batches in the same order and drops the same
    activations of the encoder; a head's weights come from a generator of their own. ``model`` names a data set that
    is a Hugging Face model and takes the place of the option ``encoder``. Raises FloatingPointError where a loss or a
    score is not finite.
    """
    options = run.options
    corpus: Corpus = run.data(dataset)
    leaked = corpus.leaked
    if options["leaks"] == "drop":
        corpus = corpus.without_leaks()
    train = training_part(corpus, run)
    trained = make_model(method, run, train, corpus.highest, model)
    found = fit(trained, method, run, train, corpus.highest, [corpus.valid])
    valid, test = trained.scores(corpus.valid), trained.scores(corpus.test)
    metrics = found | {
        "leaked": leaked,
        "valid_spearman": scoring.spearman(valid, corpus.valid.labels),
        "spearman": scoring.spearman(test, corpus.test.labels),
        "pearson": scoring.pearson(test, corpus.test.labels),
    }
    if not corpus.graded:
        metrics |= _decided(valid, test, corpus)
    return metrics


def _decided(valid: Numbers, test: Numbers, corpus: Corpus) -> dict[str, float]:
    """Accuracy and F1, at the best thresholds on valid."""
    metrics: dict[str, float] = {}
    for name, measure in (("accuracy", scoring.accuracy), ("f1", scoring.f1)):
        threshold = ExactThreshold(name)(valid, corpus.valid.labels)
        metrics[f"valid_{name}"] = measure(valid, corpus.valid.labels, threshold)
        metrics[name] = measure(test, corpus.test.labels, threshold)
    best = ExactThreshold()(test, corpus.test.labels)
    metrics["threshold_cost"] = scoring.accuracy(test, corpus.test.labels, best) - metrics["accuracy"]
    return metrics


def make_model(method: Any, run: Run, train: Pairs, highest: float, model: str = "") -> Model:
    """The encoder of the options, or the data set ``model`` that is one, and the matcher of ``method``.

    ``highest`` is the greatest label there is.
    """
    options = run.options
    levels = torch.tensor(np.unique(train.labels) / highest, dtype=torch.float32)
    texts = [*train.first, *train.second]
    if model:
        architecture = Architecture(max_length=options["max_length"])
        encoder = make_encoder(f"hf:{run.data(model)['folder']}", texts, run.generator, architecture)
    else:
        encoder = encoder_of(options, texts, run.generator)
    encoder = encoder.to(run.device, run.dtype)
    for_head = torch.Generator().manual_seed(run.seed ^ 1)
    matcher = matcher_of(method, encoder.dimension, levels, for_head).to(run.device, run.dtype)
    return Model(encoder, matcher, options["pooling"], options["segments"])


def training_part(corpus: Corpus, run: Run) -> Pairs:
    """The pairs that are learned from: some of them, and with other negatives, where the options say so.

    ``negatives = random`` gives each pair labelled 0 the second text of any training pair, drawn under the run's seed:
    seldom its own, or that of a pair labelled 1 whose first text is the same.
    """
    train = corpus.train
    rng = np.random.default_rng(run.seed)
    if run.options["train_rows"]:
        train = train.take(np.sort(rng.permutation(len(train))[: run.options["train_rows"]]))
    if run.options["negatives"] == "random":
        strangers = rng.integers(len(train), size=len(train))
        second = [
            train.second[stranger] if label == 0 else text
            for text, stranger, label in zip(train.second, strangers, train.labels, strict=True)
        ]
        train = Pairs(train.first, second, train.labels)
    return train


def fit(
    model: Model, method: Any, run: Run, train: Pairs, highest: float, valid: Sequence[Pairs], epoch_steps: int = 0
) -> dict[str, float]:
    """Train, watch and go back to the epoch that was best on the mean over the parts ``valid``.

    An epoch is a pass over ``train``, or ``epoch_steps`` batches. A method that does not train leaves the model as it
    is.
    """
    options = run.options
    epochs = options["epochs"] if getattr(method, "trains", True) else 0
    steps = (epoch_steps or math.ceil(len(train) / options["batch_size"])) * epochs
    optimizer = Optimizer(model.parameters(), options, steps, run.device)
    lengths = [len(a) + len(b) for a, b in zip(train.first, train.second, strict=True)]
    labels = torch.tensor(train.labels / highest, dtype=torch.float32, device=run.device)
    known = train.take(np.random.default_rng(run.seed).permutation(len(train))[:WATCHED])

    on_train = [scoring.spearman(model.scores(known), known.labels)]
    run.log(0, train_spearman=on_train[0])
    on_valid: list[float] = []
    losses: list[float] = []
    best, kept = -math.inf, _weights(model)
    done = 0
    endless = chain.from_iterable(_pass(lengths, run) for _ in count())
    for epoch in range(1, epochs + 1):
        total, seen = 0.0, 0
        for rows in islice(endless, epoch_steps) if epoch_steps else _pass(lengths, run):
            pairs = train.take(rows.numpy())
            with paired_dropout(run.generator), optimizer.autocast():
                loss = model.matcher.loss(model.vectors(pairs), labels[rows.to(run.device)])
            optimizer.step(loss)
            total, seen = total + loss.item() * len(rows), seen + len(rows)
            done += 1
            run.progress(done, steps)
        losses.append(total / seen)
        scored = [(model.scores(part), part.labels) for part in valid]
        on_valid.append(fmean(scoring.spearman(*part) for part in scored))
        on_train.append(scoring.spearman(model.scores(known), known.labels))
        run.log(epoch, train_loss=losses[-1], train_spearman=on_train[-1], valid_spearman=on_valid[-1])
        value = on_valid[-1]
        if options["choose"] == "accuracy":
            value = fmean(scoring.accuracy(*part, ExactThreshold()(*part)) for part in scored)
        if value > best:
            best, kept = value, _weights(model)
    _restore(model, kept)
    return {
        "first_epoch_spearman": on_valid[0] if on_valid else valid_spearman(model, valid),
        "train_spearman": on_train[-1],
        "untrained_spearman": on_train[0],
        "train_fall": max(on_train) - on_train[-1],
        "loss_fall": losses[0] - losses[-1] if epochs else 0.0,
    }


def valid_spearman(model: Model, valid: Sequence[Pairs]) -> float:
    """The mean of its rank correlations over the parts."""
    return fmean(scoring.spearman(model.scores(part), part.labels) for part in valid)


def _pass(lengths: Sequence[int], run: Run) -> Iterable[Tensor]:
    return batches(lengths, run.options["batch_size"], run.generator, run.options["bucket"])


def _weights(model: Model) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def _restore(model: Model, weights: list[Tensor]) -> None:
    with torch.no_grad():
        for parameter, kept in zip(model.parameters(), weights, strict=True):
            parameter.copy_(kept)


def on(dataset: str, model: str = "") -> Callable[[Any, Run], dict[str, float]]:
    """The run of a task on this data set."""
    return partial(train_and_score, dataset=dataset, model=model)


on_stsb = on("stsb")
on_stsb_zh = on("stsb-zh")
on_lcqmc = on("lcqmc")
on_atec = on("atec")
on_afqmc = on("afqmc")
on_paws_x_zh = on("paws-x-zh")
on_mrpc = on("mrpc")
