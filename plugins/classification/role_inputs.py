"""Inputs of one call of a classification loss."""

from __future__ import annotations

import torch
from torch import Tensor

#: Classes of the inputs.
CLASSES = 4


def logits_and_classes(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int
) -> tuple[Tensor, Tensor]:
    """Logits [rows, 4] and the right classes [rows]. Drawn in float64: every dtype gets the same numbers, rounded."""
    logits = torch.randn(rows, CLASSES, generator=generator, dtype=torch.float64).to(device, dtype).requires_grad_()
    return logits, torch.randint(CLASSES, (rows,), generator=generator).to(device)
