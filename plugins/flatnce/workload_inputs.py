"""Batches of two views' projections, on which contrastive losses are checked and timed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, dimension: int
) -> tuple[Tensor, Tensor]:
    """Two views [batch, dimension], the second near the first, like those of a half-trained encoder.

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same rows.
    """
    view_a, other = _draw(generator, 2, batch, dimension)
    return _views(view_a, view_a + 0.5 * other, device, dtype)


def collapsed(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, dimension: int
) -> tuple[Tensor, Tensor]:
    """All rows of both views within a tenth of one direction: every cosine is near 1."""
    near_a, near_b = _draw(generator, 2, batch, dimension)
    direction = _draw(generator, dimension)
    return _views(direction + 0.1 * near_a, direction + 0.1 * near_b, device, dtype)


def separated(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, dimension: int
) -> tuple[Tensor, Tensor]:
    """Positives with a cosine of nearly 1, as at the end of training."""
    view_a, other = _draw(generator, 2, batch, dimension)
    return _views(view_a, view_a + 0.01 * other, device, dtype)


def uneven_lengths(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, dimension: int
) -> tuple[Tensor, Tensor]:
    """The rows of ``inputs``, each times a factor from 0.001 to 1,000."""
    view_a, other = _draw(generator, 2, batch, dimension)
    lengths = 10 ** _draw(generator, 2, batch, 1).clamp(-3, 3)
    return _views(lengths[0] * view_a, lengths[1] * (view_a + 0.5 * other), device, dtype)


def _draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64, device=generator.device)


def _views(view_a: Tensor, view_b: Tensor, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return view_a.to(device, dtype).requires_grad_(), view_b.to(device, dtype).requires_grad_()


def call(loss: Callable[[Tensor, Tensor], Tensor], view_a: Tensor, view_b: Tensor) -> Tensor:
    """The scalar that is differentiated."""
    return loss(view_a, view_b)


def least_bytes(itemsize: int, batch: int, dimension: int) -> int:
    """Both views are read once, both gradients are written once. No score needs to reach memory."""
    return 4 * batch * dimension * itemsize


def least_flops(batch: int, dimension: int) -> int:
    """Multiplications and additions of the matrix products of all 2 batch rows with each other.

    The scores are symmetric: half of (2 batch)^2 dot products of 2 dimension operations are needed. Their gradient
    times the rows is one more product, of (2 batch)^2 * 2 dimension operations.
    """
    return 3 * (2 * batch) ** 2 * dimension
