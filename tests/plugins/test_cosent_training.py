"""Training on sentence pairs: paired between methods, repeatable, able to learn, and the best epoch is kept."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from plugin_run import METHODS, TASKS

from harness.cell import Cell
from harness.errors import UsageError
from harness.running.run import Run
from harness.spec import Dataset, Place, read_options, resolve
from harness_plugins.cosent.free_vectors import fit_free_vectors
from harness_plugins.cosent.readers import Corpus, Pairs
from harness_plugins.cosent.sentence_pairs import on, training_part

SMALL = {"dimension": 32, "layers": 1, "epochs": 2, "learning_rate": 1e-2, "dropout": 0.1, "batch_size": 16}
#: Pairs of words with the same meaning, which can only be learned.
SYNONYMS = [
    ("big", "large"),
    ("small", "tiny"),
    ("fast", "quick"),
    ("glad", "happy"),
    ("ill", "sick"),
    ("odd", "weird"),
]


def pairs(rows, seed, highest=1):
    rng = np.random.default_rng(seed)
    first, second, labels = [], [], []
    for _ in range(rows):
        word, other, noun = rng.integers(6), rng.integers(6), rng.choice(["cat", "dog", "house", "idea"])
        same = rng.random() < 0.5
        first.append(f"the {SYNONYMS[word][0]} {noun} is here")
        second.append(f"a {SYNONYMS[word if same else other][1]} {noun} is here")
        labels.append(float(highest * (same or word == other)))
    return Pairs(first, second, np.array(labels))


def corpus(highest=1, rows=320):
    return Corpus(pairs(rows, 0, highest), pairs(rows // 4, 1, highest), pairs(100, 2, highest), highest)


@pytest.fixture
def make(tmp_path):
    """A run of a task whose data set is the small corpus above."""
    (tmp_path / "rows").write_text("")

    def make_run(task="matching/lcqmc", seed=0, dtype="float32", rows=320, **options):
        complete = read_options(task, TASKS[task].options, {**SMALL, "leaks": "keep", **options})
        cell = Cell("tests", "any", task, complete, "cpu", dtype, seed, "code")
        highest = 5 if "stsb" in task else 1
        name = task.partition("/")[2]
        dataset = Dataset(
            name=name,
            licence="none",
            files={"rows": ()},
            load=lambda _: corpus(highest, rows),
            places=(Place(folder=str(tmp_path)),),
        )
        return Run(cell, complete, {name: dataset})

    return make_run


def train(run, method="cosent", **options):
    return on("stsb-zh" if "stsb" in run.cell.task else "lcqmc")(METHODS[method].create(**options), run)


def test_same_run_gives_the_same_result_bit_for_bit(make):
    run, again = make(), make()
    metrics = train(run)
    torch.manual_seed(99)
    assert train(again) == metrics
    assert run.curves == again.curves
    assert train(make(seed=1)) != metrics


@pytest.mark.parametrize(
    "method",
    [
        "cosent",
        "cosent-dense",
        "cosine-mse",
        "cosine-contrastive",
        "sentence-bert",
        "angle",
        "interaction",
        "interaction-cosent",
    ],
)
def test_every_method_learns_synonyms(method, make):
    options = {"encoder": "char-transformer", "epochs": 12} if "interaction" in method else {"epochs": 8}
    # Versions of torch draw other masks of dropout; without it, the bounds below hold under each of them.
    options["dropout"] = 0.0
    before = train(make(**options), "untrained")
    after = train(make(**options), method)
    assert set(after) == set(TASKS["matching/lcqmc"].metrics)
    # Sentence-BERT trains a classifier, not the cosine that scores it, which follows slowly.
    gain, accuracy = (0.1, 0.6) if method == "sentence-bert" else (0.15, 0.75)
    assert after["spearman"] > before["spearman"] + gain
    assert after["accuracy"] > accuracy
    assert after["loss_fall"] > 0


@pytest.mark.parametrize("method", ["cosent", "sentence-bert", "interaction"])
def test_grades_are_learned_too_and_have_no_accuracy(method, make):
    metrics = train(make("matching/stsb-zh", epochs=3), method)
    assert set(metrics) == set(TASKS["matching/stsb-zh"].metrics)
    assert "accuracy" not in metrics


def test_methods_start_from_one_encoder_and_see_the_same_batches(make):
    seen = {}

    class Watching:
        """A loss that records its arguments."""

        def __init__(self, name, pull):
            self.name, self.pull = name, pull
            seen[name] = []

        def __call__(self, cosine, label):
            seen[self.name].append((cosine.detach().clone(), label.clone()))
            # These draws must not change the encoder's dropout.
            torch.rand(7 * self.pull + 1)
            return (cosine * 0).sum()

    for pull, name in enumerate("ab"):
        on("lcqmc")(Watching(name, pull), make())
    assert len(seen["a"]) == 40
    for (cosine, label), (other, others) in zip(seen["a"], seen["b"], strict=True):
        assert torch.equal(label, others)
        assert torch.equal(cosine, other)
    assert not torch.equal(seen["a"][0][1], seen["a"][20][1])
    curves = []
    for method in ("sentence-bert", "cosent", "angle"):
        run = make()
        train(run, method)
        curves.append(run.curves["train_spearman"][0])
    assert len(set(curves)) == 1


def test_best_epoch_on_valid_is_the_one_that_is_scored(make):
    run = make(epochs=6, learning_rate=0.05)
    metrics = train(run)
    valid = dict(run.curves["valid_spearman"])
    assert metrics["valid_spearman"] == max(valid.values())
    assert metrics["first_epoch_spearman"] == valid[1]
    assert metrics["train_spearman"] == run.curves["train_spearman"][-1][1]
    assert metrics["train_fall"] == pytest.approx(
        max(v for _, v in run.curves["train_spearman"]) - metrics["train_spearman"]
    )


def test_untrained_encoder_is_left_alone(make):
    run = make()
    metrics = train(run, "untrained")
    assert metrics["train_spearman"] == metrics["untrained_spearman"]
    assert metrics["first_epoch_spearman"] == metrics["valid_spearman"]
    assert "valid_spearman" not in run.curves


def test_every_option_changes_the_training(make):
    make = functools.partial(make, rows=64, epochs=1)
    plain = make()
    train(plain)
    changes = [
        {"batch_size": 8},
        {"pooling": "first"},
        {"learning_rate": 2e-2},
        {"warmup": 0.5},
        {"decay": "linear"},
        {"weight_decay": 0.1},
        {"clip_norm": 1e-3},
        {"precision": "bfloat16"},
        {"bucket": 4},
        {"dropout": 0.0},
        {"dimension": 64},
        {"layers": 2},
        {"vocabulary": 20},
        {"max_length": 4},
        {"encoder": "char-transformer"},
        {"train_rows": 40},
        {"negatives": "random"},
    ]
    for change in changes:
        run = make(**change)
        train(run)
        assert run.curves["train_loss"] != plain.curves["train_loss"], change
    decayed = [make(weight_decay=0.1, optimizer=name) for name in ("adam", "adamw")]
    for run in decayed:
        train(run)
    assert decayed[0].curves != decayed[1].curves
    joint = [make(encoder="char-transformer", segments=name) for name in ("two", "one")]
    for run in joint:
        train(run, "interaction")
    assert joint[0].curves != joint[1].curves


def test_epoch_can_be_chosen_by_accuracy(make):
    runs = [make(choose=name, epochs=4, learning_rate=0.05) for name in ("spearman", "accuracy")]
    by_rank, by_accuracy = (train(run) for run in runs)
    assert by_accuracy["valid_accuracy"] >= by_rank["valid_accuracy"]
    assert by_rank["valid_spearman"] >= by_accuracy["valid_spearman"]


def test_leaks_are_counted_whether_they_are_dropped_or_kept(make):
    counts = {}
    for name in ("keep", "drop"):
        run = make(leaks=name, epochs=1, batch_size=2)
        counts[name] = train(run)["leaked"]
    leaked = corpus().leaked
    assert counts == {"keep": leaked, "drop": leaked}
    assert leaked > 0


def test_random_negatives_replace_pairs_labelled_0_alone(make):
    whole = corpus()
    part = training_part(whole, make(negatives="random"))
    assert part.first == whole.train.first
    changed = [a != b for a, b in zip(part.second, whole.train.second, strict=True)]
    labels = whole.train.labels
    assert not np.array(changed)[labels == 1].any()
    assert np.array(changed)[labels == 0].mean() > 0.8
    assert set(part.second) <= set(whole.train.second)


@pytest.mark.parametrize("task", ["matching/stsb", "matching/stsb-zh", "matching/bert-stsb-zh", "matching/minilm-stsb"])
@pytest.mark.parametrize("option", [{"negatives": "random"}, {"choose": "accuracy"}])
def test_options_that_grades_do_not_have_are_refused_when_a_suite_is_planned(task, option):
    with pytest.raises(UsageError, match=f"unknown value for {task}: option {next(iter(option))}"):
        read_options(task, TASKS[task].options, option)


def test_some_rows_are_drawn_by_the_seed(make):
    first, second = (training_part(corpus(), make(train_rows=50, seed=seed)) for seed in (0, 1))
    assert len(first) == len(second) == 50
    assert first.first != second.first


def test_pretrained_model_is_fine_tuned_by_its_weights_file(make, tiny_bert):
    weights = {
        "encoder": "hf",
        "model": str(tiny_bert / "model.safetensors"),
        "pooling": "first",
        "learning_rate": 1e-3,
    }
    run, joint = make(**weights), make(**weights)
    train(run)
    train(joint, "interaction-cosent")
    losses = [value for _, value in run.curves["train_loss"]]
    assert losses[-1] < losses[0]
    assert run.curves["train_spearman"][0] != joint.curves["train_spearman"][0]


@pytest.fixture
def make_minilm(tmp_path, tiny_bert):
    """A run of a task on MiniLM whose model is a tiny one and whose data set is the small corpus above."""
    (tmp_path / "rows").write_text("")
    here = {"files": {"rows": ()}, "places": (Place(folder=str(tmp_path)),), "licence": "none"}
    contents = {"stsb": lambda _: corpus(5), "minilm-l6": lambda _: {"folder": str(tiny_bert)}}
    datasets = {name: Dataset(name=name, load=load, **here) for name, load in contents.items()}

    def make_run(task, seed):
        complete = read_options(task, TASKS[task].options, {"leaks": "keep"} if task == "matching/minilm-stsb" else {})
        return Run(Cell("tests", "any", task, complete, "cpu", "float32", seed, "code"), complete, datasets)

    return make_run


def test_published_model_is_scored_without_a_seed_and_as_the_untrained_one(make_minilm):
    task = TASKS["matching/minilm-as-published"]
    assert all(metric.deterministic for metric in task.metrics.values())
    untrained = METHODS["untrained"].create()
    first, second = (resolve(task.run)(untrained, make_minilm(task.name, seed)) for seed in (0, 1))
    assert first.keys() == task.metrics.keys()
    assert {name: value.hex() for name, value in first.items()} == {name: value.hex() for name, value in second.items()}
    trained_by_nothing = on("stsb", "minilm-l6")(untrained, make_minilm("matching/minilm-stsb", 0))
    assert first["spearman"] == trained_by_nothing["spearman"]


def test_published_model_is_not_trained(make_minilm):
    task = TASKS["matching/minilm-as-published"]
    with pytest.raises(UsageError, match="matching/minilm-as-published trains nothing: the method untrained is needed"):
        resolve(task.run)(METHODS["cosent"].create(), make_minilm(task.name, 0))


def test_score_that_is_not_finite_is_an_error(make):
    class Bad:
        def matcher(self, dimension, levels, generator):  # noqa: ARG002  the role's signature
            class Head(torch.nn.Module):
                joint = False

                def score(self, vectors):
                    return vectors.sum(dim=(0, 2)) * torch.nan

            return Head()

    with pytest.raises(FloatingPointError, match=r"the score of pair \d+ of 320 is nan"):
        on("lcqmc")(Bad(), make())


def free(**options):
    task = "matching/free-vectors"
    complete = read_options(task, TASKS[task].options, {"items": 32, "steps": 100, **options})
    return fit_free_vectors(
        METHODS["cosent"].create(), Run(Cell("t", "m", task, complete, "cpu", "float32", 0, "c"), complete, {})
    )


def test_free_vectors_fit_groups_in_few_dimensions_and_anything_in_many():
    groups = free(labels="groups")
    assert groups["wrong_orders"] < 0.001
    assert groups["dimensions"] == 28
    assert groups["numbers_per_label"] == pytest.approx(32 * 28 / (32 * 31 / 2))
    assert free(factor=10.0)["wrong_orders"] < 0.02 < free(factor=0.5)["wrong_orders"]
    assert free(steps=1)["wrong_orders"] == pytest.approx(0.5, abs=0.1)
