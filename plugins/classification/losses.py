"""Cross-entropy as a classification loss."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy() -> Loss:
    """A function ``loss(logits [N, C], target int64 [N])``: the mean of -log softmax(logits)[target], in nats.

    The loss raises ValueError for other shapes, and for N = 0.

    >>> import torch
    >>> cross_entropy()(torch.zeros(2, 4), torch.tensor([0, 3]))  # log(4)
    tensor(1.3863)
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        if logits.dim() != 2 or target.shape != logits.shape[:1] or len(logits) == 0:
            shapes = f"logits {list(logits.shape)} and target {list(target.shape)}"
            raise ValueError(f"{shapes}: [N, C] and [N] with N >= 1 are needed")
        return F.cross_entropy(logits, target)

    return loss
