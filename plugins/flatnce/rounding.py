"""Does rounding hurt a contrastive loss, and do the identities between the losses hold? No data set, no training.

Both tasks compare the gradient of ``from_scores`` by autograd with the closed form in float64: -w at the positive
and w * softmax(negatives) at the negatives, w the loss's own weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.flatnce.losses import log_odds

if TYPE_CHECKING:
    from harness.running.run import Run

#: An identity is violated where its relative error in float64 is larger: the error's norm over the gradient's.
IDENTITY_TOLERANCE = 1e-9
#: Standard deviation of the scores drawn for the identities. log xi stays above about -12, where even the
#: softmax form, which loses accuracy as xi falls, has errors below 1e-10.
IDENTITY_SPREAD = 3.0


class AnchorLoss(Protocol):
    """The attributes that these tasks need of a contrastive loss."""

    temperature: float

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor: ...

    def value(self, log_xi: Tensor) -> Tensor: ...

    def weight(self, log_xi: Tensor) -> Tensor: ...


def _check(loss: object) -> None:
    """Raise UsageError for a loss that lacks an attribute of ``AnchorLoss``."""
    if missing := [name for name in ("temperature", "from_scores", "value", "weight") if not hasattr(loss, name)]:
        raise UsageError(f"this loss has no {', '.join(missing)}, which the task needs (docs/roles.md)")


def rounding(loss: AnchorLoss, run: Run) -> dict[str, float]:
    """Errors of a loss that is computed in the run's dtype, from scores that already have this dtype.

    Cosines are drawn in float64 around the options' means, divided by the loss's temperature and rounded to
    ``run.dtype``. The truth is the closed form in float64 of these rounded scores, so that only the loss's own
    rounding counts. Relative errors are capped at 1; NaN, infinity and a lost gradient count as 1.
    """
    _check(loss)
    exact_positive, exact_negatives = _draw_scores(loss.temperature, run)
    positive = exact_positive.to(run.device, run.dtype).requires_grad_()
    negatives = exact_negatives.to(run.device, run.dtype).requires_grad_()
    losses = loss.from_scores(positive, negatives)
    at_positive, at_negatives = _gradients(losses, positive, negatives)

    true_value, true_positive, true_negatives, log_xi = _closed_form(loss, positive, negatives)
    positive_error = relative_error(at_positive[:, None], true_positive[:, None])
    negative_error = relative_error(at_negatives, true_negatives)
    lost = (losses.detach().cpu() == 0) & (true_value != 0)
    return {
        "positive_gradient_error": positive_error.median().item(),
        "positive_gradient_error_p99": positive_error.quantile(0.99).item(),
        "negative_gradient_error": negative_error.median().item(),
        "negative_gradient_error_p99": negative_error.quantile(0.99).item(),
        "value_error": relative_error(losses.detach()[:, None], true_value[:, None]).median().item(),
        "lost_share": lost.double().mean().item(),
        "median_log_xi": log_xi.median().item(),
    }


def identities(loss: AnchorLoss, run: Run) -> dict[str, float]:
    """Count the random draws for which the algebra does not hold in the run's dtype (use float64).

    A draw is one anchor. It violates the identity if autograd and the closed form differ by more than 1e-9 of the
    gradient's norm, and the inequality if the loss as computed is above xi: InfoNCE, log(1 + xi), never is.
    """
    _check(loss)
    draws, k = run.options["draws"], run.options["k"]
    drawn = IDENTITY_SPREAD * torch.randn(draws, k + 1, generator=run.generator, dtype=torch.float64)
    positive = drawn[:, 0].to(run.device, run.dtype).requires_grad_()
    negatives = drawn[:, 1:].to(run.device, run.dtype).requires_grad_()
    losses = loss.from_scores(positive, negatives)
    at_positive, at_negatives = _gradients(losses, positive, negatives)
    _, true_positive, true_negatives, log_xi = _closed_form(loss, positive, negatives)
    error = relative_error(
        torch.cat([at_positive[:, None], at_negatives], dim=1),
        torch.cat([true_positive[:, None], true_negatives], dim=1),
    )
    return {
        "violations": (error > IDENTITY_TOLERANCE).sum().item(),
        "largest_error": error.max().item(),
        # "not <=": a loss that is NaN is no bound either.
        "inequality_violations": (~(losses.detach().cpu() <= log_xi.exp())).sum().item(),
    }


def relative_error(computed: Tensor, true: Tensor) -> Tensor:
    """Distance of each row of ``computed`` from that of ``true``, over the norm of the latter: [N, K] to [N].

    Capped at 1, "nothing is right", the error of a row of zeros; NaN and infinity count as 1.

    >>> relative_error(torch.tensor([[3.0, 4.4], [0.0, 0.0], [torch.nan, 1.0]]), torch.tensor([[3.0, 4.0]]).double())
    tensor([0.0800, 1.0000, 1.0000], dtype=torch.float64)
    """
    true = true.cpu().double()
    size = torch.linalg.vector_norm(true, dim=1).clamp_min(torch.finfo(torch.float64).tiny)
    distance: Tensor = torch.linalg.vector_norm(computed.cpu().double() - true, dim=1) / size
    return distance.nan_to_num(nan=1.0, posinf=1.0).clamp_max(1.0)


def _draw_scores(temperature: float, run: Run) -> tuple[Tensor, Tensor]:
    """Scores of the positive [N] and of the negatives [N, K] in float64: normal cosines over the temperature."""
    options, anchors = run.options, run.options["anchors"]
    drawn = options["spread"] * torch.randn(anchors, options["k"] + 1, generator=run.generator, dtype=torch.float64)
    drawn[:, 0] += options["positive_mean"]
    drawn[:, 1:] += options["negative_mean"]
    scores = drawn.clamp(-1, 1) / temperature
    return scores[:, 0].clone(), scores[:, 1:].clone()


def _gradients(losses: Tensor, positive: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    at_positive, at_negatives = torch.autograd.grad(losses, (positive, negatives), torch.ones_like(losses))
    return at_positive, at_negatives


@torch.no_grad()
def _closed_form(loss: AnchorLoss, positive: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Value [N], gradient at the positive [N] and at the negatives [N, K], and log xi [N], all float64 on the CPU."""
    positive, negatives = positive.cpu().double(), negatives.cpu().double()
    log_xi = log_odds(positive, negatives)
    weight = loss.weight(log_xi)
    return loss.value(log_xi), -weight, weight[:, None] * torch.softmax(negatives, dim=1), log_xi
