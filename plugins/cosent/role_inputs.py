"""Inputs of ranking losses and threshold searches, and what a search must return."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.float64]


def cosines_and_labels(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int
) -> tuple[Tensor, Tensor]:
    """Cosines [rows] and labels [rows] of 0, 1 and 2. Drawn in float64: every dtype gets the same numbers, rounded."""
    cosine = torch.randn(rows, generator=generator, dtype=torch.float64).to(device, dtype).tanh().requires_grad_()
    return cosine, torch.randint(3, (rows,), generator=generator).to(device, dtype)


def scores_and_labels(
    generator: torch.Generator,
    device: torch.device,  # noqa: ARG001  numpy has one device
    dtype: torch.dtype,  # noqa: ARG001  scores are float64
    rows: int,
) -> tuple[Numbers, Numbers]:
    """Scores [rows] and labels [rows] of 0 and 1, of which the larger scores are likelier to have a 1."""
    scores = torch.randn(rows, generator=generator, dtype=torch.float64)
    labels = torch.rand(rows, generator=generator, dtype=torch.float64) < scores.sigmoid()
    return scores.numpy(), labels.double().numpy()


def problem_of_threshold(inputs: tuple[Numbers, Numbers], returned: Any) -> str:  # noqa: ARG001  no input matters
    """What is wrong with a threshold; empty if nothing is."""
    if not isinstance(returned, (float, int, np.floating)):
        return f"returns {type(returned).__name__}; a number is expected"
    return "" if math.isfinite(returned) else f"returns {returned}, which is not finite"
