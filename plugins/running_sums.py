"""Running sums that are the same bits in every run on a GPU, where ``cumsum`` raises in deterministic mode."""

from __future__ import annotations

import torch
from torch import Tensor

#: Numbers summed by one triangular matrix.
BLOCK = 256


def running_sum(values: Tensor) -> Tensor:
    """Inclusive running sums of ``values`` [..., N] along the last dimension: [..., N], floating.

    ``values.cumsum(-1)``, except on a GPU under ``torch.use_deterministic_algorithms(True)``, where that raises
    RuntimeError.

    >>> running_sum(torch.tensor([1.0, 2.0, 4.0]))
    tensor([1., 3., 7.])
    """
    if values.device.type == "cuda" and torch.are_deterministic_algorithms_enabled():
        return blocked_running_sum(values)
    return values.cumsum(-1)


def blocked_running_sum(values: Tensor) -> Tensor:
    """``running_sum`` from matrix products alone: within blocks of 256, then recursively over the blocks' sums.

    Nothing is ever subtracted, so sums of positive numbers keep their relative accuracy, whatever their range.
    A number that is not finite makes its whole block not finite.

    >>> blocked_running_sum(torch.ones(1000))[[0, 255, 256, 999]]
    tensor([   1.,  256.,  257., 1000.])
    """
    *leading, count = values.shape
    size = min(count, BLOCK)
    if count < 2:
        return values.clone()
    blocks = -(-count // size)
    padded = torch.nn.functional.pad(values, (0, blocks * size - count)).view(*leading, blocks, size)
    sums = padded @ values.new_ones(size, size).triu()
    if blocks > 1:
        previous = blocked_running_sum(sums[..., :-1, -1])
        sums = sums + torch.nn.functional.pad(previous, (1, 0)).unsqueeze(-1)
    return sums.view(*leading, blocks * size)[..., :count]
