"""Streamed importance weights give the same results as all weights at once, in the memory of one chunk."""

from __future__ import annotations

import math
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness_plugins.vae_density import importance
from harness_plugins.vae_density.estimator import VariationalDensity
from harness_plugins.vae_density.importance import Stream, stream_estimates, weights_at_once
from harness_plugins.vae_density.networks import Autoencoder, Sizes


def network(dimension=6, latent=2, hidden=5, layers=1, seed=0, likelihood="bernoulli"):
    return Autoencoder(Sizes(dimension, hidden, latent, layers), likelihood, torch.Generator().manual_seed(seed))


def streamed(pieces):
    stream = Stream()
    for piece in pieces:
        stream.add(piece)
    return stream.result()


@given(
    st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=40),
    st.integers(1, 7),
)
def test_estimates_from_pieces_equal_those_from_all_weights_at_once(values, length):
    weights = torch.tensor(values, dtype=torch.float64)[:, None]
    estimate = streamed(torch.split(weights, length))
    assert estimate.log_mean.item() == pytest.approx(
        (torch.logsumexp(weights, 0) - math.log(len(values))).item(), rel=1e-12
    )
    assert estimate.mean_log.item() == pytest.approx(sum(values) / len(values), rel=1e-9, abs=1e-9)
    share = torch.softmax(weights[:, 0], 0)
    assert estimate.effective_samples.item() == pytest.approx(1 / share.square().sum().item(), rel=1e-9)


def test_rising_and_falling_weights_neither_overflow_nor_underflow():
    for values in ([-1e30, 0.0, 1e30], [1e30, 0.0, -1e30]):
        estimate = streamed(torch.tensor([[v]], dtype=torch.float64) for v in values)
        assert estimate.log_mean.item() == pytest.approx(1e30)
        assert estimate.effective_samples.item() == 1


def test_weights_of_zero_count_as_samples():
    zero = torch.tensor([[-torch.inf, -torch.inf]])
    estimate = streamed([zero, torch.tensor([[math.log(4.0), -torch.inf]]), zero, zero])
    assert estimate.log_mean.tolist() == [pytest.approx(0, abs=1e-6), -torch.inf]
    assert estimate.effective_samples.tolist() == [1, 0]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_error_about_an_infinite_weight_names_its_observation(bad):
    stream = Stream()
    stream.add(torch.zeros(2, 3))
    with pytest.raises(FloatingPointError, match=r"\[2, 3\]: observation 1 has a weight of"):
        stream.add(torch.tensor([[0.0, 0.0, 0.0], [0.0, bad, 0.0]]))


@pytest.mark.parametrize("samples", [(0,), (5, 5), (7, 3), (-1, 4)])
def test_numbers_of_samples_must_be_positive_and_ascending(samples):
    with pytest.raises(ValueError, match="samples"):
        stream_estimates(lambda rows: lambda count: torch.zeros(count, len(rows)), torch.zeros(2, 1), samples)


@pytest.mark.parametrize("at_once", [1, 7, 64, 10_000])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_estimates_do_not_depend_on_the_chunks(at_once, count):
    """Weights come from a fixed table: for all chunk sizes every row gets its own first K weights."""
    table = torch.randn(30, count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    largest = 0

    def sampler_of(rows):
        drawn = 0

        def draw(number):
            nonlocal drawn, largest
            largest = max(largest, number * len(rows))
            drawn += number
            return table[drawn - number : drawn][:, rows[:, 0].long()]

        return draw

    x = torch.arange(float(count))[:, None]
    for estimate, samples in zip(stream_estimates(sampler_of, x, (1, 11, 30), at_once), (1, 11, 30), strict=True):
        expected = torch.logsumexp(table[:samples], 0) - math.log(samples)
        torch.testing.assert_close(estimate.log_mean, expected, rtol=1e-12, atol=1e-12)
    assert largest <= at_once


def test_float32_in_chunks_differs_from_float64_by_less_than_2e_5():
    """The published network and 5,000 samples: the same noise, in float32 in chunks and in float64 all at once."""
    model = network(784, 50, 200)
    generator = torch.Generator().manual_seed(3)
    # About as bright as handwritten digits: most pixels are nearly always dark. -log p is about 130 nats.
    brightness = torch.full((784,), 0.02, dtype=torch.float64)
    brightness[:80] = 0.5
    x = (torch.rand(2, 784, generator=generator, dtype=torch.float64) < brightness).double()
    with torch.no_grad():
        model.decoder[-1].bias.copy_(torch.logit(brightness))
        model.decoder[-1].weight.mul_(0.3)
    noise = torch.randn(5000, 2, 50, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        exact = torch.logsumexp(model.terms(x, noise), 0) - math.log(5000)
        model.float()
        rows, rounded = x.float(), noise.float()
        parts = [model.terms(rows, part) for part in torch.split(rounded, weights_at_once(rows) // len(rows))]
    rounded_density = streamed(parts).log_mean
    assert (exact > -250).all()
    assert (rounded_density - exact).abs().max() < 2e-5


def test_memory_depends_on_neither_samples_nor_rows(monkeypatch):
    """The decoder's outputs are never larger than one chunk."""
    monkeypatch.setitem(importance.PIXELS_AT_ONCE, "cpu", 600)
    model = network(6)
    sizes = []
    model.decoder.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel()))
    generator = torch.Generator().manual_seed(0)
    for rows, samples in ((2, 10), (40, 10), (2, 900), (300, 1)):
        x = torch.zeros(rows, 6, dtype=torch.float64)
        stream_estimates(lambda part: model.encoder_sampler(part, generator), x, (samples,))
        assert max(sizes) <= 600


def estimator_and_inputs(layers=1, likelihood="bernoulli", samples=10, trainable=True):
    """An estimator, three rows, and noise for their samples."""
    estimator = VariationalDensity("iwae", hidden=5, latent=2, layers=layers, likelihood=likelihood)
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(3, 6, generator=generator, dtype=torch.float64) < 0.5).double()
    model = estimator.start(x, generator).requires_grad_(trainable)
    return estimator, x, model.noise(samples, 3, generator, x).requires_grad_()


@pytest.fixture
def four_at_once(monkeypatch):
    """Make a chunk four samples of three rows with six pixels."""
    monkeypatch.setitem(importance.PIXELS_AT_ONCE, "cpu", 6 * 3 * 4)


@pytest.mark.usefixtures("four_at_once")
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "grey-bernoulli"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("samples", [10, 4])
def test_bound_in_chunks_has_the_value_and_gradients_of_all_weights_at_once(samples, layers, likelihood):
    estimator, x, noise = estimator_and_inputs(layers, likelihood, samples)
    x.requires_grad_()
    model = estimator.model
    # Distinct numbers: a wrong upstream gradient would change the result.
    upstream = torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64)
    inputs = [noise, x, *model.parameters()]
    plain = torch.logsumexp(model.terms(x, noise), 0) - math.log(samples)
    value = estimator.bound(x, noise)
    torch.testing.assert_close(value, plain, rtol=1e-13, atol=1e-13)
    expected = torch.autograd.grad(plain, inputs, upstream, materialize_grads=True)
    for _ in range(2):  # twice, because a retained graph can be used again
        gradients = torch.autograd.grad(value, inputs, upstream, materialize_grads=True, retain_graph=True)
        for gradient, expected_gradient in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient, expected_gradient, rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("four_at_once")
def test_gradient_of_the_noise_needs_no_second_pass_and_that_of_the_network_one():
    estimator, x, noise = estimator_and_inputs()
    rows = []
    estimator.model.decoder.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    value = estimator.bound(x, noise).sum()
    assert rows == [4, 4, 2]
    torch.autograd.grad(value, noise, retain_graph=True)
    assert rows == [4, 4, 2]
    torch.autograd.grad(value, estimator.model.decoder[-1].weight)
    assert rows == [4, 4, 2] * 2


@pytest.mark.usefixtures("four_at_once")
def test_bound_in_chunks_saves_no_activations():
    """Tensors saved for the backward pass are a few times as large as the noise."""
    estimator, x, noise = estimator_and_inputs(samples=400)
    alive = weakref.WeakSet()

    class Saved:
        def __init__(self, tensor):
            self.tensor = tensor
            alive.add(self)

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        value = estimator.bound(x, noise)
    # The noise, its slopes and the weights [400, 3] themselves; a hidden layer alone would be 400 x 3 x 5.
    assert 2 * noise.numel() <= sum(saved.tensor.numel() for saved in alive) < 4 * noise.numel()
    with torch.no_grad():
        assert torch.equal(estimator.bound(x, noise), value)


@pytest.mark.usefixtures("four_at_once")
def test_only_tensors_that_require_a_gradient_get_one():
    estimator, x, noise = estimator_and_inputs(trainable=False)
    (gradient,) = torch.autograd.grad(estimator.bound(x, noise).sum(), noise)
    (plain,) = torch.autograd.grad(torch.logsumexp(estimator.model.terms(x, noise), 0).sum(), noise)
    torch.testing.assert_close(gradient, plain, rtol=1e-12, atol=1e-12)
    assert not estimator.bound(x, noise.detach()).requires_grad
    last = estimator.model.decoder[-1]
    last.bias.requires_grad_()
    estimator.bound(x, noise.detach()).sum().backward()
    (plain,) = torch.autograd.grad(torch.logsumexp(estimator.model.terms(x, noise), 0).sum(), last.bias)
    torch.testing.assert_close(last.bias.grad, plain, rtol=1e-12, atol=1e-12)
    assert last.weight.grad is None


@pytest.mark.usefixtures("four_at_once")
def test_second_derivative_of_chunks_and_weights_changed_before_backward_are_refused():
    estimator, x, noise = estimator_and_inputs()
    for tensor in (noise, estimator.model.decoder[-1].weight):
        with pytest.raises(RuntimeError, match="cannot be differentiated twice"):
            torch.autograd.grad(estimator.bound(x, noise).sum(), tensor, create_graph=True)
    value = estimator.bound(x, noise).sum()
    with torch.no_grad():
        estimator.model.decoder[-1].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
