"""Baselines for CAN: fixed re-weightings, a prior estimated by EM, a temperature, and no refinement.

All are called as ``refine(probabilities [N, C], prior [C])`` and return [N, C] in the dtype of ``probabilities``.
They compute in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from harness_plugins.can.arguments import check
from harness_plugins.can.refiners import Can, replace_rows, require_sure_rows

#: EM stops when no class's prior changes by more than this, or after this many steps.
EM_TOLERANCE = 1e-10
EM_STEPS = 1000
#: Least and greatest temperature, and the width of 1 / T at which the search stops.
TEMPERATURES = (0.05, 20.0)
TEMPERATURE_PRECISION = 1e-6


def unchanged(probabilities: Tensor, prior: Tensor) -> Tensor:
    """Check ``probabilities`` and return them."""
    check(probabilities, prior)
    return probabilities


def no_refinement() -> Callable[[Tensor, Tensor], Tensor]:
    """Build ``unchanged``, which has no options."""
    return unchanged


class PriorReweighting(Can):
    """Unsure rows times prior over the sure rows' mean: nearly one step of CAN with alpha = 1.

    CAN divides by the mean of n sure rows and the row itself, (sum + row) / (n + 1); this divides by the mean of the
    n sure rows alone, so that one factor for each class serves every row and the cost is O(N C). For a class that no
    sure row has, whose mean would be zero, CAN's own factor is used.

    >>> PriorReweighting()(torch.tensor([[0.5, 0.5], [0.2, 0.8]]), torch.tensor([0.5, 0.5]))
    tensor([[0.8000, 0.2000],
            [0.2000, 0.8000]])
    """

    def __init__(self, k: int = 3, tau: float = 0.9) -> None:
        super().__init__(k=k, tau=tau)

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        rows, prior = check(probabilities, prior)
        unsure = self.unsure(rows)
        require_sure_rows(unsure, self.tau)
        if not unsure.any():
            return probabilities
        sums, unsure_rows = rows[~unsure].sum(dim=0), rows[unsure]
        denominator = torch.where(sums > 0, sums, unsure_rows)
        weighted = torch.where(denominator > 0, unsure_rows * prior / denominator, torch.zeros_like(unsure_rows))
        return replace_rows(probabilities, unsure, weighted / weighted.sum(dim=1, keepdim=True))


class EmPrior:
    """Every row corrected to the rows' own prior, which expectation maximisation estimates from them.

    ``prior`` is the training set's, for which the probabilities were predicted. The estimate starts from it. The E
    step computes p * estimate / prior, normalised, for every row p, and the M step takes the mean of these as the new
    estimate, until it converges (Saerens, Latinne and Decaestecker, Neural Computation 14, 2002, section 2.2).

    >>> rows = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> EmPrior()(rows, torch.tensor([0.5, 0.5]))[3]
    tensor([0.8472, 0.1528])
    """

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        """Refined rows [N, C]."""
        rows, prior = check(probabilities, prior)
        estimate = prior
        for _ in range(EM_STEPS):
            posterior = rows * (estimate / prior)
            posterior = posterior / posterior.sum(dim=1, keepdim=True)
            previous, estimate = estimate, posterior.mean(dim=0)
            if (estimate - previous).abs().max() <= EM_TOLERANCE:
                break
        refined = rows * (estimate / prior)
        return (refined / refined.sum(dim=1, keepdim=True)).to(probabilities.dtype)


class LogitAdjustment:
    """Every row divided by prior ** strength and normalised: post-hoc logit adjustment (arXiv 2007.07314, section 4.1).

    It aims at the mean accuracy over classes, as if all were equally frequent. A row does not depend on other rows.

    >>> LogitAdjustment()(torch.tensor([[0.5, 0.5]]), torch.tensor([0.2, 0.8]))
    tensor([[0.8000, 0.2000]])
    """

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        """Refined rows [N, C]."""
        rows, prior = check(probabilities, prior)
        adjusted = rows / prior**self.strength
        return (adjusted / adjusted.sum(dim=1, keepdim=True)).to(probabilities.dtype)


class Temperature:
    """Every row to the power 1 / T and normalised, T fitted on validation rows (arXiv 1706.04599, section 4.2).

    Decisions do not change. ``prior`` is not used. Before ``fit``, T is 1.

    >>> scaled = Temperature()
    >>> scaled.temperature = 0.5
    >>> scaled(torch.tensor([[0.6, 0.4]]), torch.tensor([0.5, 0.5]))
    tensor([[0.6923, 0.3077]])
    """

    def __init__(self) -> None:
        self.temperature = 1.0

    def fit(self, probabilities: Tensor, labels: Tensor, prior: Tensor) -> Temperature:
        """Find the T that maximises the likelihood of the ``labels`` [N] under ``probabilities`` [N, C].

        The mean log loss is convex in 1 / T, so a golden-section search between ``TEMPERATURES`` finds its minimum.
        """
        logs = _logs(check(probabilities, prior)[0])
        rows = torch.arange(len(logs), device=logs.device)
        labels = labels.to(logs.device)

        def loss(inverse: float) -> float:
            scaled = logs * inverse
            return float((scaled.logsumexp(dim=1) - scaled[rows, labels]).mean())

        low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
        ratio = (5**0.5 - 1) / 2
        inner = [high - ratio * (high - low), low + ratio * (high - low)]
        losses = [loss(inner[0]), loss(inner[1])]
        while high - low > TEMPERATURE_PRECISION:
            if losses[0] <= losses[1]:
                high, inner[1], losses[1] = inner[1], inner[0], losses[0]
                inner[0] = high - ratio * (high - low)
                losses[0] = loss(inner[0])
            else:
                low, inner[0], losses[0] = inner[0], inner[1], losses[1]
                inner[1] = low + ratio * (high - low)
                losses[1] = loss(inner[1])
        self.temperature = 2 / (low + high)
        return self

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        """Refined rows [N, C]."""
        logs = _logs(check(probabilities, prior)[0])
        return torch.softmax(logs / self.temperature, dim=1).to(probabilities.dtype)


class CalibratedEmPrior:
    """``EmPrior`` after a temperature fitted on validation rows: on uncalibrated probabilities EM overshoots.

    arXiv 1901.06852 shows that EM needs calibrated probabilities; it also fits a bias for each class.
    Before ``fit`` it equals ``EmPrior``.

    >>> rows = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> CalibratedEmPrior()(rows, torch.tensor([0.5, 0.5]))[3]
    tensor([0.8472, 0.1528])
    """

    def __init__(self) -> None:
        self.calibration = Temperature()

    def fit(self, probabilities: Tensor, labels: Tensor, prior: Tensor) -> CalibratedEmPrior:
        """Fit the temperature on ``probabilities`` [N, C] with ``labels`` [N]."""
        self.calibration.fit(probabilities, labels, prior)
        return self

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        """Refined rows [N, C]."""
        return EmPrior()(self.calibration(probabilities, prior), prior)


def _logs(rows: Tensor) -> Tensor:
    """Logarithms, with the least positive double in place of zero: a certain mistake costs much, but not infinity."""
    return rows.clamp_min(torch.finfo(rows.dtype).tiny).log()
