"""The task ner/loss-identities: what the algebra says of the multi-label losses, on random rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness_plugins.efficient_global_pointer.formula import Loss, two_term_loss, value_and_gradient

if TYPE_CHECKING:
    from harness.running.run import Run

#: Error in float64 above which an identity is violated, relative to 1 + the true value or gradient entry.
TOLERANCE = 1e-9
#: Standard deviation of the random scores: small enough that no form overflows in float64.
SPREAD = 3.0


def loss_identities(loss: Loss, run: Run) -> dict[str, float]:
    """Count random rows on which a loss is not what the formula says: in float64, whatever the run's dtype.

    A third of the rows has exactly one positive label, the others have any number from none to all.
    """
    rows, labels = run.options["rows"], run.options["labels"]
    logits = SPREAD * torch.randn(rows, labels, generator=run.generator, dtype=torch.float64)
    target = torch.rand(rows, labels, generator=run.generator) < torch.rand(rows, 1, generator=run.generator)
    single = torch.arange(rows) % 3 == 0
    positive = torch.randint(labels, (rows,), generator=run.generator)
    target = torch.where(single[:, None], torch.arange(labels) == positive[:, None], target)

    value, gradient = value_and_gradient(loss, logits.to(run.device), target.to(run.device))
    soft, soft_gradient = value_and_gradient(loss, logits.to(run.device), target.to(run.device, torch.float64))
    true_value, true_gradient = two_term_loss(logits, target)
    softmax = torch.logsumexp(logits, dim=1) - logits.gather(1, positive[:, None]).squeeze(1)
    violations = {
        "value_violations": _differs(value, true_value),
        "gradient_violations": _differs(gradient, true_gradient),
        "soft_violations": _differs(soft, value) | _differs(soft_gradient, gradient),
        "softmax_violations": _differs(value, softmax) & single,
    }
    return {name: int(violated.sum()) for name, violated in violations.items()} | {
        "largest_error": (value - true_value).abs().max().item()
    }


def _differs(values: Tensor, reference: Tensor) -> Tensor:
    """Rows in which anything differs by more than the tolerance, or is not finite."""
    close = (values - reference).abs() <= TOLERANCE * (1 + reference.abs())
    return ~(close if close.dim() == 1 else close.all(dim=1))
