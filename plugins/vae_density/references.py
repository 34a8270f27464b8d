"""Densities without neural networks: those of scikit-learn for continuous rows, independent pixels for binary ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.arguments import require_binary, require_positive, require_several, rows_of
from harness_plugins.vae_density.observations import Measure

#: Bandwidths among which a kernel density chooses, in the unit of the rows.
BANDWIDTHS = tuple(0.05 * 2 ** (step / 2) for step in range(10))
#: Share of the rows on which the bandwidth is chosen.
HELD_OUT = 0.2


class _Continuous:
    """A scikit-learn density of real numbers: ``score_samples`` of the model that ``_fit_model`` returns, in nats."""

    measure: Measure = "density"
    _model: Any = None

    def fit(self, x: Tensor, *, generator: torch.Generator | None = None) -> _Continuous:
        """Fit on ``x`` [N, ...], N >= 2; return the estimator. ``generator`` seeds the model's randomness."""
        rows = rows_of(x)
        require_several(x, 2, "the variation between rows is what is learned")
        (seed,) = torch.randint(2**31, (1,), generator=generator).tolist()
        self._width = rows.shape[1]
        self._model = self._fit_model(_array(rows), seed)
        return self

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) in nats with respect to volume for ``x`` [N, ...]: float64 [N]."""
        if self._model is None:
            raise UsageError("this estimator is not fitted yet: call fit(x) first")
        rows = rows_of(x, width=self._width)
        return torch.from_numpy(np.asarray(self._model.score_samples(_array(rows)))).to(x.device)

    def _fit_model(self, rows: Any, seed: int) -> Any:
        raise NotImplementedError


class FullGaussian(_Continuous):
    """One Gaussian with full covariance, by maximum likelihood, ``ridge`` added to every variance.

    >>> x = torch.tensor([[-1.0], [1.0]])
    >>> FullGaussian(ridge=0.0).fit(x).log_density(torch.zeros(1, 1))
    tensor([-0.9189], dtype=torch.float64)
    """

    def __init__(self, ridge: float = 1e-4) -> None:
        self._ridge = ridge

    def _fit_model(self, rows: Any, seed: int) -> Any:
        return GaussianMixture(1, reg_covar=self._ridge, random_state=seed).fit(rows)


class Mixture(_Continuous):
    """A mixture of Gaussians, fitted by expectation-maximisation, ``ridge`` added to every variance."""

    def __init__(self, components: int = 10, covariance: str = "full", ridge: float = 1e-3) -> None:
        require_positive(components, "components")
        self._components, self._covariance, self._ridge = components, covariance, ridge

    def _fit_model(self, rows: Any, seed: int) -> Any:
        mixture = GaussianMixture(
            self._components, covariance_type=self._covariance, reg_covar=self._ridge, random_state=seed
        )
        return mixture.fit(rows)


class Kernel(_Continuous):
    """A Gaussian at every row. With ``bandwidth`` 0, the best of ten for a random fifth of the rows is used."""

    def __init__(self, bandwidth: float = 0.0) -> None:
        self._bandwidth = bandwidth

    def _fit_model(self, rows: Any, seed: int) -> Any:
        bandwidth = self._bandwidth or self._choose(rows, seed)
        return KernelDensity(bandwidth=bandwidth).fit(rows)

    @staticmethod
    def _choose(rows: Any, seed: int) -> float:
        order = np.random.default_rng(seed).permutation(len(rows))
        count = max(1, int(HELD_OUT * len(rows)))
        train, held_out = rows[order[count:]], rows[order[:count]]
        return max(BANDWIDTHS, key=lambda width: KernelDensity(bandwidth=width).fit(train).score(held_out))


class PrincipalComponents(_Continuous):
    """Probabilistic principal components by scikit-learn's maximum-likelihood fit."""

    def __init__(self, components: int = 10) -> None:
        require_positive(components, "components")
        self._components = components

    def _fit_model(self, rows: Any, seed: int) -> Any:
        if self._components >= min(rows.shape):
            shape = list(rows.shape)
            raise ValueError(f"x of shape {shape}: components = {self._components} needs more rows and columns")
        return PCA(self._components, svd_solver="full", random_state=seed).fit(rows)


class IndependentPixels:
    """Independent binary pixels, each with its mean over the rows and one additional 0 and 1.

    >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> IndependentPixels().fit(x).log_density(x).exp()  # (3/4)^2
    tensor([0.5625, 0.5625], dtype=torch.float64)
    """

    measure: Measure = "mass"
    _mean: Tensor | None = None

    def fit(self, x: Tensor) -> IndependentPixels:
        """Fit on binary ``x`` [N, ...]; return the estimator. Raises ValueError naming a row that is not binary."""
        rows = rows_of(x)
        require_binary(x)
        self._mean = (rows.double().sum(dim=0) + 1) / (len(rows) + 2)
        return self

    def log_density(self, x: Tensor) -> Tensor:
        """log P(x) in nats for binary ``x`` [N, ...]: float64 [N]."""
        if self._mean is None:
            raise UsageError("this estimator is not fitted yet: call fit(x) first")
        rows = rows_of(x, width=len(self._mean)).double()
        require_binary(x)
        return rows @ self._mean.log() + (1 - rows) @ torch.log1p(-self._mean)


def _array(rows: Tensor) -> Any:
    return rows.detach().cpu().double().numpy()
