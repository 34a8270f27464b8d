"""Inputs, call and least work of the workload: many unsure rows to refine with many sure ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, confident: int, unconfident: int, classes: int
) -> tuple[Tensor, Tensor]:
    """Probabilities [confident + unconfident, classes] in a random order, and an uneven prior [classes].

    A confident row has one peak and a top-3 entropy well below 0.9; an unconfident row has three nearly equal peaks
    and a top-3 entropy well above 0.9. Drawn in float64 on the generator's device and then rounded: every dtype and
    device gets the same rows, split in the same way.
    """
    rows = _rows(generator, confident, unconfident, classes, peak=2.0 * classes)
    prior = 1 + _uniform(generator, classes)
    return _rounded(rows, prior, device, dtype)


def certain_rows(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, confident: int, unconfident: int, classes: int
) -> tuple[Tensor, Tensor]:
    """Confident rows that have all but a millionth of their weight on one class."""
    rows = _rows(generator, confident, unconfident, classes, peak=1e6 * classes)
    prior = 1 + _uniform(generator, classes)
    return _rounded(rows, prior, device, dtype)


def rare_classes(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, confident: int, unconfident: int, classes: int
) -> tuple[Tensor, Tensor]:
    """The rows of ``inputs``, and a prior whose rarest class may be a millionth as frequent as its most frequent."""
    rows = _rows(generator, confident, unconfident, classes, peak=2.0 * classes)
    prior = 10 ** (-6 * _uniform(generator, classes))
    return _rounded(rows, prior, device, dtype)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, dtype=torch.float64, device=generator.device)


def _rows(generator: torch.Generator, confident: int, unconfident: int, classes: int, peak: float) -> Tensor:
    count = confident + unconfident
    weights = 0.2 + _uniform(generator, count, classes)
    order = _uniform(generator, count, classes).argsort(dim=1)
    # Each class has a confident row, as far as there are enough: a class without one would be a special case.
    first = min(confident, classes)
    order[:first, 0] = torch.arange(first, device=order.device)
    weights[:confident].scatter_(1, order[:confident, :1], peak)
    peaks = classes * (1 + 0.2 * _uniform(generator, unconfident, min(3, classes)))
    weights[confident:].scatter_(1, order[confident:, :3], peaks)
    rows = weights / weights.sum(dim=1, keepdim=True)
    return rows[_uniform(generator, count).argsort()]


def _rounded(rows: Tensor, prior: Tensor, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return rows.to(device, dtype).requires_grad_(), (prior / prior.sum()).to(device, dtype)


def call(refine: Callable[[Tensor, Tensor], Tensor], probabilities: Tensor, prior: Tensor) -> Tensor:
    """A scalar to differentiate: the sum of the refined rows' products with the prior."""
    return (refine(probabilities, prior) * prior).sum()


def least_bytes(itemsize: int, confident: int, unconfident: int, classes: int) -> int:
    """Every probability and the prior read once, every refined row written once, and the same for the gradient."""
    return 2 * (2 * (confident + unconfident) + 1) * classes * itemsize


def least_flops(confident: int, unconfident: int, classes: int) -> int:
    """One step with alpha = 1, forward, for each class: the sure rows' column sum, which all unsure rows share, and
    for each unsure row its column sum, the quotient, two products and its row sum."""
    return classes * (confident + 5 * unconfident)
