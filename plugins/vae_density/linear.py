"""A variational autoencoder whose log density is known: linear, Gaussian, fitted in closed form.

Probabilistic principal components (Tipping and Bishop, 1999): x = W z + mean + noise, z standard normal, noise of
variance s^2. Its posterior is Gaussian and at the fitted W has a diagonal covariance. So a diagonal encoder can be
exact; here it has a known error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.arguments import require_positive, require_several, rows_of
from harness_plugins.vae_density.estimator import Estimator
from harness_plugins.vae_density.importance import Sampler, stream_estimates
from harness_plugins.vae_density.networks import log_normal
from harness_plugins.vae_density.observations import Measure


@dataclass(frozen=True)
class Parameters:
    """The maximum-likelihood parameters of the linear model."""

    mean: Tensor  # [D]
    directions: Tensor  # [D, L], orthonormal
    stretch: Tensor  # [L]: the lengths of the columns of W = directions * stretch
    variance: float

    @property
    def posterior_scale(self) -> Tensor:
        """Standard deviation [L] of z given any x."""
        return torch.sqrt(self.variance / (self.stretch.square() + self.variance))

    def posterior_mean(self, rows: Tensor) -> Tensor:
        """Mean [N, L] of z given ``rows`` [N, D]."""
        return (rows - self.mean) @ self.directions * self.stretch / (self.stretch.square() + self.variance)


class LinearGaussian:
    """A linear-Gaussian autoencoder fitted in closed form, with the encoder's error set by ``widen`` and ``shift``.

    The encoder is the exact posterior, with its standard deviations multiplied by ``widen`` and its means shifted by
    ``shift`` standard deviations of the posterior or of the prior (``shift_unit``) in each latent. ``noise`` is the
    standard deviation of p(x|z); 0 takes the maximum-likelihood one.

    >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> exact = LinearGaussian(latent=2, widen=1.0, shift=0.0, k_eval=3).fit(x)
    >>> bool(((exact.log_density(x) - exact.exact_log_density(x)).abs() < 1e-9).all())
    True
    """

    measure: Measure = "density"

    def __init__(
        self,
        latent: int = 10,
        noise: float = 0.0,
        widen: float = 1.2,
        shift: float = 0.2,
        shift_unit: Literal["posterior", "prior"] = "posterior",
        estimator: Estimator = "iwae",
        k_eval: int = 5000,
    ) -> None:
        for name, value in {"latent": latent, "widen": widen, "k_eval": k_eval}.items():
            require_positive(value, name)
        self._latent, self._noise, self._widen, self._shift = latent, noise, widen, shift
        self._shift_unit = shift_unit
        self.estimator: Estimator = estimator
        self.k_eval = k_eval
        self._parameters: Parameters | None = None

    def fit(self, x: Tensor) -> LinearGaussian:
        """Maximum likelihood in closed form on ``x`` [N, ...], N >= 2 (Tipping and Bishop, equations 7 and 8).

        Raises ValueError if the rows have no more than ``latent`` columns.
        """
        rows = rows_of(x)
        require_several(x, 2, "the covariance of one row is not defined")
        if rows.shape[1] <= self._latent:
            raise ValueError(f"x of shape {list(x.shape)}: latent = {self._latent} needs more columns than that")
        exact = rows.double().cpu()
        mean = exact.mean(dim=0)
        values, vectors = torch.linalg.eigh((exact - mean).T @ (exact - mean) / len(exact))
        values, vectors = values.flip(0), vectors.flip(1)
        variance = self._noise**2 or values[self._latent :].mean().item()
        if not variance > 0:
            raise ValueError(
                f"x of shape {list(x.shape)}: the rows span only {self._latent} dimensions, so the noise would be 0"
            )
        stretch = (values[: self._latent] - variance).clamp_min(0).sqrt()
        mean, directions, stretch = (part.to(x.device, x.dtype) for part in (mean, vectors[:, : self._latent], stretch))
        self._parameters = Parameters(mean, directions, stretch, variance)
        return self

    @property
    def parameters(self) -> Parameters:
        """The fitted parameters. Raises UsageError before ``fit``."""
        if self._parameters is None:
            raise UsageError("this estimator is not fitted yet: call fit(x) first")
        return self._parameters

    def exact_log_density(self, x: Tensor) -> Tensor:
        """log N(x; mean, W W^T + s^2 I) in nats for ``x`` [N, ...], float64 [N], computed in float64."""
        fitted = self.parameters
        rows = rows_of(x, width=len(fitted.mean)).double()
        offset = rows - fitted.mean.double()
        along = offset @ fitted.directions.double()
        spread = fitted.stretch.double().square() + fitted.variance
        rest = (offset.square().sum(1) - along.square().sum(1)) / fitted.variance
        noise_dimensions = rows.shape[1] - len(spread)
        log_determinant = spread.log().sum() + noise_dimensions * math.log(fitted.variance)
        return -0.5 * (
            (along.square() / spread).sum(1) + rest + log_determinant + rows.shape[1] * math.log(2 * math.pi)
        )

    def proposal(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation [N, L] of z for ``rows`` [N, D]: of the prior or of the encoder."""
        fitted = self.parameters
        mean, scale = fitted.posterior_mean(rows), fitted.posterior_scale.expand(len(rows), -1)
        if self.estimator == "prior":
            return torch.zeros_like(mean), torch.zeros_like(mean)
        unit = scale if self._shift_unit == "posterior" else torch.ones_like(scale)
        return mean + self._shift * unit, torch.log(self._widen * scale)

    def divergence(self, x: Tensor) -> Tensor:
        """KL(proposal || posterior) in nats for ``x`` [N, ...], [N]: log p(x) minus the ELBO."""
        fitted = self.parameters
        rows = rows_of(x, width=len(fitted.mean))
        mean, log_scale = self.proposal(rows)
        ratio = torch.exp(2 * log_scale) / fitted.posterior_scale.square()
        distance = (mean - fitted.posterior_mean(rows)) / fitted.posterior_scale
        return 0.5 * (distance.square() + ratio - 1 - torch.log(ratio)).sum(1)

    def sampler(self, rows: Tensor, generator: torch.Generator) -> Sampler:
        """Sampler of log weights, by their definition, for ``rows`` [N, D] in the dtype of ``fit``."""
        fitted = self.parameters
        mean, log_scale = self.proposal(rows)
        zero = torch.zeros_like(mean)
        constant = -0.5 * rows.shape[1] * math.log(2 * math.pi * fitted.variance)

        def draw(count: int) -> Tensor:
            noise = torch.randn(count, *mean.shape, generator=generator, device=generator.device, dtype=torch.float64)
            z = mean + log_scale.exp() * noise.to(mean.device, mean.dtype)
            offset = (rows - fitted.mean) - (z * fitted.stretch) @ fitted.directions.T
            pixels = constant - 0.5 * offset.square().sum(-1) / fitted.variance
            return pixels + log_normal(z, zero, zero) - log_normal(z, mean, log_scale)

        return draw

    def log_density(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """An estimate of ``exact_log_density`` from ``k_eval`` samples, float64 [N], by ``estimator``."""
        fitted = self.parameters
        rows = rows_of(x, width=len(fitted.mean)).to(fitted.mean)
        source = generator or torch.default_generator
        (result,) = stream_estimates(lambda part: self.sampler(part, source), rows, (self.k_eval,))
        return result.mean_log if self.estimator == "elbo" else result.log_mean
