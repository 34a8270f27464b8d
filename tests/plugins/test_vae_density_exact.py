"""Estimates equal the exact density: the linear model's closed form, and quadrature over one latent dimension."""

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
from harness_plugins.vae_density.exact import count_above, count_different, count_falls, ppca_exact
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
    fitted = model.parameters
    loading = fitted.directions * fitted.stretch
    return loading @ loading.T + fitted.variance * torch.eye(len(loading), dtype=torch.float64)


@pytest.mark.parametrize("noise", [0.0, 0.3, 2.5])
def test_exact_density_equals_the_multivariate_normal(rows, noise):
    model = LinearGaussian(latent=3, noise=noise).fit(rows)
    expected = stats.multivariate_normal(rows.mean(0).numpy(), covariance(model).numpy()).logpdf(rows.numpy())
    np.testing.assert_allclose(model.exact_log_density(rows).numpy(), expected, rtol=1e-10)


def test_fit_equals_that_of_scikit_learn(rows):
    # scikit-learn divides by N - 1, maximum likelihood by N; scaling the rows compensates for that.
    model = LinearGaussian(latent=2).fit(rows)
    centred = (rows - rows.mean(0)).numpy()
    scale = math.sqrt((len(rows) - 1) / len(rows))
    expected = PCA(2, svd_solver="full").fit(centred * scale).score_samples(centred)
    np.testing.assert_allclose(model.exact_log_density(rows).numpy(), expected, rtol=1e-8)


def test_all_weights_are_equal_with_an_exact_encoder(rows):
    model = LinearGaussian(latent=3, widen=1.0, shift=0.0, k_eval=4).fit(rows)
    weights = model.sampler(rows, torch.Generator().manual_seed(0))(50)
    torch.testing.assert_close(weights, model.exact_log_density(rows).expand(50, -1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("estimator", ["iwae", "prior"])
@pytest.mark.parametrize("unit", ["posterior", "prior"])
def test_divergence_equals_that_of_torch(rows, estimator, unit):
    model = LinearGaussian(latent=3, widen=1.4, shift=0.3, shift_unit=unit, estimator=estimator).fit(rows)
    mean, log_scale = model.proposal(rows)
    loading = model.parameters.directions * model.parameters.stretch
    precision = torch.eye(3, dtype=torch.float64) + loading.T @ loading / model.parameters.variance
    posterior = torch.linalg.solve(precision, loading.T @ (rows - rows.mean(0)).T / model.parameters.variance).T
    exact_posterior = torch.distributions.MultivariateNormal(posterior, precision_matrix=precision.expand(200, 3, 3))
    proposal = torch.distributions.MultivariateNormal(mean, scale_tril=torch.diag_embed(log_scale.exp()))
    torch.testing.assert_close(model.divergence(rows), kl_divergence(proposal, exact_posterior), rtol=1e-9, atol=1e-9)


def test_effective_share_equals_the_gaussian_integral(rows):
    """Of N(m, s^2) for N(0, 1), E[w]^2 / E[w^2] is sqrt(2 s^2 - 1) / s^2 exp(-m^2 / (2 s^2 - 1)) for each latent."""
    widen, shift, latent = 1.3, 0.2, 3
    model = LinearGaussian(latent=latent, widen=widen, shift=shift).fit(rows)
    generator = torch.Generator().manual_seed(0)
    (estimate,) = stream_estimates(lambda part: model.sampler(part, generator), rows[:4], (50_000,))
    spread = 2 * widen**2 - 1
    expected = (math.sqrt(spread) / widen**2 * math.exp(-(shift**2) / spread)) ** latent
    np.testing.assert_allclose(estimate.effective_samples.numpy() / 50_000, expected, rtol=0.03)


def test_estimators_follow_their_definitions(rows):
    def density(estimator, k_eval):
        model = LinearGaussian(latent=3, widen=1.5, shift=0.5, estimator=estimator, k_eval=k_eval).fit(rows)
        return model, model.log_density(test_rows, generator=torch.Generator().manual_seed(1))

    test_rows = rows[:10]
    model, elbo = density("elbo", 5_000)
    truth = model.exact_log_density(test_rows)
    torch.testing.assert_close(elbo, truth - model.divergence(test_rows), rtol=0, atol=0.2)
    torch.testing.assert_close(density("iwae", 5_000)[1], truth, rtol=0, atol=0.2)
    assert (density("prior", 100)[1] - truth).abs().mean() > (density("iwae", 100)[1] - truth).abs().mean()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_correct_estimator_has_no_violations_and_the_known_gap(dtype):
    run = make_run(TASK, dtype=dtype, images=10, repeats=16)
    metrics = ppca_exact(METHODS["linear-vae"].create(k_eval=50), run)
    assert metrics["bound_violations"] == metrics["monotone_violations"] == metrics["gap_violations"] == 0
    widen, shift = 1.2, 0.2
    assert metrics["first_gap"] == pytest.approx(10 * 0.5 * (shift**2 + widen**2 - 1 - 2 * math.log(widen)), abs=0.05)
    assert 0 < metrics["bias"] < metrics["first_gap"]


class Inflated(LinearGaussian):
    """An estimator whose log weights are a tenth of a nat too large, so that its bound can be violated."""

    def sampler(self, rows, generator):
        draw = super().sampler(rows, generator)
        return lambda count: draw(count) + 0.1


class Falling(LinearGaussian):
    """An estimator whose log weights are a nat smaller in large draws, so that it falls with more samples."""

    def sampler(self, rows, generator):
        draw = super().sampler(rows, generator)
        return lambda count: draw(count) - (1.0 if count >= 20 else 0.0)


def test_task_counts_the_violations_of_a_wrong_estimator():
    def metrics_of(kind):
        run = make_run(TASK, dtype="float64", images=10, repeats=16)
        return ppca_exact(kind(latent=4, widen=1.05, shift=0.0, k_eval=50), run)

    inflated, falling = metrics_of(Inflated), metrics_of(Falling)
    assert inflated["bound_violations"] > 10
    assert inflated["gap_violations"] == 10
    assert inflated["monotone_violations"] == 0
    assert falling["monotone_violations"] == 10
    assert falling["bound_violations"] == 0


def test_counts_exclude_chance_and_include_every_real_difference():
    generator = torch.Generator().manual_seed(0)
    false_alarms = 0
    for _ in range(300):
        noise = torch.randn(3, 16, 20, generator=generator, dtype=torch.float64)
        zero = torch.zeros(20, dtype=torch.float64)
        counts = (count_above(noise, zero, 0), count_falls(noise, 0), count_different(noise[0], zero, 0))
        false_alarms += sum(count > 0 for count in counts)
    assert false_alarms <= 4
    assert count_above(noise + 3, zero, 0) > 50
    assert count_different(noise[0] - 3, zero, 0) == 20
    assert count_falls(noise + torch.tensor([6.0, 3.0, 0.0], dtype=torch.float64)[:, None, None], 0) > 30
    constant = torch.full((1, 16, 20), 1e-8, dtype=torch.float64)
    assert count_above(constant, zero, 1e-9) == 20
    assert count_above(constant, zero, 1e-7) == 0


def repeats_at(t, error=1.0):
    """16 repeated values whose mean is so many of its standard errors from 0, [16, 1]."""
    values = np.arange(16.0)
    values = (values - values.mean()) / values.std(ddof=1) * error * math.sqrt(16)
    return torch.tensor(values + t * error)[:, None]


@pytest.mark.parametrize(("share", "count"), [(1.04, 0), (0.96, 1)])
def test_a_violation_is_counted_from_a_p_value_of_one_in_ten_thousand(share, count):
    """By Student's t with 15 degrees of freedom: of one mean, of a mean in either direction, of two means."""
    zero, p = torch.zeros(1, dtype=torch.float64), share * 1e-4
    one_sided, two_sided = stats.t.isf(p, 15), stats.t.isf(p / 2, 15)
    assert count_above(repeats_at(one_sided)[None], zero, 0) == count
    for t in (two_sided, -two_sided):
        assert count_different(repeats_at(t), zero, 0) == count
    # Errors of 3 and 4 make one of 5.
    levels = torch.stack([repeats_at(0, error=3.0) + 5 * one_sided, repeats_at(0, error=4.0)])
    assert count_falls(levels, 0) == count


def test_task_refuses_estimators_without_an_exact_density_and_other_dtypes():
    run = make_run(TASK, dtype="float64")
    with pytest.raises(UsageError, match="has no exact_log_density"):
        ppca_exact(METHODS["gaussian"].create(), run)
    with pytest.raises(UsageError, match="measure 'mass'"):
        ppca_exact(METHODS["iwae"].create(), run)
    with pytest.raises(UsageError, match="float32 or float64"):
        ppca_exact(METHODS["linear-vae"].create(), make_run(TASK, dtype="bfloat16"))
    assert exact.sample_levels(1000) == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]


@torch.no_grad()
def with_wide_encoder(model):
    """The model with an encoder about as wide as the prior: inexact, but never far from the posterior."""
    for layer in model.encoder:
        for head in (layer.mean, layer.log_scale):
            head.weight.mul_(0.2)
    if model.likelihood == "gaussian":
        model.log_scale.fill_(0.3)
    return model


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_importance_sampling_equals_the_integral_over_one_latent_dimension(likelihood):
    estimator = VariationalDensity("iwae", hidden=4, latent=1, likelihood=likelihood, k_eval=20_000)
    generator = torch.Generator().manual_seed(2)
    x = (torch.rand(3, 5, generator=generator, dtype=torch.float64) < 0.5).double()
    model = with_wide_encoder(estimator.start(x, generator))

    def integrand(z, row):
        latent = torch.tensor([[[z]]], dtype=torch.float64)
        with torch.no_grad():
            return math.exp(model.log_likelihood(x[row : row + 1], latent).item()) * stats.norm.pdf(z)

    truth = [math.log(integrate.quad(integrand, -9, 9, args=(row,), epsabs=0, epsrel=1e-9)[0]) for row in range(3)]
    by_encoder = estimator.log_density(x, generator=generator)
    np.testing.assert_allclose(by_encoder.numpy(), truth, atol=0.04)
    estimator.estimator = "prior"
    np.testing.assert_allclose(estimator.log_density(x, generator=generator).numpy(), truth, atol=0.04)
    estimator.estimator = "elbo"
    assert (estimator.log_density(x, generator=generator).numpy() < np.array(truth) - 1e-3).all()


def test_samples_of_prior_and_encoder_estimate_the_same_density_with_two_layers():
    estimator = VariationalDensity("iwae", hidden=4, latent=1, layers=2, k_eval=20_000)
    generator = torch.Generator().manual_seed(2)
    x = (torch.rand(3, 5, generator=generator, dtype=torch.float64) < 0.5).double()
    with_wide_encoder(estimator.start(x, generator))
    by_encoder = estimator.log_density(x, generator=generator)
    estimator.estimator = "prior"
    torch.testing.assert_close(estimator.log_density(x, generator=generator), by_encoder, rtol=0, atol=0.04)


def test_normal_log_density_equals_that_of_torch():
    z, mean, log_scale = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(
        log_normal(z, mean, log_scale), Independent(Normal(mean, log_scale.exp()), 1).log_prob(z)
    )
