"""What CAN is compared with: fixed re-weightings, a prior corrected by EM, a temperature, and nothing at all.

All are called as ``refine(probabilities [N, C], prior [C])`` and return [N, C] in the dtype they were given.
They compute in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from harness_plugins.can.arguments import check
from harness_plugins.can.refiners import Can, need_sure_rows, put_back

#: EM stops where no class's prior moves by more than this, or after so many steps.
EM_TOLERANCE = 1e-10
EM_STEPS = 1000
#: Temperatures that may be chosen, and how closely (in log units).
TEMPERATURES = (0.05, 20.0)
TEMPERATURE_PRECISION = 1e-6


def unchanged(probabilities: Tensor, prior: Tensor) -> Tensor:
    """The probabilities as they are, once they have been checked."""
    check(probabilities, prior)
    return probabilities


def no_refinement() -> Callable[[Tensor, Tensor], Tensor]:
    """Give ``unchanged``, which needs no settings."""
    return unchanged


class PriorReweighting(Can):
    """Unsure rows times prior over the sure rows' mean: what one step of CAN with alpha = 1 nearly is.

    CAN divides by (the sum of n sure rows and the row itself) / (n + 1), this by the n rows' mean, so that one
    factor per class serves every row and the cost is O(N C). A class that no sure row has is left with
    CAN's own factor, since the mean would be zero.

    >>> PriorReweighting()(torch.tensor([[0.5, 0.5], [0.2, 0.8]]), torch.tensor([0.5, 0.5]))
    tensor([[0.8000, 0.2000],
            [0.2000, 0.8000]])
    """

    def __init__(self, k: int = 3, tau: float = 0.9) -> None:
        super().__init__(k=k, tau=tau)

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        rows, prior = check(probabilities, prior)
        unsure = self.unsure(rows)
        need_sure_rows(unsure, self.tau)
        if not unsure.any():
            return probabilities
        sums, chosen = rows[~unsure].sum(dim=0), rows[unsure]
        denominator = torch.where(sums > 0, sums, chosen)
        weighted = torch.where(denominator > 0, chosen * prior / denominator, torch.zeros_like(chosen))
        return put_back(probabilities, unsure, weighted / weighted.sum(dim=1, keepdim=True))


class EmPrior:
    """Every row corrected to the prior of the given rows, estimated from them by expectation maximisation.

    ``prior`` is the training set's, under which the probabilities were made. Starting from it, the E step
    makes every row p * new / prior, normalised, and the M step takes their mean as the new prior, until it
    stands still (Saerens, Latinne and Decaestecker, Neural Computation 14, 2002, section 2.2).

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
            last, estimate = estimate, posterior.mean(dim=0)
            if (estimate - last).abs().max() <= EM_TOLERANCE:
                break
        refined = rows * (estimate / prior)
        return (refined / refined.sum(dim=1, keepdim=True)).to(probabilities.dtype)


class LogitAdjustment:
    """Every row divided by prior ** strength and normalised: post-hoc logit adjustment (arXiv 2007.07314, section 4.1).

    It aims at the mean accuracy over classes, as if all were equally frequent, and looks at no other row.

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

    It changes no decision. ``prior`` is not used. Before ``fit`` T is 1.

    >>> scaled = Temperature()
    >>> scaled.temperature = 0.5
    >>> scaled(torch.tensor([[0.6, 0.4]]), torch.tensor([0.5, 0.5]))
    tensor([[0.6923, 0.3077]])
    """

    def __init__(self) -> None:
        self.temperature = 1.0

    def fit(self, probabilities: Tensor, labels: Tensor, prior: Tensor) -> Temperature:
        """Take the T that makes the ``labels`` [N] likeliest under ``probabilities`` [N, C].

        The mean log loss is convex in 1 / T, so that a golden-section search between ``TEMPERATURES`` finds it.
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
    """The same after a temperature fitted on validation rows: EM trusts probabilities that are off, and overshoots.

    That EM needs calibrated probabilities is shown in arXiv 1901.06852, which fits a bias for each class as well.
    Before ``fit`` it is ``EmPrior``.

    >>> rows = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> CalibratedEmPrior()(rows, torch.tensor([0.5, 0.5]))[3]
    tensor([0.8472, 0.1528])
    """

    def __init__(self) -> None:
        self.calibrate = Temperature()

    def fit(self, probabilities: Tensor, labels: Tensor, prior: Tensor) -> CalibratedEmPrior:
        """Fit the temperature on ``probabilities`` [N, C] with ``labels`` [N]."""
        self.calibrate.fit(probabilities, labels, prior)
        return self

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        """Refined rows [N, C]."""
        return EmPrior()(self.calibrate(probabilities, prior), prior)


def _logs(rows: Tensor) -> Tensor:
    """Logarithms, a zero's being that of the least positive double: a certain mistake costs much, not infinity."""
    return rows.clamp_min(torch.finfo(rows.dtype).tiny).log()
