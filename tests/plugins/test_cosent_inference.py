"""Training on natural language inference: five other sets choose the epoch and are tested."""

from __future__ import annotations

import numpy as np
import pytest
from plugin_run import METHODS, TASKS

from harness.cell import Cell
from harness.running.run import Run
from harness.spec import Dataset, Place, read_options, resolve
from harness_plugins.cosent import inference
from harness_plugins.cosent.inference import SETS
from harness_plugins.cosent.readers import Corpus, Pairs

TASK = "matching/bert-nli"


def pairs(rows, grades, seed):
    """Texts of words that the tiny model knows. The fewer words two texts share, the higher the grade."""
    rng = np.random.default_rng(seed)
    words = ["cat", "dog", "the", "a", "我", "在"]
    labels = rng.integers(grades, size=rows).astype(float)
    first, second = [], []
    for label in labels:
        left = list(rng.permutation(words)[:3])
        shared = 3 - round(3 * label / (grades - 1))
        others = [word for word in words if word not in left]
        first.append(" ".join(left))
        second.append(" ".join([*left[:shared], *others[: 3 - shared]]))
    return Pairs(first, second, labels)


def corpus(name):
    seed = sorted(SETS.values()).index(name)
    grades = 6 if name == "stsb-zh" else 2
    parts = (pairs(40, grades, 10 * seed + part) for part in range(3))
    return Corpus(*parts, grades - 1)


@pytest.fixture
def train(tmp_path, tiny_bert):
    """Run the task with small sets in place of the published ones."""
    (tmp_path / "rows").write_text("")
    here = {"files": {"rows": ()}, "places": (Place(folder=str(tmp_path)),), "licence": "none"}
    contents = {"cnsd": lambda _: pairs(60, 3, 99), "bert-base-chinese": lambda _: {"folder": str(tiny_bert)}}
    contents |= {name: lambda _, name=name: corpus(name) for name in SETS.values()}
    datasets = {name: Dataset(name=name, load=load, **here) for name, load in contents.items()}

    def trained(method="cosent", method_options=None, **options):
        small = {"epochs": 3, "epoch_steps": 10, "batch_size": 16, "max_length": 16, "learning_rate": 3e-3}
        complete = read_options(TASK, TASKS[TASK].options, small | options)
        run = Run(Cell("tests", "any", TASK, complete, "cpu", "float32", 0, "code"), complete, datasets)
        return resolve(TASKS[TASK].run)(METHODS[method].create(**(method_options or {})), run), run

    return trained


def test_epoch_and_result_are_means_over_five_sets(train):
    metrics, run = train(epoch_steps=30)
    assert set(metrics) == set(TASKS[TASK].metrics)
    assert metrics["spearman"] == pytest.approx(np.mean([metrics[f"spearman_{short}"] for short in SETS]))
    assert len({metrics[f"spearman_{short}"] for short in SETS}) == 5
    valid = dict(run.curves["valid_spearman"])
    assert list(valid) == [1, 2, 3]
    assert metrics["valid_spearman"] == pytest.approx(max(valid.values()))
    assert metrics["first_epoch_spearman"] == valid[1]
    untrained, _ = train("untrained")
    assert metrics["spearman"] > untrained["spearman"] + 0.1


def test_epoch_is_chosen_by_the_valid_parts_of_all_five_sets(train, monkeypatch):
    calls = []
    fit = inference.fit
    monkeypatch.setattr(inference, "fit", lambda *arguments: calls.append(arguments) or fit(*arguments))
    train(epochs=1, epoch_steps=1)
    ((_, _, data),) = calls
    assert [part.first for part in data.valid] == [corpus(name).valid.first for name in SETS.values()]
    assert data.epoch_steps == 1


def test_epochs_of_steps_cut_one_pass_after_another(train):
    labels = []

    class Watching:
        def __call__(self, cosine, label):
            labels.append(label)
            return (cosine * 0).sum()

    run = train(epochs=2, epoch_steps=6)[1]
    resolve(TASKS[TASK].run)(Watching(), run)
    # A pass over 60 pairs is four batches, the last of 12: three passes are two epochs of six.
    assert [len(label) for label in labels] == [16, 16, 16, 12] * 3
    assert {value.item() for label in labels for value in label} == {0, 0.5, 1}


def test_sentence_bert_has_a_class_for_each_of_the_three_labels(train):
    metrics, run = train("sentence-bert", {"classes": "grades"})
    losses = [value for _, value in run.curves["train_loss"]]
    assert losses[0] == pytest.approx(np.log(3), abs=0.3)
    assert set(metrics) == set(TASKS[TASK].metrics)
