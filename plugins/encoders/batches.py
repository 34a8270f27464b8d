"""Which rows form a batch: random ones, or rows of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def batches(lengths: Sequence[int], batch_size: int, generator: torch.Generator, bucket: int = 1) -> Iterator[Tensor]:
    """Row numbers (int64) of each batch of one epoch. Every row comes once; the last batch may be smaller.

    ``bucket`` > 1 sorts the rows of that many batches by ``lengths``, cuts them into batches and shuffles the batches.
    That saves padding, but rows of one batch then have similar lengths, which a loss that compares them can notice.

    >>> [b.tolist() for b in batches([5, 1, 4, 2], 2, torch.Generator().manual_seed(0), bucket=2)]
    [[1, 3], [2, 0]]
    """
    order = torch.randperm(len(lengths), generator=generator)
    if bucket == 1:
        yield from torch.split(order, batch_size)
        return
    length_of = torch.tensor(lengths)
    by_length = [
        batch
        for chunk in torch.split(order, bucket * batch_size)
        for batch in torch.split(chunk[length_of[chunk].argsort(stable=True)], batch_size)
    ]
    yield from (by_length[number] for number in torch.randperm(len(by_length), generator=generator).tolist())
