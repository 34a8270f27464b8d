"""What a refiner is checked and timed on: many unsure rows to be corrected against many sure ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: The least traffic is counted for float32, whatever dtype is timed.
ITEM_BYTES = 4


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, confident: int, unconfident: int, classes: int
) -> tuple[Tensor, Tensor]:
    """Probabilities [confident + unconfident, classes] in a random order, and an uneven prior [classes].

    A confident row has one peak and a top-3 entropy well below 0.9, an unconfident row three peaks that are
    nearly alike and one well above. Drawn in float64 on the generator's device and then rounded, so that every
    dtype and device gets the same rows, split in the same way.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64, device=generator.device)

    count = confident + unconfident
    weights = 0.2 + uniform(count, classes)
    order = uniform(count, classes).argsort(dim=1)
    weights[:confident].scatter_(1, order[:confident, :1], float(2 * classes))
    peaks = classes * (1 + 0.2 * uniform(unconfident, min(3, classes)))
    weights[confident:].scatter_(1, order[confident:, :3], peaks)
    rows = weights / weights.sum(dim=1, keepdim=True)
    rows = rows[uniform(count).argsort()]
    prior = 1 + uniform(classes)
    prior = prior / prior.sum()
    return rows.to(device, dtype).requires_grad_(), prior.to(device, dtype)


def call(refine: Callable[[Tensor, Tensor], Tensor], probabilities: Tensor, prior: Tensor) -> Tensor:
    """A scalar to differentiate: how near the refined rows come to the prior."""
    return (refine(probabilities, prior) * prior).sum()


def least_bytes(confident: int, unconfident: int, classes: int) -> int:
    """Every probability and the prior read once, every refined row written once, and the same for the gradient."""
    return 2 * (2 * (confident + unconfident) + 1) * classes * ITEM_BYTES


def least_flops(confident: int, unconfident: int, classes: int) -> int:
    """One step with alpha = 1, forward: the sure rows' column sums, shared by all unsure rows, and for each of
    these the sum, the quotient, two products and its own sum for each class."""
    return classes * (confident + 5 * unconfident)
