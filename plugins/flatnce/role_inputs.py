"""Inputs of one call of a contrastive loss."""

from __future__ import annotations

import torch
from torch import Tensor

#: Numbers in a row of a view.
WIDTH = 5


def views(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> tuple[Tensor, Tensor]:
    """Two views [rows, 5] that resemble each other. Drawn in float64 and then rounded, alike for every dtype."""
    first, noise = (
        torch.randn(rows, WIDTH, generator=generator, dtype=torch.float64).to(device, dtype) for _ in range(2)
    )
    second = first + 0.5 * noise
    return first.requires_grad_(), second.requires_grad_()
