"""The networks and their training: reproducible, the same for every activation, and able to learn something."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from plugin_run import METHODS, TASKS, make_run
from scipy.integrate import quad

from harness_plugins.images.labelled import Labelled
from harness_plugins.squareplus.networks import HE, convolutional, initialised, perceptron, variance_gain
from harness_plugins.squareplus.training import digits_perceptron, evaluate, fit, mnist_5k_convolutional

DIGITS, MNIST = "activation/digits-mlp", "activation/mnist-5k-cnn"


def result(method="squareplus", **options):
    run = make_run(DIGITS, **{"epochs": 1, "width": 16, **options})
    return digits_perceptron(METHODS[method].create(), run), run


def network():
    """A perceptron for ``images()``."""
    return initialised(perceptron(torch.relu, 64, 1, 5, 3), torch.Generator().manual_seed(1), HE)


def images(count=40, side=8, classes=3):
    generator = torch.Generator().manual_seed(0)
    return Labelled(
        torch.rand(count, 1, side, side, generator=generator),
        torch.randint(classes, (count,), generator=generator),
    )


def test_same_run_gives_the_same_result_bit_for_bit():
    metrics, run = result()
    torch.manual_seed(99)
    metrics_again, run_again = result()
    assert metrics == metrics_again
    assert run.curves == run_again.curves
    assert set(metrics) == set(TASKS[DIGITS].metrics)


def test_seed_and_activation_change_the_result():
    curves = result()[1].curves
    assert result(seed=1)[1].curves != curves
    assert result("softplus")[1].curves != curves


def test_every_option_has_an_effect():
    plain = result()[1].curves
    for changed in (
        {"learning_rate": 0.01},
        {"optimizer": "sgd"},
        {"batch_size": 32},
        {"init": "variance"},
        {"depth": 3},
        {"width": 8},
        {"epochs": 2},
    ):
        assert result(**changed)[1].curves != plain, changed


def test_published_and_exact_form_train_alike():
    """The two forms are one function on inputs of ordinary size: a control of the whole protocol."""
    exact, plain = result("squareplus", epochs=3)[0], result("squareplus-plain", epochs=3)[0]
    assert exact["test_loss"] == pytest.approx(plain["test_loss"], rel=1e-3)


def test_network_learns_the_digits():
    run = make_run(DIGITS, epochs=6)
    metrics = digits_perceptron(METHODS["relu"].create(), run)
    assert metrics["test_accuracy"] > 0.93
    assert metrics["train_loss"] < metrics["test_loss"] < 0.3
    assert metrics["diverged"] == 0


@pytest.mark.slow
def test_default_protocols_learn_with_every_activation():
    for name in ("squareplus", "softplus", "relu", "gelu", "silu", "elu", "mish"):
        f = METHODS[name].create()
        assert digits_perceptron(f, make_run(DIGITS))["test_accuracy"] > 0.94, name
        assert mnist_5k_convolutional(f, make_run(MNIST, epochs=2))["test_accuracy"] > 0.9, name


@pytest.mark.parametrize("normalised", [True, False])
def test_convolutional_network_learns_with_and_without_normalisation(normalised):
    data = images(side=12)
    net = convolutional(METHODS["squareplus"].create(), 12, normalised, 3)
    initialised(net, torch.Generator().manual_seed(0), HE)
    before = evaluate(net.eval(), data)[0]
    assert fit(net.train(), data, make_run(DIGITS, epochs=20, batch_size=20))
    assert evaluate(net.eval(), data)[0] < 0.8 * before


@pytest.mark.slow
def test_network_without_normalisation_is_another_one():
    with_norm, without_norm = (
        mnist_5k_convolutional(METHODS["relu"].create(), make_run(MNIST, epochs=1, batch_size=500, norm=norm))
        for norm in ("batch", "none")
    )
    assert with_norm != without_norm
    assert set(with_norm) == set(TASKS[MNIST].metrics)


def test_initial_weights_depend_on_the_seed_and_the_gain_alone():
    for build, size in ((perceptron, (64, 3, 16, 10)), (convolutional, (8, True, 10))):
        nets = []
        for activation, gain in ((torch.relu, HE), (torch.tanh, HE / 2)):
            torch.manual_seed(len(nets))
            nets.append(initialised(build(activation, *size), torch.Generator().manual_seed(5), gain))
        for full_gain, half_gain in zip(*(net.parameters() for net in nets), strict=True):
            if full_gain.dim() > 1:
                torch.testing.assert_close(full_gain, 2 * half_gain)
            else:
                assert torch.equal(full_gain, half_gain)


def test_perceptron_has_the_depth_and_width_of_its_arguments():
    net = perceptron(torch.relu, 64, 4, 7, 10)
    assert [tuple(p.shape) for p in net.parameters() if p.dim() > 1] == [(7, 64), (7, 7), (7, 7), (7, 7), (10, 7)]


def test_batch_normalisation_stands_before_every_activation():
    net = convolutional(torch.relu, 28, True, 10)
    kinds = [type(layer).__name__ for layer in net]
    before = [kinds[i - 1] for i, kind in enumerate(kinds) if kind == "Activated"]
    assert before == ["BatchNorm2d", "BatchNorm2d", "BatchNorm1d"]


@pytest.mark.parametrize("name", ["relu", "squareplus", "softplus", "gelu", "elu"])
def test_variance_gain_is_the_integral(name):
    f = METHODS[name].create()

    def integrand(z):
        return f(torch.tensor(z, dtype=torch.float64)).item() ** 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    power = quad(integrand, -9, 0)[0] + quad(integrand, 0, 9)[0]
    assert variance_gain(f) == pytest.approx(1 / math.sqrt(power), rel=1e-3)


def test_variance_gain_keeps_the_size_of_the_inputs_of_deep_layers():
    f = METHODS["squareplus"].create()
    size = {}
    for gain in (HE, variance_gain(f)):
        squares = []
        watched = lambda x, squares=squares: squares.append(x.square().mean().item()) or f(x)  # noqa: E731
        net = initialised(perceptron(watched, 256, 12, 256, 2), torch.Generator().manual_seed(0), gain)
        with torch.no_grad():
            net(torch.randn(64, 256, generator=torch.Generator().manual_seed(1)))
        size[gain] = squares[-1] / squares[1]
    assert 0.5 < size[variance_gain(f)] < 2
    assert size[HE] > 3


def test_activation_that_is_zero_has_no_gain():
    with pytest.raises(ValueError, match="no gain fits"):
        variance_gain(lambda x: x * 0)


def test_training_is_the_optimiser_by_hand_with_a_cosine_schedule():
    options = {"batch_size": 10, "epochs": 2, "optimizer": "sgd", "learning_rate": 0.3}
    data = images()
    trained, by_hand = network(), network()
    assert fit(trained, data, make_run(DIGITS, **options))

    run = make_run(DIGITS, **options)
    weights = list(by_hand.parameters())
    velocity = [torch.zeros_like(weight) for weight in weights]
    for step in range(8):
        if step % 4 == 0:
            order = torch.randperm(40, generator=run.generator)
        rows = order[step % 4 * 10 :][:10]
        gradients = torch.autograd.grad(F.cross_entropy(by_hand(data.inputs[rows]), data.labels[rows]), weights)
        rate = 0.3 * (1 + math.cos(math.pi * step / 8)) / 2
        with torch.no_grad():
            for weight, speed, gradient in zip(weights, velocity, gradients, strict=True):
                speed.mul_(0.9).add_(gradient)
                weight.sub_(rate * speed)
    for weight, expected in zip(trained.parameters(), weights, strict=True):
        torch.testing.assert_close(weight, expected)


def test_evaluation_in_pieces_is_that_over_all_images(monkeypatch):
    data, net = images(), network()
    logits = net(data.inputs)
    expected = (
        F.cross_entropy(logits, data.labels).item(),
        np.mean(logits.argmax(1).numpy() == data.labels.numpy()),
    )
    for piece in (7, 1000):
        monkeypatch.setattr("harness_plugins.squareplus.training.EVALUATED", piece)
        loss, right = evaluate(net, data)
        assert (loss, right.double().mean().item()) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_is_a_result_and_counts_as_guessing(bad):
    run = make_run(DIGITS, epochs=1)
    metrics = digits_perceptron(lambda x: x * bad, run)
    labels = run.data("digits")["test_labels"]
    assert metrics == {
        "test_accuracy": np.bincount(labels).max() / len(labels),
        "test_loss": math.log(10),
        "train_loss": math.log(10),
        "diverged": 1.0,
    }


def test_learning_rate_that_is_far_too_large_diverges():
    run = make_run(DIGITS, epochs=2, optimizer="sgd", learning_rate=1e20)
    assert digits_perceptron(METHODS["relu"].create(), run)["diverged"] == 1


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_training_follows_the_dtype(dtype):
    run = make_run(DIGITS, dtype=dtype, epochs=1, width=16)
    dtypes = set()
    digits_perceptron(lambda x: dtypes.add(x.dtype) or torch.relu(x), run)
    assert dtypes == {getattr(torch, dtype)}
