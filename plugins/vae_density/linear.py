"""A variational autoencoder whose log density is known: linear decoder, Gaussian everything, closed-form fit.

Probabilistic principal components (Tipping and Bishop, 1999): x = W z + mean + noise, z standard normal, noise of
variance s^2. Its posterior is Gaussian, with diagonal covariance at the fitted W, so that a diagonal encoder can be
exact, and is made wrong here by a known amount.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.checks import require_positive, require_several, rows_of
from harness_plugins.vae_density.estimator import Estimator
from harness_plugins.vae_density.importance import Sampler, stream_estimates
from harness_plugins.vae_density.networks import log_normal
from harness_plugins.vae_density.observations import Measure


@dataclass(frozen=True)
class _Fitted:
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
    """A linear-Gaussian autoencoder fitted in closed form, with an encoder that is off by ``widen`` and ``shift``.

    The encoder is the exact posterior, its standard deviations times ``widen`` and its means moved by ``shift`` in
    each latent, counted in standard deviations of the posterior or of the prior (``shift_unit``). ``noise`` is
    the standard deviation of p(x|z); 0 takes the maximum-likelihood one.

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
        self._found: _Fitted | None = None

    def fit(self, x: Tensor) -> LinearGaussian:
        """Maximum likelihood in closed form on ``x`` [N, ...], N >= 2 (Tipping and Bishop, equations 7 and 8).

        Raises ValueError if the rows have no more than ``latent`` columns.
        """
        rows = rows_of(x)
        require_several(x, 2, "the covariance of one row is not defined")
        if rows.shape[1] <= self._latent:
            raise ValueError(f"x of shape {list(x.shape)}: latent = {self._latent} needs more columns than that")
        wide = rows.double().cpu()
        mean = wide.mean(dim=0)
        values, vectors = torch.linalg.eigh((wide - mean).T @ (wide - mean) / len(wide))
        values, vectors = values.flip(0), vectors.flip(1)
        variance = self._noise**2 or values[self._latent :].mean().item()
        if not variance > 0:
            raise ValueError(
                f"x of shape {list(x.shape)}: the rows span only {self._latent} dimensions, no noise is left"
            )
        stretch = (values[: self._latent] - variance).clamp_min(0).sqrt()
        mean, directions, stretch = (part.to(x.device, x.dtype) for part in (mean, vectors[:, : self._latent], stretch))
        self._found = _Fitted(mean, directions, stretch, variance)
        return self

    @property
    def _fitted(self) -> _Fitted:
        if self._found is None:
            raise UsageError("this estimator is not fitted yet: call fit(x) first")
        return self._found

    def exact_log_density(self, x: Tensor) -> Tensor:
        """log N(x; mean, W W^T + s^2 I) in nats for ``x`` [N, ...], float64 [N], computed in float64."""
        found = self._fitted
        rows = rows_of(x, width=len(found.mean)).double()
        offset = rows - found.mean.double()
        along = offset @ found.directions.double()
        spread = found.stretch.double().square() + found.variance
        rest = (offset.square().sum(1) - along.square().sum(1)) / found.variance
        free = rows.shape[1] - len(spread)
        log_determinant = spread.log().sum() + free * math.log(found.variance)
        return -0.5 * (
            (along.square() / spread).sum(1) + rest + log_determinant + rows.shape[1] * math.log(2 * math.pi)
        )

    def proposal(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation [N, L] of what z is drawn from for ``rows`` [N, D], by ``estimator``."""
        found = self._fitted
        mean, scale = found.posterior_mean(rows), found.posterior_scale.expand(len(rows), -1)
        if self.estimator == "prior":
            return torch.zeros_like(mean), torch.zeros_like(mean)
        unit = scale if self._shift_unit == "posterior" else torch.ones_like(scale)
        return mean + self._shift * unit, torch.log(self._widen * scale)

    def divergence(self, x: Tensor) -> Tensor:
        """KL(proposal || posterior) in nats for ``x`` [N, ...], [N]: by how much the ELBO is short of log p(x)."""
        found = self._fitted
        rows = rows_of(x, width=len(found.mean))
        mean, log_scale = self.proposal(rows)
        ratio = torch.exp(2 * log_scale) / found.posterior_scale.square()
        distance = (mean - found.posterior_mean(rows)) / found.posterior_scale
        return 0.5 * (distance.square() + ratio - 1 - torch.log(ratio)).sum(1)

    def sampler(self, rows: Tensor, generator: torch.Generator) -> Sampler:
        """Log weights of samples of the proposal for ``rows`` [N, D] in the dtype of fit, by the definition."""
        found = self._fitted
        mean, log_scale = self.proposal(rows)
        zero = torch.zeros_like(mean)
        constant = -0.5 * rows.shape[1] * math.log(2 * math.pi * found.variance)

        def draw(count: int) -> Tensor:
            noise = torch.randn(count, *mean.shape, generator=generator, device=generator.device, dtype=torch.float64)
            z = mean + log_scale.exp() * noise.to(mean.device, mean.dtype)
            offset = (rows - found.mean) - (z * found.stretch) @ found.directions.T
            pixels = constant - 0.5 * offset.square().sum(-1) / found.variance
            return pixels + log_normal(z, zero, zero) - log_normal(z, mean, log_scale)

        return draw

    def log_density(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """An estimate of ``exact_log_density`` from ``k_eval`` samples, float64 [N], by ``estimator``."""
        found = self._fitted
        rows = rows_of(x, width=len(found.mean)).to(found.mean)
        source = generator or torch.default_generator
        (result,) = stream_estimates(lambda part: self.sampler(part, source), rows, (self.k_eval,))
        return result.mean_log if self.estimator == "elbo" else result.log_mean
