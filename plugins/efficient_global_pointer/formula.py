"""The two-term loss written out in float64, and value and gradient of any multi-label loss row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: A multi-label loss: logits [N, C] and target [N, C] to a scalar.
Loss = Callable[[Tensor, Tensor], Tensor]


def two_term_loss(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Value [N] and gradient [N, C] of log(1 + sum_N e^s) + log(1 + sum_P e^-s) in float64.

    >>> value, gradient = two_term_loss(torch.tensor([[0.0, 0.0]]).double(), torch.tensor([[True, False]]))
    >>> value.item(), gradient.tolist()  # 2 log 2
    (1.3862943611198906, [[-0.5, 0.5]])
    """
    negative = log_one_plus_sum(logits.masked_fill(target, -torch.inf))
    positive = log_one_plus_sum((-logits).masked_fill(~target, -torch.inf))
    gradient = torch.where(target, -torch.exp(-logits - positive[:, None]), torch.exp(logits - negative[:, None]))
    return negative + positive, gradient


def log_one_plus_sum(scores: Tensor) -> Tensor:
    """log(1 + sum e^s) of each row, [N]."""
    return torch.logsumexp(torch.cat([torch.zeros_like(scores[:, :1]), scores], dim=1), dim=1)


def value_and_gradient(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Value [N] and gradient [N, C] of ``loss`` on each row, float64 on the CPU.

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
