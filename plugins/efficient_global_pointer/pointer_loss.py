"""What the loss of Efficient GlobalPointer is checked and timed on without layers: queries, keys, starts and ends."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.efficient_global_pointer.spans import SpanScorer
from harness_plugins.efficient_global_pointer.workload import draw_texts, mean_cells, mean_tokens

#: Query, key [B, L, d], start, end [B, T, L], mask [B, L] and spans [S, 4].
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def inputs(
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
    batch: int,
    types: int,
    length: int,
    dimension: int,
) -> Inputs:
    """Four parts of scores, each part of variance 1, a mask and spans; texts fill half or more.

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same numbers.
    """
    return _as(device, dtype, *_drawn(generator, batch, types, length, dimension))


def huge_scores(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """Queries, keys and biases ten times as large: scores of hundreds of nats."""
    query, key, start, end, mask, spans = _drawn(generator, **size)
    return _as(device, dtype, 10 * query, 10 * key, 10 * start, 10 * end, mask, spans)


def positives_dominate(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """The spans score 50 nats, by a direction of their own each, all other cells nothing; each has every type."""
    *parts, mask, spans = _drawn(generator, **size)
    query, key, start, end = (torch.zeros_like(part) for part in parts)
    cells = torch.unique(spans[:, [0, 2, 3]], dim=0)
    text, first, last = cells.T
    direction = torch.arange(len(cells), device=cells.device) % query.shape[2]
    query[text, first, direction] = key[text, last, direction] = 50**0.5
    kind = torch.arange(start.shape[1], device=cells.device).repeat(len(cells))
    text, first, last = cells.repeat_interleave(start.shape[1], dim=0).T
    return _as(device, dtype, query, key, start, end, mask, torch.stack([text, kind, first, last], dim=1))


def one_token(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """Everything masked but one token of each text, which is an entity of the first type in every other one."""
    query, key, start, end, mask, _ = _drawn(generator, **size)
    only = torch.zeros_like(mask)
    only[:, mask.shape[1] // 2] = True
    texts = torch.arange(0, len(mask), 2, device=mask.device)
    middle = torch.full_like(texts, mask.shape[1] // 2)
    spans = torch.stack([texts, torch.zeros_like(texts), middle, middle], dim=1)
    return _as(device, dtype, query, key, start, end, only, spans)


def no_spans(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """Texts without an entity."""
    query, key, start, end, mask, spans = _drawn(generator, **size)
    return _as(device, dtype, query, key, start, end, mask, spans[:0])


def never_meet(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """The best start is each text's last token and the best end its first, by 120 nats: no span has both."""
    query, key, start, end, mask, spans = _drawn(generator, **size)
    start[torch.arange(len(mask), device=mask.device), :, mask.sum(1) - 1] += 120
    end[:, :, 0] += 120
    return _as(device, dtype, query, key, start, end, mask, spans)


def call(
    scorer: SpanScorer, query: Tensor, key: Tensor, start: Tensor, end: Tensor, mask: Tensor, spans: Tensor
) -> Tensor:
    """The scorer's loss of these parts. UsageError for one whose scores are not made of them."""
    loss_of_parts = getattr(scorer, "loss_of_parts", None)
    if loss_of_parts is None:
        raise UsageError("its scores have no query and key that all types share: there is no loss of such parts")
    value: Tensor = loss_of_parts(query, key, start, end, mask, spans)
    return value


def least_bytes(itemsize: int, batch: int, types: int, length: int, dimension: int) -> int:
    """What stands at tokens of texts read once, all gradients written once. No score needs to reach memory."""
    return round(batch * (mean_tokens(length) + length) * 2 * (dimension + types) * itemsize)


def least_flops(batch: int, types: int, length: int, dimension: int) -> int:
    """Queries with keys, and what each type adds to these pairs' exponentials, once forward and twice back."""
    return round(3 * 2 * batch * mean_cells(length) * (dimension + types))


def _drawn(generator: torch.Generator, batch: int, types: int, length: int, dimension: int) -> Inputs:
    both, mask, spans = draw_texts(generator, batch, types, length, 2 * (dimension + types))
    query, key, start, end = torch.split(both, [dimension, dimension, types, types], dim=2)
    # So that their product has variance 1, as each bias has.
    query, key = query / dimension**0.25, key / dimension**0.25
    return query, key, start.mT.contiguous(), end.mT.contiguous(), mask, spans


def _as(
    device: torch.device,
    dtype: torch.dtype,
    query: Tensor,
    key: Tensor,
    start: Tensor,
    end: Tensor,
    mask: Tensor,
    spans: Tensor,
) -> Inputs:
    q, k, u, v = (part.to(device, dtype).requires_grad_() for part in (query, key, start, end))
    return q, k, u, v, mask.to(device), spans.to(device)
