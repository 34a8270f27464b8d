"""The few cells that are positive for some type: their places, their scores, and their part of the gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Query, key [B, L, d], start and end [B, T, L]: the four inputs of the loss, or their gradients."""

    query: Tensor
    key: Tensor
    start: Tensor
    end: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """The real tokens of B samples, ranked by length, the longest first."""

    #: bool [B, L].
    mask: Tensor
    #: [B]: the sample at each rank.
    order: Tensor
    #: By rank: one more than the place of the last token, and the number of tokens.
    lengths: list[int]
    tokens: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The P distinct cells that are positive for some type, ordered by the rank of their samples."""

    #: [P] each: the place of the cell.
    sample: Tensor
    rank: Tensor
    start: Tensor
    end: Tensor
    #: [P, T]: the types that the cell is positive for; it is negative for all others.
    positive: Tensor
    #: Number of cells before each rank, then P: B + 1 numbers.
    before: list[int]


def sort_texts(mask: Tensor) -> Texts:
    """Rank samples by their length. ``mask`` is bool [B, L]."""
    last = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)
    lengths, order = last.sort(descending=True, stable=True)
    lengths_and_tokens = torch.stack([lengths, mask.sum(1)[order]]).tolist()
    return Texts(mask, order, *lengths_and_tokens)


def find_cells(spans: Tensor, texts: Texts, types: int) -> Cells:
    """The distinct cells of ``spans`` [S, 4]. Raises ValueError naming the first row that is not a span."""
    mask, order = texts.mask, texts.order
    samples, length = mask.shape
    if spans.dim() != 2 or spans.shape[1] != 4 or spans.is_floating_point():
        raise ValueError(f"spans {list(spans.shape)} of {spans.dtype}: integers [S, 4] are needed")
    rows = spans.to(mask.device, torch.long)
    limits = (samples, types, length, length)
    inside = ((rows >= 0) & (rows < rows.new_tensor(limits))).all(1) & (rows[:, 2] <= rows[:, 3])
    sample, kind, start, end = rows.where(inside[:, None], 0).unbind(1)
    valid = inside & mask[sample, start] & mask[sample, end]
    if not valid.all():
        row = int((~valid).nonzero()[0])
        raise ValueError(
            f"spans {list(spans.shape)}: row {row} is {spans[row].tolist()}; (sample, type, start, end) below"
            f" {limits} with start <= end, both tokens in the mask, is needed"
        )
    ranks = torch.arange(samples + 1, device=order.device)
    rank = torch.empty_like(order).index_copy_(0, order, ranks[:-1])
    cell, inverse = torch.unique((rank[sample] * length + start) * length + end, return_inverse=True)
    positive = torch.zeros(len(cell), types, dtype=torch.bool, device=mask.device)
    positive[inverse, kind] = True
    cell_rank = cell // length**2
    before = torch.searchsorted(cell_rank, ranks).tolist()
    return Cells(order[cell_rank], cell_rank, cell // length % length, cell % length, positive, before)


def cell_scores(parts: Parts, cells: Cells) -> Tensor:
    """The scores of the cells for every type [P, T], float64."""
    query, key = parts.query[cells.sample, cells.start].double(), parts.key[cells.sample, cells.end].double()
    biases = parts.start.mT[cells.sample, cells.start].double() + parts.end.mT[cells.sample, cells.end].double()
    return (query * key).sum(1, keepdim=True) + biases


def add_cells(gradients: Parts, parts: Parts, cells: Cells, slope: Tensor) -> None:
    """Add to the inputs' ``gradients`` the part of the cells' scores, whose own gradient is ``slope`` [P, T]."""
    sample, start, end = cells.sample, cells.start, cells.end
    slope = slope.to(gradients.query.dtype)
    summed = slope.sum(1, keepdim=True)
    gradients.query.index_put_((sample, start), summed * parts.key[sample, end], accumulate=True)
    gradients.key.index_put_((sample, end), summed * parts.query[sample, start], accumulate=True)
    gradients.start.mT.index_put_((sample, start), slope, accumulate=True)
    gradients.end.mT.index_put_((sample, end), slope, accumulate=True)
