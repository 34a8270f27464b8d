"""Inputs of the workload ner/pointer-loss: queries, keys and the scores of starts and ends, without layers."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.efficient_global_pointer.drawn_texts import draw_texts, mean_cells, mean_tokens, one_token_each
from harness_plugins.efficient_global_pointer.spans import SpanScorer

#: Query, key [B, L, d], start, end [B, T, L], mask [B, L] and spans [S, 4].
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def inputs(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """Four parts of scores, each of variance 1, a mask of texts that fill half or more, and spans."""
    return _inputs(device, dtype, *_draw(generator, **size))


def huge_scores(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """Queries, keys and biases ten times as large: scores of hundreds of nats."""
    query, key, start, end, mask, spans = _draw(generator, **size)
    return _inputs(device, dtype, 10 * query, 10 * key, 10 * start, 10 * end, mask, spans)


def positives_dominate(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """Spans score 50 nats, each by a direction of its own, and all other cells 0; each span has every type."""
    *parts, mask, spans = _draw(generator, **size)
    query, key, start, end = (torch.zeros_like(part) for part in parts)
    cells = torch.unique(spans[:, [0, 2, 3]], dim=0)
    text, first, last = cells.T
    direction = torch.arange(len(cells), device=cells.device) % query.shape[2]
    query[text, first, direction] = key[text, last, direction] = 50**0.5
    kind = torch.arange(start.shape[1], device=cells.device).repeat(len(cells))
    text, first, last = cells.repeat_interleave(start.shape[1], dim=0).T
    return _inputs(device, dtype, query, key, start, end, mask, torch.stack([text, kind, first, last], dim=1))


def one_token(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """Texts of one token each; in every other text it is an entity of the first type."""
    query, key, start, end, mask, _ = _draw(generator, **size)
    return _inputs(device, dtype, query, key, start, end, *one_token_each(mask))


def no_spans(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """Texts without an entity."""
    query, key, start, end, mask, spans = _draw(generator, **size)
    return _inputs(device, dtype, query, key, start, end, mask, spans[:0])


def never_meet(generator: torch.Generator, device: torch.device, dtype: torch.dtype, **size: int) -> Inputs:
    """The best start is each text's last token and the best end its first, by 120 nats: no span has both."""
    query, key, start, end, mask, spans = _draw(generator, **size)
    start[torch.arange(len(mask), device=mask.device), :, mask.sum(1) - 1] += 120
    end[:, :, 0] += 120
    return _inputs(device, dtype, query, key, start, end, mask, spans)


# One parameter for each tensor of ``Inputs``.
def call(
    scorer: SpanScorer, query: Tensor, key: Tensor, start: Tensor, end: Tensor, mask: Tensor, spans: Tensor
) -> Tensor:
    """The scorer's loss of these parts. Raises UsageError for a scorer whose scores have no such parts."""
    loss_of_parts = getattr(scorer, "loss_of_parts", None)
    if loss_of_parts is None:
        raise UsageError("its scores have no query and key that all types share, so it has no loss of such parts")
    value: Tensor = loss_of_parts(query, key, start, end, mask, spans)
    return value


def least_bytes(itemsize: int, batch: int, types: int, length: int, dimension: int) -> int:
    """The parts at real tokens are read once, all gradients are written once; no score reaches memory."""
    return round(batch * (mean_tokens(length) + length) * 2 * (dimension + types) * itemsize)


def least_flops(batch: int, types: int, length: int, dimension: int) -> int:
    """Queries with keys, and each type's parts with these pairs' exponentials, once forward and twice backward."""
    return round(3 * 2 * batch * mean_cells(length) * (dimension + types))


def _draw(generator: torch.Generator, batch: int, types: int, length: int, dimension: int) -> Inputs:
    all_parts, mask, spans = draw_texts(generator, batch, types, length, 2 * (dimension + types))
    query, key, start, end = torch.split(all_parts, [dimension, dimension, types, types], dim=2)
    # So that their product has variance 1, as each bias has.
    query, key = query / dimension**0.25, key / dimension**0.25
    return query, key, start.mT.contiguous(), end.mT.contiguous(), mask, spans


def _inputs(device: torch.device, dtype: torch.dtype, *tensors: Tensor) -> Inputs:
    *parts, mask, spans = tensors
    query, key, start, end = (part.to(device, dtype).requires_grad_() for part in parts)
    return query, key, start, end, mask.to(device), spans.to(device)
