"""Inputs of the workload matching/pairs: cosines and labels of a batch of pairs, usual and extreme."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, pairs: int, grades: int
) -> tuple[Tensor, Tensor]:
    """Cosines [pairs] that rise with their labels but overlap, and labels [pairs] of ``grades`` levels from 0 to 1."""
    label = _labels(generator, pairs, grades)
    cosine = 0.4 + 0.4 * label + 0.15 * torch.randn(pairs, generator=generator, device=label.device).double()
    return _leaf_and_label(cosine.clamp(-1, 1), label, device, dtype)


def all_equal(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, pairs: int, grades: int
) -> tuple[Tensor, Tensor]:
    """Equal cosines, as a collapsed encoder gives them."""
    label = _labels(generator, pairs, grades)
    return _leaf_and_label(torch.full_like(label, 0.75), label, device, dtype)


def nearly_equal(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, pairs: int, grades: int
) -> tuple[Tensor, Tensor]:
    """Cosines within a millionth of each other, just below 1."""
    label = _labels(generator, pairs, grades)
    cosine = 1 - 1e-6 * torch.rand(pairs, generator=generator, device=label.device).double()
    return _leaf_and_label(cosine, label, device, dtype)


def separated(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, pairs: int, grades: int
) -> tuple[Tensor, Tensor]:
    """Cosines in the right order, from 0.5 to 0.8, equal for equal labels.

    Farther apart the loss would be so small that the published form rounds it to 0, which is known
    (tests/plugins/test_cosent_ranking.py) and would bar that form from being timed.
    """
    label = _labels(generator, pairs, grades)
    return _leaf_and_label(0.5 + 0.3 * label, label, device, dtype)


def opposite(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, pairs: int, grades: int
) -> tuple[Tensor, Tensor]:
    """Cosines in the wrong order, from 1 to -1: the largest exponentials possible."""
    label = _labels(generator, pairs, grades)
    return _leaf_and_label(1 - 2 * label, label, device, dtype)


def _labels(generator: torch.Generator, pairs: int, grades: int) -> Tensor:
    drawn = torch.randint(grades, (pairs,), generator=generator, device=generator.device)
    return drawn.double() / (grades - 1)


def _leaf_and_label(cosine: Tensor, label: Tensor, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return cosine.to(device, dtype).requires_grad_(), label.to(device, dtype)


def call(loss: Callable[[Tensor, Tensor], Tensor], cosine: Tensor, label: Tensor) -> Tensor:
    """The scalar that is differentiated."""
    return loss(cosine, label)


def least_bytes(itemsize: int, pairs: int, grades: int) -> int:  # noqa: ARG001  the same for any labels
    """Cosines and labels are read once, the gradient is written once."""
    return 3 * pairs * itemsize


def least_flops(pairs: int, grades: int) -> int:  # noqa: ARG001  the same for any labels
    """For each pair: an exponential, its inverse, two running sums, and two products and a difference (gradient)."""
    return 7 * pairs
