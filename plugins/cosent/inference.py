"""Train on natural language inference and score five sets of sentence pairs that were not trained on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness_plugins.cosent import scoring
from harness_plugins.cosent.readers import Corpus, Pairs
from harness_plugins.cosent.training import fit, make_model, valid_spearman

if TYPE_CHECKING:
    from harness.running.run import Run

#: The sets of the article, as its tables call them.
SETS = {"atec": "atec-full", "bq": "bq-full", "lcqmc": "lcqmc-full", "pawsx": "paws-x-zh-full", "stsb": "stsb-zh"}
#: The label of entailment; that of contradiction is 0.
ENTAILMENT = 2


def train_on_inference(method: Any, run: Run, model: str) -> dict[str, float]:
    """The metrics of ``matching/bert-nli`` and its like (bojone/CoSENT, cosent_nli.py and sbert_nli.py).

    Contradiction, neutral and entailment are three grades. The epoch kept is the best by the mean rank correlation on
    the valid parts of all five sets; ``spearman`` is the mean of those on their test parts. Raises FloatingPointError
    where a loss or a score is not finite.
    """
    train: Pairs = run.data("cnsd")
    sets: dict[str, Corpus] = {short: run.data(name) for short, name in SETS.items()}
    valid = [corpus.valid for corpus in sets.values()]
    trained = make_model(method, run, train, ENTAILMENT, model)
    found = fit(trained, method, run, train, ENTAILMENT, valid, run.options["epoch_steps"])
    tested = {
        f"spearman_{short}": scoring.spearman(trained.scores(corpus.test), corpus.test.labels)
        for short, corpus in sets.items()
    }
    return found | tested | {"valid_spearman": valid_spearman(trained, valid), "spearman": fmean(tested.values())}


def on_inference(model: str) -> Callable[[Any, Run], dict[str, float]]:
    """The run of a task with this model."""
    return partial(train_on_inference, model=model)
