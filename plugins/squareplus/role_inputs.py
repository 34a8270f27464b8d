"""Inputs of one call of an activation."""

from __future__ import annotations

import torch
from torch import Tensor


def elements(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> tuple[Tensor]:
    """Numbers [rows, 4] around zero. Drawn in float64 and then rounded: every dtype gets the same numbers."""
    drawn = 3 * torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    return (drawn.to(device, dtype).requires_grad_(),)
