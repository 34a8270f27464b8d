"""What a contrastive loss is checked and timed on: a batch of two views' projections, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: The least traffic is counted for float32, whatever dtype is timed.
ITEM_BYTES = 4


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, dimension: int
) -> tuple[Tensor, Tensor]:
    """Two views [batch, dimension], the second near the first, as a half-trained encoder gives them.

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same rows.
    """
    view_a, other = torch.randn(2, batch, dimension, generator=generator, dtype=torch.float64, device=generator.device)
    view_b = view_a + 0.5 * other
    return view_a.to(device, dtype).requires_grad_(), view_b.to(device, dtype).requires_grad_()


def call(loss: Callable[[Tensor, Tensor], Tensor], view_a: Tensor, view_b: Tensor) -> Tensor:
    """The scalar that is differentiated."""
    return loss(view_a, view_b)


def least_bytes(batch: int, dimension: int) -> int:
    """Both views read once, both gradients written once. No score needs to reach memory."""
    return 4 * batch * dimension * ITEM_BYTES


def least_flops(batch: int, dimension: int) -> int:
    """Multiplications and additions of the matrix products with all 2 batch rows against each other.

    The scores are symmetric, so half of (2 batch)^2 dot products of 2 dimension operations are needed; their
    gradient is multiplied with the rows once, which is (2 batch)^2 * 2 dimension more.
    """
    return 3 * (2 * batch) ** 2 * dimension
