"""The tasks: real data split anew for each seed, the same for every refiner, nothing chosen on test rows."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from plugin_run import METHODS, REGISTRY, TASKS, make_run

from harness.errors import UsageError
from harness.spec import resolve
from harness_plugins.can import formal, splits, tasks
from harness_plugins.can.classifiers import Split, predicted

DIGITS = {"train_share": 0.1}


def refined(name, task="postprocess/digits", seed=0, dtype="float32", **options):
    method = METHODS[name].create() if isinstance(name, str) else name
    return resolve(TASKS[task].run)(method, make_run(task, seed=seed, dtype=dtype, **options))


class Spy:
    """A refiner that keeps what it is given."""

    def __init__(self):
        self.given, self.fitted = [], []

    def fit(self, probabilities, labels, prior):
        self.fitted.append((probabilities, labels, prior))
        return self

    def __call__(self, probabilities, prior):
        self.given.append((probabilities, prior))
        return probabilities


def seen(task="postprocess/digits", **options):
    spy = Spy()
    metrics = refined(spy, task, **options)
    return spy, metrics


def test_metrics_are_all_there_and_none_changes_nothing():
    metrics = refined("none", **DIGITS)
    assert metrics.keys() == TASKS["postprocess/digits"].metrics.keys()
    assert metrics["gain"] == metrics["flips_gained"] == metrics["flips_lost"] == metrics["subsample_flips"] == 0
    assert metrics["mcnemar_p"] == 1
    for name in ("accuracy", "sure_accuracy", "unsure_accuracy", "calibration_error", "prior_distance"):
        assert metrics[name] == metrics[f"{name}_before"]


def test_every_refiner_of_one_seed_is_given_the_same_rows():
    first, second = refined("can", **DIGITS), refined("em-prior", **DIGITS)
    before = [name for name in first if name.endswith("_before")]
    assert len(before) == 5
    assert all(first[name] == second[name] for name in before)
    assert first["accuracy"] != second["accuracy"]


def test_same_run_gives_the_same_numbers_whether_the_classifier_was_kept_or_not():
    first = refined("can", classifier="mlp", **DIGITS)
    kept = refined("can", classifier="mlp", **DIGITS)
    tasks._trained.clear()
    assert first == kept == refined("can", classifier="mlp", **DIGITS)


def test_kept_classifiers_are_few():
    for seed in range(4):
        refined("none", seed=seed, **DIGITS)
    assert len(tasks._trained) == tasks.KEPT


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"train_share": 0.2}, {"classes": 9}, {"classifier": "mlp"}, {"blur": 0.5}]
)
def test_every_training_option_makes_other_predictions(changed):
    (one, *_), _ = seen(**DIGITS)[0].given, None
    (other, *_), _ = seen(**{**DIGITS, **changed})[0].given, None
    assert one[0].shape != other[0].shape or not torch.equal(one[0], other[0])


def test_prior_and_shift_leave_the_classifier_as_it_is():
    plain, _ = seen(**DIGITS)
    told, _ = seen(**DIGITS, prior="skewed")
    assert torch.equal(plain.given[0][0], told.given[0][0])
    assert not torch.equal(plain.given[0][1], told.given[0][1])
    thinned, _ = seen(**DIGITS, shift=5.0)
    rows = {tuple(row) for row in plain.given[0][0].tolist()}
    assert {tuple(row) for row in thinned.given[0][0].tolist()} < rows


def test_fitting_sees_validation_rows_and_the_training_prior_and_nothing_of_the_test():
    spy, _ = seen(**DIGITS, prior="skewed", shift=3.0)
    ((valid, labels, prior),) = spy.fitted
    test = {tuple(row) for row in spy.given[0][0].tolist()}
    assert len(valid) == len(labels) > 100
    assert not {tuple(row) for row in valid.tolist()} & test
    assert prior.tolist() == pytest.approx([0.1] * 10, abs=0.02)
    # A refiner that is not the one that was fitted would not have been called at all.
    assert len(spy.given) == 1 + 5


def test_cell_s_dtype_reaches_the_refiner():
    spy, _ = seen(**DIGITS, dtype="float64")
    assert spy.given[0][0].dtype == spy.given[0][1].dtype == torch.float64


def test_metrics_are_those_of_the_decisions():
    """A refiner that decides every unsure row for class 0, counted by hand."""

    class Zero(Spy):
        def __call__(self, probabilities, prior):
            super().__call__(probabilities, prior)
            out = probabilities.clone()
            out[self.unsure(out)] = torch.eye(10)[0]
            return out

        @staticmethod
        def unsure(rows):
            top = rows.double().sort(dim=1).values[:, -3:]
            top = top / top.sum(dim=1, keepdim=True)
            return -(top * top.log()).sum(dim=1) / np.log(3) >= 0.9

    spy = Zero()
    run = make_run("postprocess/digits", **DIGITS)
    metrics = tasks.on_digits(spy, run)
    rows = spy.given[0][0]
    (split, _, _) = list(tasks._trained.values())[-1]
    labels = torch.from_numpy(split.test_labels)
    unsure = Zero.unsure(rows)
    was = rows.argmax(dim=1) == labels
    now = torch.where(unsure, labels == 0, was)
    assert metrics["accuracy"] == pytest.approx(now.double().mean().item())
    assert metrics["accuracy_before"] == pytest.approx(was.double().mean().item())
    assert metrics["unsure_share"] == pytest.approx(unsure.double().mean().item())
    assert metrics["unsure_accuracy"] == pytest.approx((labels == 0)[unsure].double().mean().item())
    assert metrics["sure_accuracy"] == pytest.approx(was[~unsure].double().mean().item())
    assert metrics["flips_gained"] == int((now & ~was).sum())
    assert metrics["flips_lost"] == int((was & ~now).sum())
    lead = was[~unsure].double().mean() - was[unsure].double().mean()
    assert metrics["sure_lead"] == pytest.approx(lead.item())
    assert metrics["subsample_flips"] == 0


def test_reweighting_agrees_with_itself():
    metrics = refined("prior-reweighting", **DIGITS)
    assert metrics["reweighting_agreement"] == 1
    assert metrics["reweighting_distance"] < 1e-6
    assert 0 < refined("can", **DIGITS)["reweighting_distance"] < 0.05


@pytest.mark.parametrize(("tau", "which"), [(0.0, "every"), (1.0, "no")])
def test_test_set_without_both_kinds_of_rows_is_told(tau, which):
    with pytest.raises(UsageError, match=rf"shape \[359, 10\]: {which} test row is unsure at k = 3 and tau = {tau:g}"):
        refined("none", **DIGITS, tau=tau)


def test_too_many_classes_are_told():
    with pytest.raises(UsageError, match="classes = 11: 2 to 10 are allowed here, or 0 for all"):
        refined("none", classes=11)


@pytest.mark.parametrize("name", ["digits", "digit-pairs"])
def test_no_image_is_both_learned_from_and_tested_on(name):
    options = {"train_share": 0.5}
    seen(f"postprocess/{name}", **options)
    split = list(tasks._trained.values())[-1][0]
    parts = [{row.tobytes() for row in half} for half in _digits_of(split, name == "digit-pairs")]
    train, valid, test = parts
    # Five of the 1,797 pictures could be alike; none is.
    assert not train & test
    assert not valid & test
    assert not train & valid
    assert set(np.unique(split.train_labels)) == set(np.unique(split.test_labels))


def _digits_of(split, pairs):
    for rows in (split.train, split.valid, split.test):
        if pairs:
            both = rows.reshape(len(rows), 8, 2, 8)
            yield np.concatenate([both[:, :, 0], both[:, :, 1]]).reshape(-1, 64)
        else:
            yield rows


def test_pairs_show_the_two_digits_of_their_label():
    run = make_run("postprocess/digit-pairs", train_share=0.2)
    split = splits.pair_split(run.data("digits"), run, np.random.default_rng(0))
    data = run.data("digits")
    names = {}
    for part in ("train", "test"):
        for image, label in zip(data[f"{part}_images"], data[f"{part}_labels"], strict=True):
            names[image.astype(np.float64).tobytes()] = label
    both = split.test.reshape(len(split.test), 8, 2, 8)
    left = [names[np.ascontiguousarray(image).tobytes()] for image in both[:, :, 0]]
    right = [names[np.ascontiguousarray(image).tobytes()] for image in both[:, :, 1]]
    np.testing.assert_array_equal(10 * np.array(left) + np.array(right), split.test_labels)
    assert (np.bincount(split.test_labels) == 20).all()
    assert (np.bincount(split.train_labels) == 10).all()


@pytest.mark.parametrize("seed", range(8))
def test_fewer_classes_are_a_part_of_more_and_are_renumbered(seed):
    labels = np.repeat(np.arange(10), 3)
    few, more = (splits._classes(labels, count, np.random.default_rng(seed)) for count in (3, 7))
    assert set(few) < set(more)
    rows, numbered = splits._of_classes(labels.astype(float), labels, few)
    np.testing.assert_array_equal(few[numbered], rows.astype(int))


@pytest.mark.parametrize("own_valid", [False, True])
@pytest.mark.parametrize("classes", [0, 3])
def test_every_text_keeps_its_class_and_is_in_one_part(own_valid, classes):
    def part(name, count):
        return [f"{name}-{label}-{i}" for label in range(5) for i in range(count)], np.repeat(np.arange(5), count)

    data = {}
    for name, count in (("train", 20), ("test", 7), *([("valid", 6)] if own_valid else [])):
        data[f"{name}_texts"], data[f"{name}_labels"] = part(name, count)
    run = make_run("postprocess/trec", train_share=0.6, classes=classes)
    split = splits.text_split(data, run, np.random.default_rng(0))
    kept = classes or 5
    sizes = {"train": 12 * kept, "valid": (6 if own_valid else 8) * kept, "test": 7 * kept}
    named = {}
    for name, count in sizes.items():
        texts, labels = getattr(split, name), getattr(split, f"{name}_labels")
        assert len(texts) == len(labels) == count
        for text, label in zip(texts, labels, strict=True):
            assert named.setdefault(text.split("-")[1], label) == label
    assert len(named) == kept
    assert len({*split.train, *split.valid, *split.test}) == sum(sizes.values())
    source = "valid" if own_valid else "train"
    assert all(text.startswith(source) for text in split.valid)


def test_shift_thins_classes_out_to_the_weights():
    labels = np.repeat(np.arange(5), 100)
    rows = splits.shifted(labels, 10.0, np.random.default_rng(0))
    counts = np.sort(np.bincount(labels[rows]))
    np.testing.assert_array_equal(counts, np.round(100 * 10 ** (np.arange(5) / 4 - 1)))
    np.testing.assert_array_equal(splits.shifted(labels, 1.0, np.random.default_rng(0)), np.arange(500))


def test_priors_are_what_they_are_called():
    train, test = np.array([0, 0, 0, 1]), np.array([1, 1, 0])
    prior = {
        kind: splits.class_prior(kind, train, test, 2, np.random.default_rng(0))
        for kind in ("train", "uniform", "test")
    }
    assert prior["train"].tolist() == [0.75, 0.25]
    assert prior["uniform"].tolist() == [0.5, 0.5]
    assert prior["test"].tolist() == [1.5 / 4, 2.5 / 4]
    ratios = splits.class_prior("skewed", np.arange(6), test, 6, np.random.default_rng(0)) * 6
    assert ratios.max() / ratios.min() == pytest.approx(10)


def test_blur_is_of_the_test_images_alone():
    run = make_run("postprocess/digits", blur=1.0)
    sharp = make_run("postprocess/digits")
    blurred, plain = (splits.image_split(r.data("digits"), r, np.random.default_rng(0)) for r in (run, sharp))
    np.testing.assert_array_equal(blurred.train, plain.train)
    np.testing.assert_array_equal(blurred.valid, plain.valid)
    assert blurred.test.std() < 0.8 * plain.test.std()


@pytest.mark.parametrize("classifier", ["logistic", "mlp"])
@pytest.mark.parametrize("characters", [False, True])
def test_texts_are_told_apart_by_their_words_or_characters(classifier, characters):
    words = [["where is my card", "when will the card come"], ["what is the rate", "which rate do you give"]]
    train = [text for texts in words for text in texts for _ in range(20)]
    labels = np.repeat([0, 1], 40)
    split = Split(train, labels, ["card"], np.array([0]), ["the card", "a rate"], np.array([0, 1]))
    valid, test = predicted(split, classifier, 0, characters)
    assert valid.shape == (1, 2)
    assert test.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(test.sum(axis=1), 1)


def test_published_examples_are_exact():
    assert formal.published_examples(METHODS["can"].create(), make_run("postprocess/toy")) == {
        "repository": 0.75,
        "article": pytest.approx(0.725),
    }


def test_invariances_are_violated_by_a_refiner_that_violates_them():
    def sloppy(rows, prior):
        return (rows + 0.01 * torch.arange(len(rows))[:, None] % 0.05 * prior).softmax(dim=1)

    found = formal.invariances(sloppy, make_run("postprocess/invariances"))
    assert found["sure_changed"] == 200
    assert found["matched_changed"] == 400
    assert found["order_changed"] > 100
    kept = formal.invariances(METHODS["none"].create(), make_run("postprocess/invariances"))
    assert set(kept.values()) == {0}
    fixed = formal.invariances(METHODS["prior-reweighting"].create(), make_run("postprocess/invariances"))
    assert fixed["matched_changed"] == 0, "factors of one leave every probability as it is"


def test_simulation_draws_rows_of_the_asked_entropy_and_measures_them():
    spy = Spy()
    run = make_run("postprocess/simulation", draws=3, tau=0.25, classes=7)
    found = formal.simulation(spy, run)
    assert found == {"relative_gain": 0, "flip_share": 0, "calibrated_change": 0}
    for rows, prior in spy.given:
        entropy = formal.top_entropy(rows.double(), 3)
        assert (entropy[:6] < 0.25).all()
        assert ((entropy[6:] >= 0.2499) & (entropy[6:] < 0.5001)).all()
        assert 1 < (prior.max() / prior.min()).item() <= 2

    swapped = formal.simulation(lambda rows, prior: prior.expand_as(rows), run)
    assert swapped["calibrated_change"] < 0
    assert swapped["relative_gain"] > 0


@pytest.mark.parametrize("size", [(3, 2, 2), (50, 20, 10)])
def test_workload_has_as_many_rows_of_each_kind_as_it_says_and_can_be_differentiated(size):
    workload = REGISTRY.workloads["postprocess/confident-and-unconfident-rows"]
    make, call = resolve(workload.inputs), resolve(workload.call)
    named = dict(zip(("confident", "unconfident", "classes"), size, strict=True))
    tensors = {}
    for dtype in (torch.float32, torch.float64):
        tensors[dtype] = make(torch.Generator().manual_seed(0), torch.device("cpu"), dtype, **named)
        unsure = formal.top_entropy(tensors[dtype][0].detach().double(), 3) >= 0.9
        assert int(unsure.sum()) == named["unconfident"]
    assert torch.equal(tensors[torch.float32][0], tensors[torch.float64][0].float())
    values = []
    for name in (workload.baseline, "can"):
        rows, prior = tensors[torch.float64]
        rows = rows.detach().requires_grad_()
        value = call(METHODS[name].create(), rows, prior)
        value.backward()
        values.append((value.item(), rows.grad))
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-12)
    torch.testing.assert_close(values[0][1], values[1][1], rtol=1e-9, atol=1e-12)
    assert resolve(workload.bytes)(4, **named) == 2 * (2 * (size[0] + size[1]) + 1) * size[2] * 4
    assert resolve(workload.flops)(**named) == size[2] * (size[0] + 5 * size[1])


@pytest.mark.slow
@pytest.mark.skipif("HARNESS_DATA" not in os.environ, reason="HARNESS_DATA names no folder with the texts")
@pytest.mark.parametrize(("name", "least"), [("banking77", 0.7), ("trec", 0.6), ("tnews-fewclue", 0.3)])
def test_classifiers_of_texts_learn_something_and_are_refined(name, least):
    metrics = refined("can", f"postprocess/{name}", train_share=0.3)
    assert metrics["accuracy_before"] > least
    assert metrics["sure_lead"] > 0.2
    assert metrics["flips_gained"] + metrics["flips_lost"] > 0
