"""Tasks with a small fixed test set: outcomes of its items, and splits drawn by the seed."""

from __future__ import annotations

import numpy as np
import pytest
from plugin_run import DATASETS, METHODS, TASKS, make_run

from harness.cell import Cell
from harness.registry.datasets import load
from harness.spec import read_options, resolve
from harness_plugins.images.labelled import images_of

#: Task, method, options of a short run, metrics with outcomes.
SHORT = {
    "contrastive/digits": ("infonce", {"samples_seen": 64}, ["probe_accuracy", "knn_accuracy"]),
    "activation/digits-mlp": ("relu", {"epochs": 1}, ["test_accuracy"]),
}
REDRAWN = [name for name, task in TASKS.items() if task.test_set == "split"]


def run_short(task: str, seed: int = 0, **options: object):
    method, short, _ = SHORT[task]
    run = make_run(task, seed, **short, **options)
    return resolve(TASKS[task].run)(METHODS[method].create(), run), run


def test_tasks_on_small_images_may_redraw_their_split():
    assert {"contrastive/mnist-5k", "contrastive/digits", "activation/mnist-5k-cnn", "activation/digits-mlp"} <= set(
        REDRAWN
    )
    for name in REDRAWN:
        assert TASKS[name].test_set_of({}) == "fixed"
        assert TASKS[name].test_set_of({"split": "redraw"}) == "redrawn"


@pytest.mark.parametrize("task", SHORT)
@pytest.mark.parametrize("split", ["fixed", "redraw"])
def test_outcomes_are_those_of_the_metric(task, split):
    metrics, run = run_short(task, split=split)
    assert list(run.items) == SHORT[task][2]
    for name, content in run.items.items():
        assert content.count(1) / len(content) == pytest.approx(metrics[name], abs=1e-12)
        assert len(content) == len(load(DATASETS["digits"])["test_labels"])


@pytest.mark.parametrize("task", SHORT)
def test_another_split_gives_other_numbers_and_the_same_seed_the_same(task):
    fixed, redrawn, again = (run_short(task, split=split)[0] for split in ("fixed", "redraw", "redraw"))
    assert redrawn == again
    assert redrawn != fixed


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["mnist-5k"])
def test_all_methods_see_one_split_under_one_seed_and_another_under_the_next(name):
    task = "contrastive/mnist-5k"
    options = read_options(task, TASKS[task].options, {"split": "redraw"})

    def test_rows(method: str, seed: int):
        run = make_run(task, seed, split="redraw")
        run.seed = Cell("s", method, task, options, "cpu", "float32", seed, "code").random_seed
        return images_of(run, name)["test_images"].sum(axis=(1, 2, 3))

    np.testing.assert_array_equal(test_rows("infonce", 1), test_rows("flatnce", 1))
    assert not np.array_equal(np.sort(test_rows("infonce", 1)), np.sort(test_rows("infonce", 2)))


def test_a_diverged_network_is_right_on_the_most_common_class_alone():
    run = make_run("activation/digits-mlp", epochs=1, learning_rate=1e9, optimizer="sgd")
    metrics = resolve(TASKS["activation/digits-mlp"].run)(METHODS["relu"].create(), run)
    assert metrics["diverged"] == 1
    labels = load(DATASETS["digits"])["test_labels"]
    right = np.frombuffer(run.items["test_accuracy"], np.uint8)
    np.testing.assert_array_equal(right, labels == np.bincount(labels).argmax())
    assert metrics["test_accuracy"] == right.mean()
