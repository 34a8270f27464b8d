"""The tasks draw the same rows of real data for every refiner, anew for each seed; nothing is chosen on test rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_run import METHODS, REGISTRY, TASKS, make_run

from harness.errors import UsageError
from harness.spec import resolve
from harness_plugins.can import evaluation, splits, synthetic
from harness_plugins.can.classifiers import Split, predict

DIGITS = {"train_share": 0.1}


def metrics_of(refiner, task="postprocess/digits", seed=0, dtype="float32", **options):
    method = METHODS[refiner].create() if isinstance(refiner, str) else refiner
    return resolve(TASKS[task].run)(method, make_run(task, seed=seed, dtype=dtype, **options))


class Spy:
    """A refiner that records its arguments and returns the probabilities."""

    def __init__(self):
        self.calls, self.fits = [], []

    def fit(self, probabilities, labels, prior):
        self.fits.append((probabilities, labels, prior))
        return self

    def __call__(self, probabilities, prior):
        self.calls.append((probabilities, prior))
        return probabilities


def run_spy(task="postprocess/digits", **options):
    spy = Spy()
    metrics_of(spy, task, **options)
    return spy


def test_all_metrics_are_returned_and_without_refinement_nothing_changes():
    metrics = metrics_of("none", **DIGITS)
    assert metrics.keys() == TASKS["postprocess/digits"].metrics.keys()
    assert metrics["gain"] == metrics["flips_gained"] == metrics["flips_lost"] == metrics["subsample_flips"] == 0
    assert metrics["mcnemar_p"] == 1
    for name in ("accuracy", "sure_accuracy", "unsure_accuracy", "calibration_error", "prior_distance"):
        assert metrics[name] == metrics[f"{name}_before"]


def test_every_refiner_gets_the_same_rows_under_one_seed():
    first, second = metrics_of("can", **DIGITS), metrics_of("em-prior", **DIGITS)
    before = [name for name in first if name.endswith("_before")]
    assert len(before) == 5
    assert all(first[name] == second[name] for name in before)
    assert first["accuracy"] != second["accuracy"]


def test_metrics_are_the_same_with_a_cached_classifier():
    first = metrics_of("can", classifier="mlp", **DIGITS)
    cached = metrics_of("can", classifier="mlp", **DIGITS)
    evaluation._cache.clear()
    assert first == cached == metrics_of("can", classifier="mlp", **DIGITS)


def test_few_classifiers_are_cached():
    for seed in range(4):
        metrics_of("none", seed=seed, **DIGITS)
    assert len(evaluation._cache) == evaluation.CACHE_SIZE


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"train_share": 0.2}, {"classes": 9}, {"classifier": "mlp"}, {"blur": 0.5}]
)
def test_every_training_option_changes_the_predictions(changed):
    before, after = (run_spy(**options).calls[0][0] for options in (DIGITS, {**DIGITS, **changed}))
    assert before.shape != after.shape or not torch.equal(before, after)


def test_prior_and_shift_do_not_change_the_classifier():
    plain = run_spy(**DIGITS)
    skewed = run_spy(**DIGITS, prior="skewed")
    assert torch.equal(plain.calls[0][0], skewed.calls[0][0])
    assert not torch.equal(plain.calls[0][1], skewed.calls[0][1])
    thinned = run_spy(**DIGITS, shift=5.0)
    rows = {tuple(row) for row in plain.calls[0][0].tolist()}
    assert {tuple(row) for row in thinned.calls[0][0].tolist()} < rows


def test_fit_gets_validation_rows_and_the_training_prior_and_no_test_rows():
    spy = run_spy(**DIGITS, prior="skewed", shift=3.0)
    ((valid, labels, prior),) = spy.fits
    test = {tuple(row) for row in spy.calls[0][0].tolist()}
    assert len(valid) == len(labels) > 100
    assert not {tuple(row) for row in valid.tolist()} & test
    assert prior.tolist() == pytest.approx([0.1] * 10, abs=0.02)
    # The refiner that ``fit`` returned is called: once for all rows, and for five random halves.
    assert len(spy.calls) == 1 + 5


def test_refiner_gets_tensors_of_the_cells_dtype():
    spy = run_spy(**DIGITS, dtype="float64")
    assert spy.calls[0][0].dtype == spy.calls[0][1].dtype == torch.float64


def test_metrics_count_the_decisions():
    """A refiner that decides every unsure row for class 0, counted by hand."""

    class ClassZero(Spy):
        def __call__(self, probabilities, prior):
            super().__call__(probabilities, prior)
            refined = probabilities.clone()
            refined[self.unsure(refined)] = torch.eye(10)[0]
            return refined

        @staticmethod
        def unsure(rows):
            top = rows.double().sort(dim=1).values[:, -3:]
            top = top / top.sum(dim=1, keepdim=True)
            return -(top * top.log()).sum(dim=1) / np.log(3) >= 0.9

    spy = ClassZero()
    run = make_run("postprocess/digits", **DIGITS)
    metrics = evaluation.on_digits(spy, run)
    rows = spy.calls[0][0]
    (split, _, _) = list(evaluation._cache.values())[-1]
    labels = torch.from_numpy(split.test_labels)
    unsure = ClassZero.unsure(rows)
    right_before = rows.argmax(dim=1) == labels
    right_after = torch.where(unsure, labels == 0, right_before)
    assert metrics["accuracy"] == pytest.approx(right_after.double().mean().item())
    assert metrics["accuracy_before"] == pytest.approx(right_before.double().mean().item())
    assert metrics["unsure_share"] == pytest.approx(unsure.double().mean().item())
    assert metrics["unsure_accuracy"] == pytest.approx((labels == 0)[unsure].double().mean().item())
    assert metrics["sure_accuracy"] == pytest.approx(right_before[~unsure].double().mean().item())
    assert metrics["flips_gained"] == int((right_after & ~right_before).sum())
    assert metrics["flips_lost"] == int((right_before & ~right_after).sum())
    lead = right_before[~unsure].double().mean() - right_before[unsure].double().mean()
    assert metrics["sure_lead"] == pytest.approx(lead.item())
    assert metrics["subsample_flips"] == 0


def test_reweighting_agrees_fully_with_itself():
    metrics = metrics_of("prior-reweighting", **DIGITS)
    assert metrics["reweighting_agreement"] == 1
    assert metrics["reweighting_distance"] < 1e-6
    assert 0 < metrics_of("can", **DIGITS)["reweighting_distance"] < 0.05


@pytest.mark.parametrize(("tau", "quantifier"), [(0.0, "every"), (1.0, "no")])
def test_test_set_without_both_kinds_of_rows_is_refused(tau, quantifier):
    with pytest.raises(
        UsageError, match=rf"shape \[359, 10\]: {quantifier} test row is unsure at k = 3 and tau = {tau:g}"
    ):
        metrics_of("none", **DIGITS, tau=tau)


def test_too_many_classes_are_refused():
    with pytest.raises(UsageError, match="classes = 11: 2 to 10 are allowed here, or 0 for all"):
        metrics_of("none", classes=11)


@pytest.mark.parametrize("name", ["digits", "digit-pairs"])
def test_training_validation_and_test_rows_share_no_image(name):
    options = {"train_share": 0.5}
    run_spy(f"postprocess/{name}", **options)
    split = list(evaluation._cache.values())[-1][0]
    train, valid, test = ({row.tobytes() for row in part} for part in _digits_of(split, name == "digit-pairs"))
    # Images of the set could be equal; none are.
    assert not train & test
    assert not valid & test
    assert not train & valid
    assert set(np.unique(split.train_labels)) == set(np.unique(split.test_labels))


def _digits_of(split, pairs):
    """The single digits [N, 64] of each part."""
    for rows in (split.train, split.valid, split.test):
        if pairs:
            images = rows.reshape(len(rows), 8, 2, 8)
            yield np.concatenate([images[:, :, 0], images[:, :, 1]]).reshape(-1, 64)
        else:
            yield rows


def test_pairs_show_the_two_digits_of_their_label():
    run = make_run("postprocess/digit-pairs", train_share=0.2)
    split = splits.pair_split(run.data("digits"), run, np.random.default_rng(0))
    data = run.data("digits")
    label_of = {}
    for part in ("train", "test"):
        for image, label in zip(data[f"{part}_images"], data[f"{part}_labels"], strict=True):
            label_of[image.astype(np.float64).tobytes()] = label
    images = split.test.reshape(len(split.test), 8, 2, 8)
    left = [label_of[np.ascontiguousarray(image).tobytes()] for image in images[:, :, 0]]
    right = [label_of[np.ascontiguousarray(image).tobytes()] for image in images[:, :, 1]]
    np.testing.assert_array_equal(10 * np.array(left) + np.array(right), split.test_labels)
    assert (np.bincount(split.test_labels) == 20).all()
    assert (np.bincount(split.train_labels) == 10).all()


@pytest.mark.parametrize("seed", range(8))
def test_fewer_classes_are_a_subset_of_more_and_are_renumbered(seed):
    labels = np.repeat(np.arange(10), 3)
    few, more = (splits._draw_classes(labels, count, np.random.default_rng(seed)) for count in (3, 7))
    assert set(few) < set(more)
    rows, new_labels = splits._of_classes(labels.astype(float), labels, few)
    np.testing.assert_array_equal(few[new_labels], rows.astype(int))


@pytest.mark.parametrize("valid_part", [False, True])
@pytest.mark.parametrize("classes", [0, 3])
def test_every_text_has_its_class_and_is_in_one_part(valid_part, classes):
    def part(name, count):
        return [f"{name}-{label}-{i}" for label in range(5) for i in range(count)], np.repeat(np.arange(5), count)

    data = {}
    for name, count in (("train", 20), ("test", 7), *([("valid", 6)] if valid_part else [])):
        data[f"{name}_texts"], data[f"{name}_labels"] = part(name, count)
    run = make_run("postprocess/trec", train_share=0.6, classes=classes)
    split = splits.text_split(data, run, np.random.default_rng(0))
    count_of_classes = classes or 5
    per_class = {"train": 12, "valid": 6 if valid_part else 8, "test": 7}
    sizes = {name: count * count_of_classes for name, count in per_class.items()}
    new_labels = {}
    for name, count in sizes.items():
        texts, labels = getattr(split, name), getattr(split, f"{name}_labels")
        assert len(texts) == len(labels) == count
        for text, label in zip(texts, labels, strict=True):
            assert new_labels.setdefault(text.split("-")[1], label) == label
    assert len(new_labels) == count_of_classes
    assert len({*split.train, *split.valid, *split.test}) == sum(sizes.values())
    source = "valid" if valid_part else "train"
    assert all(text.startswith(source) for text in split.valid)


def test_shift_thins_out_classes_to_their_weights():
    labels = np.repeat(np.arange(5), 100)
    rows = splits.shifted(labels, 10.0, np.random.default_rng(0))
    counts = np.sort(np.bincount(labels[rows]))
    np.testing.assert_array_equal(counts, np.round(100 * 10 ** (np.arange(5) / 4 - 1)))
    np.testing.assert_array_equal(splits.shifted(labels, 1.0, np.random.default_rng(0)), np.arange(500))


def test_each_kind_of_prior_equals_its_definition():
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


def test_blur_applies_to_the_test_images_only():
    runs = [make_run("postprocess/digits", **options) for options in ({"blur": 1.0}, {})]
    blurred, plain = (splits.image_split(run.data("digits"), run, np.random.default_rng(0)) for run in runs)
    np.testing.assert_array_equal(blurred.train, plain.train)
    np.testing.assert_array_equal(blurred.valid, plain.valid)
    assert blurred.test.std() < 0.8 * plain.test.std()


@pytest.mark.parametrize("classifier", ["logistic", "mlp"])
@pytest.mark.parametrize("characters", [False, True])
def test_classifiers_classify_texts_by_words_or_characters(classifier, characters):
    phrases = [["where is my card", "when will the card come"], ["what is the rate", "which rate do you give"]]
    train = [text for texts in phrases for text in texts for _ in range(20)]
    labels = np.repeat([0, 1], 40)
    split = Split(train, labels, ["card"], np.array([0]), ["the card", "a rate"], np.array([0, 1]))
    valid, test = predict(split, classifier, 0, characters)
    assert valid.shape == (1, 2)
    assert test.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(test.sum(axis=1), 1)


def test_published_examples_are_reproduced_exactly():
    assert synthetic.published_examples(METHODS["can"].create(), make_run("postprocess/toy")) == {
        "repository": 0.75,
        "article": pytest.approx(0.725),
    }


@pytest.mark.parametrize("refiner", ["can", "can-loop", "can-batch", "can-official", "prior-reweighting", "none"])
def test_published_examples_do_not_depend_on_the_seed(refiner):
    metrics = TASKS["postprocess/toy"].metrics
    assert all(metric.deterministic for metric in metrics.values())
    first, second = (metrics_of(refiner, "postprocess/toy", seed) for seed in (0, 1))
    assert first.keys() == metrics.keys()
    assert {name: value.hex() for name, value in first.items()} == {name: value.hex() for name, value in second.items()}


def test_prior_error_is_the_distance_to_the_test_rows_and_its_excess_tells_a_wrong_prior():
    right, skewed = (metrics_of("none", **DIGITS, prior=kind) for kind in ("train", "skewed"))
    spy = run_spy(**DIGITS, prior="skewed")
    split = list(evaluation._cache.values())[-1][0]
    shares = np.bincount(split.test_labels, minlength=10) / len(split.test_labels)
    error = np.abs(spy.calls[0][1].numpy() - shares).sum() / 2
    assert skewed["prior_error"] == pytest.approx(error, abs=1e-6)
    assert right["prior_error"] < 0.02
    assert right["prior_excess"] < 0 < skewed["prior_excess"] < skewed["prior_error"]


def test_invariances_count_the_violations_of_a_refiner():
    def sloppy(rows, prior):
        return (rows + 0.01 * torch.arange(len(rows))[:, None] % 0.05 * prior).softmax(dim=1)

    violations = synthetic.invariances(sloppy, make_run("postprocess/invariances"))
    assert violations["sure_changed"] == 200
    assert violations["matched_changed"] == 400
    assert violations["order_changed"] > 100
    unrefined = synthetic.invariances(METHODS["none"].create(), make_run("postprocess/invariances"))
    assert set(unrefined.values()) == {0}
    reweighted = synthetic.invariances(METHODS["prior-reweighting"].create(), make_run("postprocess/invariances"))
    assert reweighted["matched_changed"] == 0, "factors of one change no probability"


def test_simulation_draws_rows_in_the_range_of_entropy_and_measures_them():
    spy = Spy()
    run = make_run("postprocess/simulation", draws=3, tau=0.25, classes=7)
    metrics = synthetic.simulation(spy, run)
    assert metrics == {"relative_gain": 0, "flip_share": 0, "calibrated_change": 0}
    for rows, prior in spy.calls:
        entropy = synthetic.top_entropy(rows.double(), 3)
        assert (entropy[:6] < 0.25).all()
        assert ((entropy[6:] >= 0.2499) & (entropy[6:] < 0.5001)).all()
        assert 1 < (prior.max() / prior.min()).item() <= 2

    prior_for_all = synthetic.simulation(lambda rows, prior: prior.expand_as(rows), run)
    assert prior_for_all["calibrated_change"] < 0
    assert prior_for_all["relative_gain"] > 0


@pytest.mark.parametrize("size", [(3, 2, 2), (50, 20, 10)])
def test_workload_has_its_numbers_of_rows_of_each_kind_and_can_be_differentiated(size):
    workload = REGISTRY.workloads["postprocess/confident-and-unconfident-rows"]
    inputs, call = resolve(workload.inputs), resolve(workload.call)
    dimensions = dict(zip(("confident", "unconfident", "classes"), size, strict=True))
    tensors = {}
    for dtype in (torch.float32, torch.float64):
        tensors[dtype] = inputs(torch.Generator().manual_seed(0), torch.device("cpu"), dtype, **dimensions)
        unsure = synthetic.top_entropy(tensors[dtype][0].detach().double(), 3) >= 0.9
        assert int(unsure.sum()) == dimensions["unconfident"]
    assert torch.equal(tensors[torch.float32][0], tensors[torch.float64][0].float())
    results = []
    for name in (workload.baseline, "can"):
        rows, prior = tensors[torch.float64]
        rows = rows.detach().requires_grad_()
        value = call(METHODS[name].create(), rows, prior)
        value.backward()
        results.append((value.item(), rows.grad))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-9, atol=1e-12)
    assert resolve(workload.bytes)(4, **dimensions) == 2 * (2 * (size[0] + size[1]) + 1) * size[2] * 4
    assert resolve(workload.flops)(**dimensions) == size[2] * (size[0] + 5 * size[1])


@pytest.mark.slow
@pytest.mark.needs_data
@pytest.mark.parametrize(("name", "least"), [("banking77", 0.7), ("trec", 0.6), ("tnews-fewclue", 0.3)])
def test_classifiers_of_real_texts_learn_and_can_flips_decisions(name, least):
    metrics = metrics_of("can", f"postprocess/{name}", train_share=0.3)
    assert metrics["accuracy_before"] > least
    assert metrics["sure_lead"] > 0.2
    assert metrics["flips_gained"] + metrics["flips_lost"] > 0
