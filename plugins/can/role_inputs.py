"""Inputs of a refiner of probabilities, and how it is fitted and called."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def probabilities_and_prior(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int
) -> tuple[Tensor, Tensor]:
    """Probabilities [rows, 3] that sum to one in each row, and the frequencies of the classes [3].

    Drawn in float64 and then rounded: every dtype gets the same numbers.
    """
    prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    probabilities = (2 * torch.randn(rows, 3, generator=generator, dtype=torch.float64)).softmax(dim=1)
    # Some refiners need at least one sure row.
    probabilities[:1] = torch.tensor([0.98, 0.01, 0.01], dtype=torch.float64)
    return probabilities.to(device, dtype), prior.to(device, dtype)


def refine(refiner: Any, inputs: tuple[Tensor, Tensor]) -> Any:
    """Refine the rows, after fitting them with their likeliest classes as labels if the refiner has ``fit``."""
    probabilities, prior = inputs
    if hasattr(refiner, "fit") and len(probabilities):
        refiner = refiner.fit(probabilities, probabilities.argmax(dim=1), prior)
    return refiner(probabilities, prior)
