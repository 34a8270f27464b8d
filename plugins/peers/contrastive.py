"""NT-Xent (InfoNCE with the other rows of both views as negatives) from packages and from torch's compiler."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from harness_plugins.flatnce.losses import CrossEntropyInfoNCE, unit_rows
from harness_plugins.peers.packages import import_from

#: ``loss(view_a, view_b)``, both [B, d], rows paired, not yet normalised, to a scalar.
ContrastiveLoss = Callable[[Tensor, Tensor], Tensor]


def lightly_nt_xent(temperature: float = 0.1) -> ContrastiveLoss:
    """``lightly.loss.NTXentLoss`` without a memory bank. Raises ImportError where lightly is not installed."""
    loss: ContrastiveLoss = import_from("lightly.loss.ntx_ent_loss", "lightly").NTXentLoss(temperature=temperature)
    return loss


def metric_learning_nt_xent(temperature: float = 0.1) -> ContrastiveLoss:
    """``pytorch_metric_learning.losses.NTXentLoss`` of all rows, labelled by their pair.

    It compares every positive pair with a row of all scores: memory grows with the cube of the batch.
    Raises ImportError where the package is not installed.
    """
    losses = import_from("pytorch_metric_learning.losses", "pytorch-metric-learning")
    of_rows = losses.NTXentLoss(temperature=temperature)

    def loss(view_a: Tensor, view_b: Tensor) -> Tensor:
        unit_rows(view_a, view_b)  # Checks the shapes.
        value: Tensor = of_rows(torch.cat([view_a, view_b]), torch.arange(len(view_a), device=view_a.device).repeat(2))
        return value

    return loss


def compiled_cross_entropy(temperature: float = 0.1) -> ContrastiveLoss:
    """The plugin's own softmax cross-entropy of all scores, through ``torch.compile``.

    The first call of a shape, dtype and device compiles, which takes many seconds and needs a C++ compiler.
    """
    loss: ContrastiveLoss = torch.compile(CrossEntropyInfoNCE(temperature).__call__)
    return loss
