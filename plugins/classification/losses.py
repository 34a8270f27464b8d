"""Cross-entropy under the role's protocol, and the batch of logits that losses of the role are checked and timed on."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
#: How far the extreme rows' winning logit lies above the others: its probability is then 1 in every dtype.
SURE = 100.0


def cross_entropy() -> Loss:
    """Gives ``loss(logits [N, C], target int64 [N])``, a scalar in nats: the mean of -log softmax(logits)[target].

    The loss raises ValueError where the shapes are not those, or where there is no row to take a mean of.

    >>> cross_entropy()(torch.zeros(2, 4), torch.tensor([0, 3]))  # log(4)
    tensor(1.3863)
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        if logits.dim() != 2 or target.shape != logits.shape[:1] or len(logits) == 0:
            shapes = f"logits {list(logits.shape)} and target {list(target.shape)}"
            raise ValueError(f"{shapes}: [N, C] and [N] with N >= 1 are needed")
        return F.cross_entropy(logits, target)

    return loss


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int, classes: int
) -> tuple[Tensor, Tensor]:
    """Logits [rows, classes], the right one about two above the rest, and targets [rows].

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same rows.
    """
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64, device=generator.device)
    target = torch.randint(classes, (rows,), generator=generator, device=generator.device)
    logits[torch.arange(rows, device=generator.device), target] += 2
    return logits.to(device, dtype).requires_grad_(), target.to(device)


def right(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int, classes: int
) -> tuple[Tensor, Tensor]:
    """The same, with all of the probability on the target."""
    return _sure(inputs(generator, device, dtype, rows, classes), shift=0)


def wrong(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int, classes: int
) -> tuple[Tensor, Tensor]:
    """The same, with all of the probability on the class beside the target."""
    return _sure(inputs(generator, device, dtype, rows, classes), shift=1)


def _sure(drawn: tuple[Tensor, Tensor], shift: int) -> tuple[Tensor, Tensor]:
    logits, target = drawn[0].detach().clone(), drawn[1]
    winner = (target + shift) % logits.shape[1]
    logits.scatter_add_(1, winner[:, None], logits.new_full((len(target), 1), SURE))
    return logits.requires_grad_(), target


def call(loss: Loss, logits: Tensor, target: Tensor) -> Tensor:
    """The scalar that is differentiated."""
    return loss(logits, target)


def least_bytes(itemsize: int, rows: int, classes: int) -> int:
    """Logits and targets (int64) read once, the logits' gradient written once."""
    return 2 * rows * classes * itemsize + 8 * rows


def least_flops(rows: int, classes: int) -> int:
    """For each logit: subtract the largest, exponential, sum; then divide, and scale by the mean's 1 / rows."""
    return 5 * rows * classes
