"""The training protocol: reproducible, the same for every loss, and able to learn something."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugin_run import METHODS, TASKS, make_run
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from harness_plugins.flatnce.encoder import Encoder
from harness_plugins.flatnce.losses import ContrastiveLoss
from harness_plugins.flatnce.probes import linear_probe, nearest_neighbours
from harness_plugins.flatnce.training import batches, held_out, on_digits, on_mnist_5k, train
from harness_plugins.flatnce.views import two_views
from harness_plugins.images.labelled import Labelled

DIGITS = "contrastive/digits"


def result(method="infonce", **options):
    run = make_run(DIGITS, **{"samples_seen": 256, **options})
    return on_digits(METHODS[method].create(), run), run


def test_same_run_gives_the_same_result_bit_for_bit():
    metrics, run = result()
    torch.manual_seed(99)
    metrics_again, run_again = result()
    assert metrics == metrics_again
    assert run.curves == run_again.curves


def test_seed_and_loss_change_the_result():
    metrics, run = result()
    assert result(seed=1)[1].curves != run.curves
    assert result("flatnce")[1].curves != run.curves
    assert set(metrics) == set(TASKS[DIGITS].metrics)


def test_initial_weights_depend_on_the_seed_alone():
    encoder = Encoder(28, torch.Generator().manual_seed(5))
    torch.manual_seed(1)
    again = Encoder(28, torch.Generator().manual_seed(5))
    for weight, weight_again in zip(encoder.parameters(), again.parameters(), strict=True):
        assert torch.equal(weight, weight_again)


def test_learning_rate_of_0_leaves_the_encoder_untrained_whatever_the_batch_and_the_loss():
    for method, batch_size in (("infonce", 16), ("flatnce", 64)):
        run = make_run(DIGITS, base_lr=0.0, batch_size=batch_size, samples_seen=256)
        encoder = Encoder(8, run.generator)
        train(encoder, METHODS[method].create(), torch.rand(100, 1, 8, 8), run)
        drawn = Encoder(8, make_run(DIGITS).generator)
        for weight, weight_drawn in zip(encoder.parameters(), drawn.parameters(), strict=True):
            assert torch.equal(weight, weight_drawn)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_every_option_has_an_effect(optimizer):
    plain = result(optimizer=optimizer)[1].curves
    for changed in ({"base_lr": 0.02}, {"lr_rule": "linear"}, {"weight_decay": 0.1}, {"batch_size": 16}):
        assert result(optimizer=optimizer, **changed)[1].curves != plain, changed
    if optimizer == "sgd":
        assert result(optimizer="sgd", clip_norm=1e-3)[1].curves != plain


def test_learning_raises_the_probe_above_the_untrained_encoder():
    untrained = make_run("contrastive/mnist-5k", samples_seen=1, batch_size=2, base_lr=0.0)
    trained = make_run("contrastive/mnist-5k", samples_seen=4096, batch_size=64)
    loss = METHODS["infonce"].create()
    before, after = on_mnist_5k(loss, untrained), on_mnist_5k(loss, trained)
    assert after["probe_accuracy"] > before["probe_accuracy"] + 0.03


@pytest.mark.slow
def test_default_protocol_learns_at_every_batch_size_of_the_suite():
    loss = METHODS["infonce"].create()
    before = on_mnist_5k(loss, make_run("contrastive/mnist-5k", samples_seen=1, base_lr=0.0))["probe_accuracy"]
    for batch_size in (8, 32, 256):
        after = on_mnist_5k(loss, make_run("contrastive/mnist-5k", batch_size=batch_size))["probe_accuracy"]
        assert after > before + 0.04, batch_size


@pytest.mark.parametrize(("batch_size", "samples_seen", "steps"), [(32, 256, 8), (30, 256, 8), (64, 10, 1)])
def test_number_of_samples_gives_the_number_of_steps(batch_size, samples_seen, steps):
    _, run = result(batch_size=batch_size, samples_seen=samples_seen)
    assert [step for step, _ in run.curves["loss"]] == list(range(steps))
    assert run.curves["mean_weight"][-1][0] == steps - 1


@pytest.mark.parametrize("rendered", [4, 8, 512])
def test_batches_hold_every_image_once_per_pass(rendered, monkeypatch):
    monkeypatch.setattr("harness_plugins.flatnce.training.RENDERED", rendered)
    monkeypatch.setattr("harness_plugins.flatnce.training.two_views", lambda images, _: torch.stack([images, images]))
    images = torch.arange(10.0).view(-1, 1, 1, 1)
    views_of_batches = list(batches(images, 4, 5, make_run(DIGITS)))
    assert [views.shape for views in views_of_batches] == 5 * [(2, 4, 1, 1, 1)]
    rows = torch.cat([views[0].flatten() for views in views_of_batches]).tolist()
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10] != rows[10:]


def test_batch_larger_than_the_data_set_holds_images_again(monkeypatch):
    monkeypatch.setattr("harness_plugins.flatnce.training.two_views", lambda images, _: torch.stack([images, images]))
    (views,) = batches(torch.arange(3.0).view(-1, 1, 1, 1), 7, 1, make_run(DIGITS))
    assert np.bincount(views[0].flatten().int().numpy()).tolist() in ([3, 2, 2], [2, 3, 2], [2, 2, 3])


def test_two_views_differ_from_each_other_and_from_the_image():
    images = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    views = two_views(images, torch.Generator().manual_seed(1))
    again = two_views(images, torch.Generator().manual_seed(1))
    assert torch.equal(views, again)
    for first, second in ((views[0], views[1]), (views[0], images), (views[0, :3], views[0, 3:])):
        assert (first - second).abs().mean() > 0.05


def test_views_keep_the_order_of_the_images():
    images = torch.zeros(5, 1, 28, 28)
    images[2] = 1
    brightness = two_views(images, torch.Generator().manual_seed(0)).mean(dim=(2, 3, 4))
    assert brightness.argmax(dim=1).tolist() == [2, 2]
    assert (brightness > 0.1).sum() == 2


def test_views_stay_near_the_image():
    """A blob in the middle moves no further than the shifts and the rotation allow."""
    images = torch.zeros(64, 1, 28, 28)
    images[:, :, 12:16, 12:16] = 1
    views = two_views(images, torch.Generator().manual_seed(0)).flatten(0, 1)[:, 0].clamp_min(0.2) - 0.2
    place = torch.arange(28.0)
    total = views.sum(dim=(1, 2))
    for axis in (1, 2):
        centre = (views.sum(dim=3 - axis) * place).sum(dim=1) / total
        assert (centre - 13.5).abs().max() < 28 * 0.1 / 0.6 + 0.5
        assert centre.std() > 1


def test_training_is_gradient_descent_with_momentum_and_a_cosine_schedule():
    options = {"batch_size": 16, "samples_seen": 48, "optimizer": "sgd", "base_lr": 0.5, "lr_rule": "constant"}
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    loss = METHODS["infonce"].create()
    trained, by_hand = (Encoder(8, torch.Generator().manual_seed(1)) for _ in range(2))
    train(trained, loss, images, make_run(DIGITS, **options))

    weights = list(by_hand.parameters())
    velocity = [torch.zeros_like(weight) for weight in weights]
    for step, views in enumerate(batches(images, 16, 3, make_run(DIGITS, **options))):
        gradients = torch.autograd.grad(loss(by_hand(views[0]), by_hand(views[1])), weights)
        rate = 0.5 * (1 + math.cos(math.pi * step / 3)) / 2
        with torch.no_grad():
            for weight, speed, gradient in zip(weights, velocity, gradients, strict=True):
                speed.mul_(0.9).add_(gradient)
                weight.sub_(rate * speed)
    for weight, expected in zip(trained.parameters(), weights, strict=True):
        torch.testing.assert_close(weight, expected)


class Diverging:
    """A loss that becomes NaN at its fourth call."""

    def __init__(self):
        self.calls = 0
        self.scores = METHODS["infonce"].create().scores

    def __call__(self, view_a, view_b):
        self.calls += 1
        value = (view_a - view_b).square().mean()
        return value * math.nan if self.calls == 4 else value


def test_error_for_a_loss_that_is_not_finite_names_the_step():
    with pytest.raises(FloatingPointError, match="nan at step 3 of 8"):
        on_digits(Diverging(), make_run(DIGITS, samples_seen=256))


def test_diagnostics_follow_the_definition():
    """With one negative that is as alike as the positive, xi is 1 and the weight one half."""

    class Constant(ContrastiveLoss):
        def __call__(self, view_a, view_b):
            return (view_a * 0 + view_b * 0).sum()

        def scores(self, view_a, view_b):
            return torch.zeros(2 * len(view_b)), torch.zeros(2 * len(view_a), 1)

    metrics = on_digits(Constant(), make_run(DIGITS, samples_seen=64))
    assert metrics["mean_weight"] == 0.5
    assert metrics["share_small_xi"] == 0


def test_a_plain_function_is_a_loss_too():
    """The role needs loss(view_a, view_b) and nothing else."""
    metrics = on_digits(lambda view_a, view_b: (view_a - view_b).square().mean(), make_run(DIGITS, samples_seen=64))
    assert 0 < metrics["mean_weight"] < 1


def test_training_in_float64_is_near_training_in_float32():
    single = on_digits(METHODS["infonce"].create(), make_run(DIGITS, samples_seen=256))
    double = on_digits(METHODS["infonce"].create(), make_run(DIGITS, samples_seen=256, dtype="float64"))
    assert single["mean_weight"] == pytest.approx(double["mean_weight"], abs=1e-3)


def labelled(seed, rows=300):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, rows)
    features = generator.normal(size=(rows, 6)) * [1, 5, 0.1, 1, 1, 0] + np.eye(4, 6)[labels]
    return features.astype(np.float32), labels


def as_tensors(data):
    return Labelled(torch.from_numpy(data[0]), torch.from_numpy(data[1]))


def test_linear_probe_finds_the_optimum_of_scikit_learn():
    train, test = labelled(0), labelled(1)
    penalty = 0.01
    scale = StandardScaler().fit(train[0])
    # scikit-learn adds its penalty, divided by C, to the sum of the losses; linear_probe adds it to their mean.
    peer = LogisticRegression(C=1 / (penalty * len(train[1])), tol=1e-8, max_iter=2000)
    peer.fit(scale.transform(train[0]), train[1])
    expected = peer.score(scale.transform(test[0]), test[1])
    right = linear_probe(as_tensors(train), as_tensors(test), penalty)
    assert right.double().mean().item() == pytest.approx(expected, abs=1 / 300)


def test_nearest_neighbours_agree_with_scikit_learn():
    train, test = labelled(0), labelled(1)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (train[0], test[0])]
    peer = KNeighborsClassifier(20, weights=lambda distance: np.exp((-(distance**2) / 2) / 0.07))
    expected = peer.fit(unit[0], train[1]).score(unit[1], test[1])
    right = nearest_neighbours(as_tensors(train), as_tensors(test), 20)
    assert right.double().mean().item() == pytest.approx(expected, abs=1 / 300)


def test_probe_of_features_that_are_not_finite_is_an_error():
    data = as_tensors(labelled(0))
    data.inputs[3, 2] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        linear_probe(data, data, 1e-4)


def test_validation_is_a_fifth_of_the_training_rows_that_the_seed_draws_and_no_test_row():
    known = Labelled(torch.arange(50.0)[:, None], torch.arange(50) % 5)
    fitted, scored = held_out(known, seed=0)
    assert (len(fitted), len(scored)) == (40, 10)
    assert sorted(torch.cat([fitted.inputs, scored.inputs]).flatten().tolist()) == list(range(50))
    assert torch.bincount(scored.labels).tolist() == [2] * 5
    assert torch.equal(scored.inputs, held_out(known, seed=0)[1].inputs)
    assert not torch.equal(scored.inputs, held_out(known, seed=1)[1].inputs)


def test_no_test_row_has_a_part_in_validation_and_no_validation_probe_in_the_test():
    metrics, run = result()
    data = dict(run.data("digits"))
    wrong = {**data, "test_labels": (data["test_labels"] + 1) % 10}
    other = make_run(DIGITS, samples_seen=256)
    other.data = lambda _: wrong
    changed = on_digits(METHODS["infonce"].create(), other)
    assert changed["validation_accuracy"] == metrics["validation_accuracy"]
    assert changed["probe_accuracy"] < 0.2 < metrics["probe_accuracy"]
    assert TASKS[DIGITS].metrics["validation_accuracy"].split == "validation"
