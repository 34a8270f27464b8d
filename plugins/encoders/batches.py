"""Which rows make a batch: in random order, and where asked for, with others of about their length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def batches(lengths: Sequence[int], batch_size: int, generator: torch.Generator, bucket: int = 1) -> Iterator[Tensor]:
    """Row numbers (int64) of the batches of one epoch: every row once, the last batch may be smaller.

    With ``bucket`` above 1 so many batches are sorted by ``lengths`` together before they are cut, and then come
    in random order: less padding, but a batch then holds rows of like length, which a loss that compares the rows
    of a batch does see.

    >>> [b.tolist() for b in batches([5, 1, 4, 2], 2, torch.Generator().manual_seed(0), bucket=2)]
    [[1, 3], [2, 0]]
    """
    order = torch.randperm(len(lengths), generator=generator)
    if bucket == 1:
        yield from torch.split(order, batch_size)
        return
    by_length = torch.tensor(lengths)
    cut = [
        part
        for chunk in torch.split(order, bucket * batch_size)
        for part in torch.split(chunk[by_length[chunk].argsort(stable=True)], batch_size)
    ]
    yield from (cut[number] for number in torch.randperm(len(cut), generator=generator).tolist())
