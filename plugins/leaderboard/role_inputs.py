"""Inputs of one call of an aggregate of scores."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def scores(
    generator: torch.Generator,
    device: torch.device,  # noqa: ARG001  numpy has one device
    dtype: torch.dtype,  # noqa: ARG001  scores are float64
    rows: int,
) -> tuple[NDArray[np.float64]]:
    """Scores of systems on four tasks, [rows, 4], around 50."""
    return ((50 + 10 * torch.randn(rows, 4, generator=generator, dtype=torch.float64)).numpy(),)
