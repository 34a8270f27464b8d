"""The tasks on one set of sentence pairs: train a model, score its test part."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import UsageError
from harness_plugins.cosent import scoring
from harness_plugins.cosent.model import Numbers, TrainingData, make_model
from harness_plugins.cosent.readers import Corpus, Pairs
from harness_plugins.cosent.thresholds import ExactThreshold
from harness_plugins.cosent.training import fit

if TYPE_CHECKING:
    from harness.running.run import Run


def train_and_score(method: Any, run: Run, dataset: str, model: str = "") -> dict[str, float]:
    """The metrics of a task on the sentence pairs of ``dataset``.

    Under one seed every method starts from the same encoder, sees the same batches in the same order and drops the
    same activations of the encoder; a head's weights come from a generator of their own. ``model``, a data set that is
    a Hugging Face model, takes the place of the option ``encoder``. Raises FloatingPointError for a loss or a score
    that is not finite.
    """
    corpus: Corpus = run.data(dataset)
    leaked = corpus.leaked
    if run.options["leaks"] == "drop":
        corpus = corpus.without_leaks()
    data = TrainingData(training_part(corpus, run), corpus.highest, [corpus.valid])
    trained = make_model(method, run, data, model)
    metrics = fit(trained, run, data)
    valid, test = trained.scores(corpus.valid), trained.scores(corpus.test)
    metrics |= {
        "leaked": leaked,
        "valid_spearman": scoring.spearman(valid, corpus.valid.labels),
        "spearman": scoring.spearman(test, corpus.test.labels),
        "pearson": scoring.pearson(test, corpus.test.labels),
    }
    return metrics if corpus.graded else metrics | _decisions(valid, test, corpus, run)


def score_as_published(method: Any, run: Run, dataset: str, model: str) -> dict[str, float]:
    """Correlations of the cosines of a pretrained model's vectors with the labels of the test part of ``dataset``.

    No weight, no pair and no head is drawn. Raises UsageError for a method that trains.
    """
    if getattr(method, "trains", True):
        raise UsageError(f"{run.cell.task} trains nothing: the method untrained is needed")
    corpus: Corpus = run.data(dataset)
    data = TrainingData(corpus.train, corpus.highest, [corpus.valid])
    scores, labels = make_model(method, run, data, model).scores(corpus.test), corpus.test.labels
    return {"spearman": scoring.spearman(scores, labels), "pearson": scoring.pearson(scores, labels)}


def _decisions(valid: Numbers, test: Numbers, corpus: Corpus, run: Run) -> dict[str, float]:
    """Accuracy and F1, each at its best threshold on valid."""
    metrics: dict[str, float] = {}
    for name, measure in (("accuracy", scoring.accuracy), ("f1", scoring.f1)):
        threshold = ExactThreshold(name)(valid, corpus.valid.labels)
        metrics[f"valid_{name}"] = measure(valid, corpus.valid.labels, threshold)
        metrics[name] = measure(test, corpus.test.labels, threshold)
        if name == "accuracy":
            run.outcomes(name, scoring.classified_rightly(test, corpus.test.labels, threshold))
    best = ExactThreshold()(test, corpus.test.labels)
    metrics["threshold_cost"] = scoring.accuracy(test, corpus.test.labels, best) - metrics["accuracy"]
    return metrics


def training_part(corpus: Corpus, run: Run) -> Pairs:
    """The training pairs that the options ``train_rows`` and ``negatives`` leave.

    ``negatives = random`` gives each pair labelled 0 the second text of any training pair, drawn under the run's seed.
    It is seldom the pair's own, or that of a pair labelled 1 with the same first text.
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

minilm_stsb = on("stsb", "minilm-l6")
minilm_as_published = partial(score_as_published, dataset="stsb", model="minilm-l6")

bert_atec = on("atec-full", "bert-base-chinese")
bert_bq = on("bq-full", "bert-base-chinese")
bert_lcqmc = on("lcqmc-full", "bert-base-chinese")
bert_paws_x_zh = on("paws-x-zh-full", "bert-base-chinese")
bert_stsb_zh = on("stsb-zh", "bert-base-chinese")

roberta_atec = on("atec-full", "chinese-roberta-wwm-ext")
roberta_bq = on("bq-full", "chinese-roberta-wwm-ext")
roberta_lcqmc = on("lcqmc-full", "chinese-roberta-wwm-ext")
roberta_paws_x_zh = on("paws-x-zh-full", "chinese-roberta-wwm-ext")
roberta_stsb_zh = on("stsb-zh", "chinese-roberta-wwm-ext")
