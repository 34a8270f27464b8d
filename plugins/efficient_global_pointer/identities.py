"""What the algebra and the arithmetic of the multi-label losses say: no data set, no training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.running.run import Run

#: How far an identity may be off in float64 before it counts as violated, absolute in nats and per gradient entry.
TOLERANCE = 1e-9
#: Standard deviation of the scores drawn for the identities: within float64 nothing overflows, whatever the form.
SPREAD = 3.0
#: From so large an error on a form has failed: in nats for the value, relative to its norm for the gradient.
FAILED = 0.01
#: Steps of the search for the gap, in nats.
STEP = 0.5


class Loss(Protocol):
    """What these tasks ask of a multi-label loss (docs/roles.md)."""

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor: ...


def loss_identities(loss: Loss, run: Run) -> dict[str, float]:
    """Count random rows on which a loss is not what the formula says: in float64, whatever the run's dtype.

    A third of the rows has exactly one positive label, the others have any number from none to all.
    """
    rows, labels = run.options["rows"], run.options["labels"]
    logits = SPREAD * torch.randn(rows, labels, generator=run.generator, dtype=torch.float64)
    target = torch.rand(rows, labels, generator=run.generator) < torch.rand(rows, 1, generator=run.generator)
    single = torch.arange(rows) % 3 == 0
    only = torch.randint(labels, (rows,), generator=run.generator)
    target = torch.where(single[:, None], torch.arange(labels) == only[:, None], target)

    value, gradient = _of_rows(loss, logits.to(run.device), target.to(run.device))
    soft, soft_gradient = _of_rows(loss, logits.to(run.device), target.to(run.device, torch.float64))
    true_value, true_gradient = definition(logits, target)
    softmax = torch.logsumexp(logits, dim=1) - logits.gather(1, only[:, None]).squeeze(1)
    wrong = {
        "value_violations": _off(value, true_value),
        "gradient_violations": _off(gradient, true_gradient),
        "soft_violations": _off(soft, value) | _off(soft_gradient, gradient),
        "softmax_violations": _off(value, softmax) & single,
    }
    return {name: int(rows_.sum()) for name, rows_ in wrong.items()} | {
        "largest_error": (value - true_value).abs().max().item()
    }


def sparse_gap(loss: Loss, run: Run) -> dict[str, float]:
    """From which gap on a loss fails, in nats: how much the positives outweigh the negatives and the threshold.

    With P the positives and N the negatives, the gap is lse(P) - lse(N, 0). It is raised in steps of half a nat by
    moving the scores of the positives of rows that are drawn once. A metric is the first gap at which the value (or
    the gradient) of a tenth of the rows is off by 0.01 nats (of its norm) or not finite, against the formula in
    float64 on the same rounded scores; ``most`` where none is. Raises UsageError for more positives than labels.
    """
    rows, labels, most = run.options["rows"], run.options["labels"], run.options["most"]
    positives = run.options["positives"]
    if positives > labels:
        raise UsageError(f"positives = {positives}: a row has {labels} labels, so at most {labels} are allowed")
    drawn = torch.randn(rows, labels, generator=run.generator, dtype=torch.float64)
    target = torch.zeros(rows, labels, dtype=torch.bool)
    target[:, :positives] = True
    others = _lse_zero(drawn.masked_fill(target, -torch.inf))
    among = torch.logsumexp(drawn.masked_fill(~target, -torch.inf), dim=1)
    at = {"value_gap": float(most), "gradient_gap": float(most), "reversed_gap": float(most)}
    found: set[str] = set()
    for number in range(int(most / STEP) + 1):
        gap = STEP * number
        scores = torch.where(target, drawn + (others - among + gap)[:, None], drawn).to(run.dtype)
        value, gradient = _of_rows(loss, scores.to(run.device), target.to(run.device))
        true_value, true_gradient = definition(scores.double(), target)
        size = torch.linalg.vector_norm(true_gradient, dim=1)
        error = torch.linalg.vector_norm(gradient - true_gradient, dim=1) / size
        # Descent must raise the score of every positive, so no gradient there may be above 0.
        upside_down = ((gradient > FAILED) & target).any(dim=1)
        failures = {
            "value_gap": ~((value - true_value).abs() <= FAILED),
            "gradient_gap": ~(error <= FAILED),
            "reversed_gap": upside_down,
        }
        for name, failed in failures.items():
            if name not in found and failed.double().mean() >= 0.1:
                at[name] = gap
                found.add(name)
        run.log(number, value_error=(value - true_value).abs().nan_to_num(1e3, 1e3).median().item())
        run.progress(number, most / STEP)
    return at


def definition(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Value [N] and gradient [N, C] of log(1 + sum_N e^s) + log(1 + sum_P e^-s) in float64, written out.

    >>> value, gradient = definition(torch.tensor([[0.0, 0.0]]).double(), torch.tensor([[True, False]]))
    >>> value.item(), gradient.tolist()  # 2 log 2
    (1.3862943611198906, [[-0.5, 0.5]])
    """
    negative = _lse_zero(logits.masked_fill(target, -torch.inf))
    positive = _lse_zero((-logits).masked_fill(~target, -torch.inf))
    gradient = torch.where(target, -torch.exp(-logits - positive[:, None]), torch.exp(logits - negative[:, None]))
    return negative + positive, gradient


def _lse_zero(scores: Tensor) -> Tensor:
    return torch.logsumexp(torch.cat([torch.zeros_like(scores[:, :1]), scores], dim=1), dim=1)


def _of_rows(loss: Loss, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Value [N] and gradient [N, C] of each row on its own, float64 on the CPU.

    A loss with ``rows`` gives all values at once; any other is called row by row.
    """
    logits = logits.detach().requires_grad_()
    values = (
        loss.rows(logits, target)
        if hasattr(loss, "rows")
        else torch.stack([loss(logits[row : row + 1], target[row : row + 1]) for row in range(len(logits))])
    )
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    return values.detach().cpu().double(), gradient.cpu().double()


def _off(found: Tensor, true: Tensor) -> Tensor:
    """Rows where anything differs by more than the tolerance, or is not finite."""
    close = (found - true).abs() <= TOLERANCE * (1 + true.abs())
    return ~(close if close.dim() == 1 else close.all(dim=1))
