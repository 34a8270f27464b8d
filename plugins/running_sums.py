"""Running sums that are the same bits each time on a GPU, where torch's own are not and raise RuntimeError."""

from __future__ import annotations

import torch
from torch import Tensor

#: Numbers that one row of a triangular matrix adds up.
BLOCK = 256


def running_sum(values: Tensor) -> Tensor:
    """Sums of ``values`` [..., N] up to and with each, along the last dimension: [..., N], floating.

    ``values.cumsum(-1)``, but for a GPU under ``torch.use_deterministic_algorithms(True)``, where that raises.

    >>> running_sum(torch.tensor([1.0, 2.0, 4.0]))
    tensor([1., 3., 7.])
    """
    if values.device.type == "cuda" and torch.are_deterministic_algorithms_enabled():
        return blocked_running_sum(values)
    return values.cumsum(-1)


def blocked_running_sum(values: Tensor) -> Tensor:
    """The same by matrix products alone: within blocks of 256, then, in turn, over the blocks' sums.

    Nothing is ever subtracted, so that sums of positive numbers keep their relative accuracy, whatever their range.
    A number that is not finite spoils its whole block.

    >>> blocked_running_sum(torch.ones(1000))[[0, 255, 256, 999]]
    tensor([   1.,  256.,  257., 1000.])
    """
    *leading, count = values.shape
    size = min(count, BLOCK)
    if count < 2:
        return values.clone()
    blocks = -(-count // size)
    padded = torch.nn.functional.pad(values, (0, blocks * size - count)).view(*leading, blocks, size)
    within = padded @ values.new_ones(size, size).triu()
    if blocks > 1:
        before = blocked_running_sum(within[..., :-1, -1])
        within = within + torch.nn.functional.pad(before, (1, 0)).unsqueeze(-1)
    return within.view(*leading, blocks * size)[..., :count]
