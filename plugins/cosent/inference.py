"""The tasks on natural language inference: train on it, and score five sets of pairs that were not trained on."""

from __future__ import annotations

from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness_plugins.cosent import scoring
from harness_plugins.cosent.model import TrainingData, make_model
from harness_plugins.cosent.readers import Corpus
from harness_plugins.cosent.training import fit, valid_spearman

if TYPE_CHECKING:
    from harness.running.run import Run

#: The data sets by the names that the article's tables give them.
SETS = {"atec": "atec-full", "bq": "bq-full", "lcqmc": "lcqmc-full", "pawsx": "paws-x-zh-full", "stsb": "stsb-zh"}
#: The label of entailment. That of contradiction is 0, that of neutral 1.
ENTAILMENT = 2


def train_on_inference(method: Any, run: Run, model: str) -> dict[str, float]:
    """The metrics of ``matching/bert-nli`` and ``matching/roberta-nli`` (bojone/CoSENT, cosent_nli.py, sbert_nli.py).

    Contradiction, neutral and entailment are three grades. The epoch with the best mean rank correlation on the valid
    parts of all five sets is chosen; ``spearman`` is the mean on their test parts. Raises FloatingPointError for a
    loss or a score that is not finite.
    """
    sets: dict[str, Corpus] = {short: run.data(name) for short, name in SETS.items()}
    valid = [corpus.valid for corpus in sets.values()]
    data = TrainingData(run.data("cnsd"), ENTAILMENT, valid, run.options["epoch_steps"])
    trained = make_model(method, run, data, model)
    metrics = fit(trained, run, data)
    on_test = {
        f"spearman_{short}": scoring.spearman(trained.scores(corpus.test), corpus.test.labels)
        for short, corpus in sets.items()
    }
    return metrics | on_test | {"valid_spearman": valid_spearman(trained, valid), "spearman": fmean(on_test.values())}


bert_nli, roberta_nli = (
    partial(train_on_inference, model=model) for model in ("bert-base-chinese", "chinese-roberta-wwm-ext")
)
