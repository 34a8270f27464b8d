"""Importance weights in a stream: the same figures as all weights at once, in the memory of one chunk."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness_plugins.vae_density import importance
from harness_plugins.vae_density.importance import Stream, bounded_log_weights, stream_estimates, weights_at_once
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
def test_any_cut_gives_what_all_weights_at_once_give(values, length):
    weights = torch.tensor(values, dtype=torch.float64)[:, None]
    found = streamed(torch.split(weights, length))
    assert found.log_mean.item() == pytest.approx(
        (torch.logsumexp(weights, 0) - math.log(len(values))).item(), rel=1e-12
    )
    assert found.mean_log.item() == pytest.approx(sum(values) / len(values), rel=1e-9, abs=1e-9)
    share = torch.softmax(weights[:, 0], 0)
    assert found.effective_samples.item() == pytest.approx(1 / share.square().sum().item(), rel=1e-9)


def test_rising_and_falling_weights_neither_over_nor_underflow():
    for values in ([-1e30, 0.0, 1e30], [1e30, 0.0, -1e30]):
        found = streamed(torch.tensor([[v]], dtype=torch.float64) for v in values)
        assert found.log_mean.item() == pytest.approx(1e30)
        assert found.effective_samples.item() == 1


def test_weights_of_zero_count_as_samples():
    nothing = torch.tensor([[-torch.inf, -torch.inf]])
    found = streamed([nothing, torch.tensor([[math.log(4.0), -torch.inf]]), nothing, nothing])
    assert found.log_mean.tolist() == [pytest.approx(0, abs=1e-6), -torch.inf]
    assert found.effective_samples.tolist() == [1, 0]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_infinite_weight_names_its_observation(bad):
    stream = Stream()
    stream.add(torch.zeros(2, 3))
    with pytest.raises(FloatingPointError, match=r"\[2, 3\]: observation 1 has a weight of"):
        stream.add(torch.tensor([[0.0, 0.0, 0.0], [0.0, bad, 0.0]]))


@pytest.mark.parametrize("samples", [(0,), (5, 5), (7, 3), (-1, 4)])
def test_numbers_of_samples_must_rise_from_one(samples):
    with pytest.raises(ValueError, match="samples"):
        stream_estimates(lambda rows: lambda count: torch.zeros(count, len(rows)), torch.zeros(2, 1), samples)


@pytest.mark.parametrize("at_once", [1, 7, 64, 10_000])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_rows_and_samples_are_cut_without_a_trace(at_once, count):
    """Weights are a fixed table: whatever the chunks are, every row gets its own first K weights."""
    table = torch.randn(30, count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    most = 0

    def sampler_of(rows):
        drawn = 0

        def draw(number):
            nonlocal drawn, most
            most = max(most, number * len(rows))
            drawn += number
            return table[drawn - number : drawn][:, rows[:, 0].long()]

        return draw

    x = torch.arange(float(count))[:, None]
    for found, samples in zip(stream_estimates(sampler_of, x, (1, 11, 30), at_once), (1, 11, 30), strict=True):
        wanted = torch.logsumexp(table[:samples], 0) - math.log(samples)
        torch.testing.assert_close(found.log_mean, wanted, rtol=1e-12, atol=1e-12)
    assert most <= at_once


def test_float32_is_within_two_hundred_thousandths_of_float64():
    """The published network, 5,000 samples: the same noise in float32 in chunks and in float64 all at once."""
    model = network(784, 50, 200)
    generator = torch.Generator().manual_seed(3)
    # About as bright as written digits: most pixels are nearly always dark. -log p is about 130 nats.
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
    found = streamed(parts).log_mean
    assert (exact > -250).all()
    assert (found - exact).abs().max() < 2e-5


def test_memory_grows_neither_with_samples_nor_with_rows(monkeypatch):
    """The largest tensor that the decoder makes is a chunk's, and results alone are kept."""
    monkeypatch.setitem(importance.PIXELS_AT_ONCE, "cpu", 600)
    model = network(6)
    sizes = []
    model.decoder.register_forward_hook(lambda *passed: sizes.append(passed[2].numel()))
    generator = torch.Generator().manual_seed(0)
    for rows, samples in ((2, 10), (40, 10), (2, 900), (300, 1)):
        x = torch.zeros(rows, 6, dtype=torch.float64)
        stream_estimates(lambda part: model.encoder_sampler(part, generator), x, (samples,))
        assert max(sizes) <= 600


@pytest.mark.parametrize("layers", [1, 2])
def test_bounded_weights_have_the_value_and_gradient_of_the_plain_ones(layers, monkeypatch):
    monkeypatch.setitem(importance.PIXELS_AT_ONCE, "cpu", 6 * 3 * 4)
    model = network(6, layers=layers)
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(3, 6, generator=generator, dtype=torch.float64) < 0.5).double()
    results = []
    for weigh in (model.terms, lambda *given: bounded_log_weights(model.terms, *given)):
        noise = model.noise(10, 3, torch.Generator().manual_seed(1), x).requires_grad_()
        weights = weigh(x, noise)
        torch.logsumexp(weights, 0).sum().backward()
        results.append([weights.detach(), noise.grad, *(p.grad.clone() for p in model.parameters())])
        model.zero_grad()
    assert results[0][0].shape == (10, 3)
    for plain, bounded in zip(*results, strict=True):
        torch.testing.assert_close(bounded, plain, rtol=1e-12, atol=1e-12)
