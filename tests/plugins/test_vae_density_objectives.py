"""Objectives and their gradients are equal where the algebra says so, and unbiased where they differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugin_run import METHODS, make_run
from torch.distributions import Independent, Normal, kl_divergence

from harness.errors import UsageError
from harness_plugins.vae_density.identities import by_definition, gradient_noise, identities, signal_to_noise
from harness_plugins.vae_density.networks import Autoencoder, Sizes, standard_divergence
from harness_plugins.vae_density.objectives import bound, log_mean_exp, set_gradients


def model_and_rows(layers=1, rows=4, dimension=6, latent=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    model = Autoencoder(Sizes(dimension, 5, latent, layers), "bernoulli", generator)
    x = (torch.rand(rows, dimension, generator=generator, dtype=torch.float64) < 0.4).double()
    return model, x


def gradients(model, x, noise, objective, kl="sampled"):
    value = set_gradients(model, x, noise, objective, kl)
    return value, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("layers", [1, 2])
def test_iwae_with_one_sample_equals_the_vae_bit_for_bit(layers):
    model, x = model_and_rows(layers)
    noise = model.noise(1, len(x), torch.Generator().manual_seed(1), x)
    vae, iwae = (gradients(model, x, noise, objective) for objective in ("elbo", "iwae"))
    assert torch.equal(vae[0], iwae[0])
    assert vae[1].keys() == iwae[1].keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(vae[1][name], iwae[1][name]) for name in vae[1])


@pytest.mark.parametrize("layers", [1, 2])
def test_log_weights_equal_their_definition(layers):
    model, x = model_and_rows(layers)
    noise = model.noise(3, len(x), torch.Generator().manual_seed(1), x)
    expected = torch.stack([by_definition(model, x, draw) for draw in noise])
    torch.testing.assert_close(model.terms(x, noise), expected, rtol=1e-12, atol=1e-12)
    # Constant parameters of the density change its gradient but not its value.
    torch.testing.assert_close(model.terms(x, noise, stopped=True), expected, rtol=1e-12, atol=1e-12)


def test_divergence_equals_that_of_torch():
    mean, log_scale = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    standard = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    expected = kl_divergence(Independent(Normal(mean, log_scale.exp()), 1), standard)
    torch.testing.assert_close(standard_divergence(mean, log_scale), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_sampled_and_analytic_elbo_are_equal_only_in_expectation(layers):
    model, x = model_and_rows(layers)
    noise = model.noise(4_000, len(x), torch.Generator().manual_seed(1), x)
    with torch.no_grad():
        sampled, analytic = model.terms(x, noise), model.terms(x, noise, analytic=True)
    difference = sampled - analytic
    assert difference.abs().max() > 0.1
    assert (difference.mean(0).abs() < 5 * difference.std(0) / math.sqrt(4_000)).all()


def test_bounds_equal_their_formulas():
    model, x = model_and_rows()
    noise = model.noise(8, len(x), torch.Generator().manual_seed(1), x)
    weights = model.terms(x, noise).detach()
    assert torch.allclose(bound(model, x, noise, "elbo", "sampled"), weights.mean(0))
    expected = torch.log(torch.exp(weights).mean(0))
    for objective in ("iwae", "dreg"):
        torch.testing.assert_close(bound(model, x, noise, objective, "sampled"), expected)
    torch.testing.assert_close(set_gradients(model, x, noise, "dreg", "sampled"), expected)
    assert log_mean_exp(torch.tensor([[1e4], [1e4]])).item() == 1e4


def test_doubly_reparameterised_gradient_has_the_expectation_of_iwaes():
    """With two samples of one latent dimension, the expectation is a double Gauss-Hermite sum."""
    model, x = model_and_rows(rows=1, latent=1)
    with torch.no_grad():  # an encoder near the prior: importance weights are smooth enough for 24 nodes
        model.encoder[0].mean.weight.mul_(0.2)
        model.encoder[0].log_scale.weight.zero_()
        model.decoder[-1].weight.mul_(0.4)
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    weights = weights / weights.sum()
    expected = {}
    for objective in ("iwae", "dreg"):
        total = dict.fromkeys(dict(model.named_parameters()), 0.0)
        for first, at_first in zip(nodes, weights, strict=True):
            for second, at_second in zip(nodes, weights, strict=True):
                noise = torch.tensor([[[first]], [[second]]])
                for name, gradient in gradients(model, x, noise, objective)[1].items():
                    total[name] = total[name] + at_first * at_second * gradient
        expected[objective] = total
    size = max(g.abs().max().item() for n, g in expected["iwae"].items() if n.startswith("encoder"))
    assert size > 0.01
    for name, gradient in expected["iwae"].items():
        torch.testing.assert_close(expected["dreg"][name], gradient, rtol=0, atol=3e-3 * size)


def test_doubly_reparameterised_gradient_is_unbiased_with_two_layers():
    model, x = model_and_rows(layers=2, rows=1, latent=1)
    generator = torch.Generator().manual_seed(1)
    rows = x.expand(300, -1)
    differences = []
    for _ in range(40):
        noise = model.noise(4, len(rows), generator, rows)
        iwae, dreg = (gradients(model, rows, noise, objective)[1] for objective in ("iwae", "dreg"))
        differences.append(torch.cat([(iwae[n] - dreg[n]).flatten() for n in iwae if n.startswith("encoder")]))
    repeats = torch.stack(differences)
    error = repeats.std(0) / math.sqrt(len(repeats))
    assert (repeats.mean(0).abs() < 5 * error + 1e-12).all()
    assert error.max() > 0


def test_doubly_reparameterised_gradient_changes_the_encoders_and_not_the_decoders():
    model, x = model_and_rows()
    noise = model.noise(64, len(x), torch.Generator().manual_seed(1), x)
    iwae, dreg = (gradients(model, x, noise, objective)[1] for objective in ("iwae", "dreg"))
    for name in iwae:
        if name.startswith("encoder"):
            assert not torch.allclose(iwae[name], dreg[name])
        else:
            torch.testing.assert_close(iwae[name], dreg[name], rtol=1e-10, atol=1e-12)


def test_identities_hold_on_digits_for_every_objective():
    for method in ("vae", "vae-k", "iwae", "dreg"):
        run = make_run("density/identities", dtype="float64", images=10, draws=50)
        metrics = identities(METHODS[method].create(hidden=6, latent=2, layers=2), run)
        assert metrics["vae_violations"] == metrics["definition_violations"] == metrics["analytic_violations"] == 0
        assert metrics["largest_error"] < 1e-13


def test_identities_count_violations():
    run = make_run("density/identities", dtype="float64", images=10, draws=50)
    metrics = identities(METHODS["vae"].create(hidden=6, latent=2, kl="analytic"), run)
    assert metrics["vae_violations"] == metrics["definition_violations"] == 10
    assert metrics["analytic_violations"] == 0


def test_signal_to_noise_of_random_gradients_equals_their_ratio():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4000, 50, generator=generator, dtype=torch.float64)
    assert signal_to_noise(3 + 2 * noise) == pytest.approx(1.5, rel=0.02)
    assert signal_to_noise(torch.cat([3 + 2 * noise, torch.ones(4000, 9)], dim=1)) == pytest.approx(1.5, rel=0.02)


def test_gradient_noise_task_measures_encoder_and_decoder():
    run = make_run("density/gradient-noise", repeats=5)
    ratios = gradient_noise(METHODS["dreg"].create(k=2, hidden=4, latent=2, epochs=1, batch_size=500), run)
    assert set(ratios) == {"encoder_snr", "decoder_snr"}
    assert all(value > 0 for value in ratios.values())
    with pytest.raises(UsageError, match="autoencoders"):
        gradient_noise(METHODS["gaussian"].create(), run)
