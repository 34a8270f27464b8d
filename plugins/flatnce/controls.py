"""Controls: two forms of InfoNCE that separate the effect of its weight 1 - p_t from the effect of rounding."""

from __future__ import annotations

import torch
from torch import Tensor

from harness_plugins.flatnce.losses import InfoNCE


class AnchorRescaledInfoNCE(InfoNCE):
    """InfoNCE divided by each anchor's own weight 1 - p_t, as a constant.

    Its exact gradient is that of log xi, computed through InfoNCE's arithmetic. It differs from FlatNCE by
    rounding alone.

    >>> AnchorRescaledInfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))  # log(1 + xi) over xi / (1 + xi)
    tensor(1.1245)
    """

    def value(self, log_xi: Tensor) -> Tensor:
        return super().value(log_xi) / _divisor(torch.sigmoid(log_xi))

    def weight(self, log_xi: Tensor) -> Tensor:
        return torch.ones_like(log_xi)


class BatchRescaledInfoNCE(InfoNCE):
    """InfoNCE divided by the batch's mean weight 1 - p_t, as a constant.

    Steps are as long as FlatNCE's, but within a batch hard anchors still outweigh easy ones as in InfoNCE.

    >>> BatchRescaledInfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))  # equal anchors: each has the mean weight
    tensor(1.1245)
    """

    def value(self, log_xi: Tensor) -> Tensor:
        return super().value(log_xi) / _divisor(torch.sigmoid(log_xi).mean())

    def weight(self, log_xi: Tensor) -> Tensor:
        weight = torch.sigmoid(log_xi)
        return weight / _divisor(weight.mean())


def _divisor(weight: Tensor) -> Tensor:
    """The weight as a constant, at least the smallest normal number: never a division by zero."""
    return weight.detach().clamp_min(torch.finfo(weight.dtype).tiny)
