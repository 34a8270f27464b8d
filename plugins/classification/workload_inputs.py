"""Batches of logits and targets, on which classification losses are checked and timed."""

from __future__ import annotations

import torch
from torch import Tensor

from harness_plugins.classification.losses import Loss

#: Distance of the winning logit of an extreme row above the others: its probability is 1 in every dtype.
SURE = 100.0


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int, classes: int
) -> tuple[Tensor, Tensor]:
    """Logits [rows, classes], the target's about two above the others, and targets [rows].

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same rows.
    """
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64, device=generator.device)
    target = torch.randint(classes, (rows,), generator=generator, device=generator.device)
    logits[torch.arange(rows, device=generator.device), target] += 2
    return logits.to(device, dtype).requires_grad_(), target.to(device)


def right(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int, classes: int
) -> tuple[Tensor, Tensor]:
    """The same with all of the probability on the target."""
    return _sure(inputs(generator, device, dtype, rows, classes), shift=0)


def wrong(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int, classes: int
) -> tuple[Tensor, Tensor]:
    """The same with all of the probability on the class after the target."""
    return _sure(inputs(generator, device, dtype, rows, classes), shift=1)


def _sure(batch: tuple[Tensor, Tensor], shift: int) -> tuple[Tensor, Tensor]:
    logits, target = batch[0].detach().clone(), batch[1]
    winner = (target + shift) % logits.shape[1]
    logits.scatter_add_(1, winner[:, None], logits.new_full((len(target), 1), SURE))
    return logits.requires_grad_(), target


def call(loss: Loss, logits: Tensor, target: Tensor) -> Tensor:
    """The scalar that is differentiated."""
    return loss(logits, target)


def least_bytes(itemsize: int, rows: int, classes: int) -> int:
    """Logits and targets (int64) are read once, the logits' gradient is written once."""
    return 2 * rows * classes * itemsize + 8 * rows


def least_flops(rows: int, classes: int) -> int:
    """For each logit: subtract the largest, exponential, sum, divide, and multiply by the mean's 1 / rows."""
    return 5 * rows * classes
