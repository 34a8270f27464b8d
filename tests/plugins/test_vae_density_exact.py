"""Where the truth is known: the linear model's closed form, and quadrature over a one-dimensional latent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugin_run import METHODS, make_run
from scipy import integrate, stats
from sklearn.decomposition import PCA
from torch.distributions import Independent, Normal, kl_divergence

from harness.errors import UsageError
from harness_plugins.vae_density import exact
from harness_plugins.vae_density.estimator import VariationalDensity
from harness_plugins.vae_density.exact import above, apart, falling, ppca_exact
from harness_plugins.vae_density.importance import stream_estimates
from harness_plugins.vae_density.linear import LinearGaussian
from harness_plugins.vae_density.networks import log_normal

TASK = "density/ppca-exact"


@pytest.fixture(scope="module")
def rows():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    return torch.randn(200, 6, generator=generator, dtype=torch.float64) @ mixing + 1


def covariance(model):
    found = model._found
    loading = found.directions * found.stretch
    return loading @ loading.T + found.variance * torch.eye(len(loading), dtype=torch.float64)


@pytest.mark.parametrize("noise", [0.0, 0.3, 2.5])
def test_exact_density_is_the_multivariate_normals(rows, noise):
    model = LinearGaussian(latent=3, noise=noise).fit(rows)
    wanted = stats.multivariate_normal(rows.mean(0).numpy(), covariance(model).numpy()).logpdf(rows.numpy())
    np.testing.assert_allclose(model.exact_log_density(rows).numpy(), wanted, rtol=1e-10)


def test_fit_is_scikit_learns(rows):
    # scikit-learn divides by N - 1, maximum likelihood by N: its figures on rows scaled by that are these.
    model = LinearGaussian(latent=2).fit(rows)
    centred = (rows - rows.mean(0)).numpy()
    scale = math.sqrt((len(rows) - 1) / len(rows))
    wanted = PCA(2, svd_solver="full").fit(centred * scale).score_samples(centred)
    np.testing.assert_allclose(model.exact_log_density(rows).numpy(), wanted, rtol=1e-8)


def test_exact_encoder_gives_every_weight_the_same_value(rows):
    model = LinearGaussian(latent=3, widen=1.0, shift=0.0, k_eval=4).fit(rows)
    weights = model.sampler(rows, torch.Generator().manual_seed(0))(50)
    torch.testing.assert_close(weights, model.exact_log_density(rows).expand(50, -1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("estimator", ["iwae", "prior"])
@pytest.mark.parametrize("unit", ["posterior", "prior"])
def test_divergence_is_that_of_torch(rows, estimator, unit):
    model = LinearGaussian(latent=3, widen=1.4, shift=0.3, shift_unit=unit, estimator=estimator).fit(rows)
    mean, log_scale = model.proposal(rows)
    loading = model._found.directions * model._found.stretch
    precision = torch.eye(3, dtype=torch.float64) + loading.T @ loading / model._found.variance
    posterior = torch.linalg.solve(precision, loading.T @ (rows - rows.mean(0)).T / model._found.variance).T
    true = torch.distributions.MultivariateNormal(posterior, precision_matrix=precision.expand(200, 3, 3))
    proposed = torch.distributions.MultivariateNormal(mean, scale_tril=torch.diag_embed(log_scale.exp()))
    torch.testing.assert_close(model.divergence(rows), kl_divergence(proposed, true), rtol=1e-9, atol=1e-9)


def test_effective_share_is_the_gaussian_integral(rows):
    """E[w]^2 / E[w^2] of a proposal N(m, s^2) for N(0, 1) is sqrt(2 s^2 - 1) / s^2 exp(-m^2 / (2 s^2 - 1)) a latent."""
    widen, shift, latent = 1.3, 0.2, 3
    model = LinearGaussian(latent=latent, widen=widen, shift=shift).fit(rows)
    generator = torch.Generator().manual_seed(0)
    (found,) = stream_estimates(lambda part: model.sampler(part, generator), rows[:4], (50_000,))
    spread = 2 * widen**2 - 1
    wanted = (math.sqrt(spread) / widen**2 * math.exp(-(shift**2) / spread)) ** latent
    np.testing.assert_allclose(found.effective_samples.numpy() / 50_000, wanted, rtol=0.03)


def test_estimators_differ_as_their_definitions(rows):
    def density(estimator, k_eval):
        model = LinearGaussian(latent=3, widen=1.5, shift=0.5, estimator=estimator, k_eval=k_eval).fit(rows)
        return model, model.log_density(asked, generator=torch.Generator().manual_seed(1))

    asked = rows[:10]
    model, elbo = density("elbo", 5_000)
    truth = model.exact_log_density(asked)
    torch.testing.assert_close(elbo, truth - model.divergence(asked), rtol=0, atol=0.2)
    torch.testing.assert_close(density("iwae", 5_000)[1], truth, rtol=0, atol=0.2)
    assert (density("prior", 100)[1] - truth).abs().mean() > (density("iwae", 100)[1] - truth).abs().mean()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_task_finds_no_violation_and_the_known_gap(dtype):
    run = make_run(TASK, dtype=dtype, images=10, repeats=16)
    found = ppca_exact(METHODS["linear-vae"].create(k_eval=50), run)
    assert found["bound_violations"] == found["monotone_violations"] == found["gap_violations"] == 0
    widen, shift = 1.2, 0.2
    assert found["first_gap"] == pytest.approx(10 * 0.5 * (shift**2 + widen**2 - 1 - 2 * math.log(widen)), abs=0.05)
    assert 0 < found["bias"] < found["first_gap"]


class Inflated(LinearGaussian):
    """Its weights are a tenth of a nat too large: no bound any more."""

    def sampler(self, rows, generator):
        draw = super().sampler(rows, generator)
        return lambda count: draw(count) + 0.1


class Forgetful(LinearGaussian):
    """Loses a nat of every weight once it is asked for many: falls with more samples."""

    def sampler(self, rows, generator):
        draw = super().sampler(rows, generator)
        return lambda count: draw(count) - (1.0 if count >= 20 else 0.0)


def test_task_counts_what_is_wrong():
    def found(kind):
        run = make_run(TASK, dtype="float64", images=10, repeats=16)
        return ppca_exact(kind(latent=4, widen=1.05, shift=0.0, k_eval=50), run)

    inflated, forgetful = found(Inflated), found(Forgetful)
    assert inflated["bound_violations"] > 10
    assert inflated["gap_violations"] == 10
    assert inflated["monotone_violations"] == 0
    assert forgetful["monotone_violations"] == 10
    assert forgetful["bound_violations"] == 0


def test_counters_allow_for_chance_and_no_more():
    generator = torch.Generator().manual_seed(0)
    alarms = 0
    for _ in range(300):
        noise = torch.randn(3, 16, 20, generator=generator, dtype=torch.float64)
        zero = torch.zeros(20, dtype=torch.float64)
        alarms += bool(above(noise, zero, 0)) + bool(falling(noise, 0)) + bool(apart(noise[0], zero, 0))
    assert alarms <= 4
    assert above(noise + 3, zero, 0) > 50
    assert apart(noise[0] - 3, zero, 0) == 20
    assert falling(noise + torch.tensor([6.0, 3.0, 0.0], dtype=torch.float64)[:, None, None], 0) > 30
    still = torch.full((1, 16, 20), 1e-8, dtype=torch.float64)
    assert above(still, zero, 1e-9) == 20
    assert above(still, zero, 1e-7) == 0


def test_task_refuses_what_it_cannot_judge():
    run = make_run(TASK, dtype="float64")
    with pytest.raises(UsageError, match="has no exact_log_density"):
        ppca_exact(METHODS["gaussian"].create(), run)
    with pytest.raises(UsageError, match="measure 'mass'"):
        ppca_exact(METHODS["iwae"].create(), run)
    with pytest.raises(UsageError, match="float32 or float64"):
        ppca_exact(METHODS["linear-vae"].create(), make_run(TASK, dtype="bfloat16"))
    assert exact.ladder(1000) == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]


@torch.no_grad()
def tamed(model):
    """With an encoder about as wide as the prior: wrong, but never far from the posterior."""
    for layer in model.encoder:
        for head in (layer.mean, layer.log_scale):
            head.weight.mul_(0.2)
    if model.likelihood == "gaussian":
        model.log_scale.fill_(0.3)
    return model


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_importance_sampling_finds_the_integral_over_a_one_dimensional_latent(likelihood):
    estimator = VariationalDensity("iwae", hidden=4, latent=1, likelihood=likelihood, k_eval=20_000)
    generator = torch.Generator().manual_seed(2)
    x = (torch.rand(3, 5, generator=generator, dtype=torch.float64) < 0.5).double()
    model = tamed(estimator.start(x, generator))

    def integrand(z, row):
        latent = torch.tensor([[[z]]], dtype=torch.float64)
        with torch.no_grad():
            return math.exp(model.log_likelihood(x[row : row + 1], latent).item()) * stats.norm.pdf(z)

    truth = [math.log(integrate.quad(integrand, -9, 9, args=(row,), epsabs=0, epsrel=1e-9)[0]) for row in range(3)]
    found = estimator.log_density(x, generator=generator)
    np.testing.assert_allclose(found.numpy(), truth, atol=0.04)
    estimator.estimator = "prior"
    np.testing.assert_allclose(estimator.log_density(x, generator=generator).numpy(), truth, atol=0.04)
    estimator.estimator = "elbo"
    assert (estimator.log_density(x, generator=generator).numpy() < np.array(truth) - 1e-3).all()


def test_two_layer_prior_and_encoder_estimate_the_same_density():
    estimator = VariationalDensity("iwae", hidden=4, latent=1, layers=2, k_eval=20_000)
    generator = torch.Generator().manual_seed(2)
    x = (torch.rand(3, 5, generator=generator, dtype=torch.float64) < 0.5).double()
    tamed(estimator.start(x, generator))
    by_encoder = estimator.log_density(x, generator=generator)
    estimator.estimator = "prior"
    torch.testing.assert_close(estimator.log_density(x, generator=generator), by_encoder, rtol=0, atol=0.04)


def test_normal_log_density_is_that_of_torch():
    z, mean, log_scale = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(
        log_normal(z, mean, log_scale), Independent(Normal(mean, log_scale.exp()), 1).log_prob(z)
    )
