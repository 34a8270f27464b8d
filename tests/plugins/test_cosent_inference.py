"""Training on natural language inference: five sets choose the epoch and are tested, none of them is trained on."""

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
    """Texts of the tiny model's own words. The fewer two texts share the higher the grade: that has to be learned."""
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
    """Run the task with small sets in the place of the published ones."""
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


def test_five_sets_are_tested_and_their_means_are_what_is_chosen_and_told(train):
    found, run = train()
    assert set(found) == set(TASKS[TASK].metrics)
    assert found["spearman"] == pytest.approx(np.mean([found[f"spearman_{short}"] for short in SETS]))
    assert len({found[f"spearman_{short}"] for short in SETS}) == 5
    valid = dict(run.curves["valid_spearman"])
    assert list(valid) == [1, 2, 3]
    assert found["valid_spearman"] == pytest.approx(max(valid.values()))
    assert found["first_epoch_spearman"] == valid[1]
    untrained, _ = train("untrained")
    assert found["spearman"] > untrained["spearman"] + 0.1


def test_epoch_is_chosen_by_the_valid_parts_of_all_five_sets(train, monkeypatch):
    given = []
    fit = inference.fit
    monkeypatch.setattr(inference, "fit", lambda *told: given.append(told) or fit(*told))
    train(epochs=1, epoch_steps=1)
    ((*_, valid, steps),) = given
    assert [part.first for part in valid] == [corpus(name).valid.first for name in SETS.values()]
    assert steps == 1


def test_epoch_is_so_many_batches_of_one_pass_after_another(train):
    seen = []

    class Watching:
        def __call__(self, cosine, label):
            seen.append(label)
            return (cosine * 0).sum()

    run = train(epochs=2, epoch_steps=6)[1]
    resolve(TASKS[TASK].run)(Watching(), run)
    # A pass over 60 pairs is four batches, the last of 12: three passes are two epochs of six.
    assert [len(label) for label in seen] == [16, 16, 16, 12] * 3
    assert {value.item() for label in seen for value in label} == {0, 0.5, 1}


def test_sentence_bert_has_a_class_for_each_of_the_three_labels(train):
    found, run = train("sentence-bert", {"classes": "grades"})
    losses = [value for _, value in run.curves["train_loss"]]
    assert losses[0] == pytest.approx(np.log(3), abs=0.3)
    assert set(found) == set(TASKS[TASK].metrics)
