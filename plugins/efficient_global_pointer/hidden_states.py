"""Inputs of the workload ner/spans: hidden states of a batch of texts, from which a scorer computes its loss.

The scorer's weights are always drawn from the same seed, so that two scorers with the same layers compute the same
function.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness_plugins.efficient_global_pointer.drawn_texts import draw_texts, mean_cells, mean_tokens, one_token_each
from harness_plugins.efficient_global_pointer.heads import EfficientGlobalPointer
from harness_plugins.efficient_global_pointer.scorer_cache import scorer_for
from harness_plugins.efficient_global_pointer.spans import SpanScorer

#: Length of queries and keys, the methods' default.
SIZE = 64

#: Hidden states [batch, length, width], mask [batch, length], spans [S, 4] and the number of types.
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def inputs(generator: torch.Generator, device: torch.device, dtype: torch.dtype, types: int, **size: int) -> Inputs:
    """States of variance 1, a mask of texts that fill half or more, and spans. ``size``: batch, length and width."""
    hidden, mask, spans = draw_texts(generator, types=types, **size)
    return _inputs(device, dtype, hidden, mask, spans, types)


def huge_scores(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, types: int, **size: int
) -> Inputs:
    """States ten times as large: scores of hundreds of nats."""
    hidden, mask, spans = draw_texts(generator, types=types, **size)
    return _inputs(device, dtype, 10 * hidden, mask, spans, types)


def positives_dominate(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, types: int, **size: int
) -> Inputs:
    """States for which Efficient GlobalPointer scores the spans 50 nats above all others; each has every type.

    One query and one key are set for each span, in a direction of its own; all others are zero. For another kind of
    scorer these are ordinary states.
    """
    hidden, mask, spans = draw_texts(generator, types=types, **size)
    batch, length, width = hidden.shape
    scorer = EfficientGlobalPointer(types, width, rope=False)
    head = scorer_for(scorer, width, types, torch.float64, torch.device("cpu"))
    target = torch.zeros(batch, length, 2 * SIZE, dtype=torch.float64)
    cells = torch.unique(spans[:, [0, 2, 3]].cpu(), dim=0)
    lead = (50 * SIZE**0.5) ** 0.5
    for number, (text, start, end) in enumerate(cells.tolist()):
        direction = number % (SIZE // 2)
        for token, first in ((start, 0), (end, 1)):
            # The scorer rotates this plane by token * 10000^(-2 plane / d): rotated back here.
            angle = torch.tensor(-token * 10000.0 ** (-2 * direction / SIZE), dtype=torch.float64)
            target[text, token, 4 * direction + first] = lead * angle.cos()
            target[text, token, 4 * direction + 2 + first] = lead * angle.sin()
    inverse = torch.linalg.pinv(head.shared.weight.detach())
    states = (target @ inverse.T).to(hidden.device)
    cell_and_type = torch.cartesian_prod(torch.arange(len(cells)), torch.arange(types))
    all_types = torch.stack([*cells[cell_and_type[:, 0]].T, cell_and_type[:, 1]])[[0, 3, 1, 2]].T.to(hidden.device)
    return _inputs(device, dtype, states, mask, all_types, types)


def one_token(generator: torch.Generator, device: torch.device, dtype: torch.dtype, types: int, **size: int) -> Inputs:
    """Texts of one token each; in every other text it is an entity of the first type."""
    hidden, mask, _ = draw_texts(generator, types=types, **size)
    return _inputs(device, dtype, hidden, *one_token_each(mask), types)


def no_spans(generator: torch.Generator, device: torch.device, dtype: torch.dtype, types: int, **size: int) -> Inputs:
    """Texts without an entity."""
    hidden, mask, spans = draw_texts(generator, types=types, **size)
    return _inputs(device, dtype, hidden, mask, spans[:0], types)


def call(scorer: SpanScorer, hidden: Tensor, mask: Tensor, spans: Tensor, types: Tensor) -> Tensor:
    """The loss of the scorer, made anew for these states and types."""
    head = scorer_for(scorer, hidden.shape[-1], int(types), hidden.dtype, hidden.device)
    value: Tensor = head.loss(hidden, mask, spans)
    return value


def least_bytes(itemsize: int, batch: int, types: int, length: int, width: int) -> int:  # noqa: ARG001
    """States of real tokens are read once, the gradient of all states is written once; no score reaches memory."""
    return round(batch * (mean_tokens(length) + length) * width * itemsize)


def least_flops(batch: int, types: int, length: int, width: int) -> int:
    """Efficient GlobalPointer's products, forward and backward to the states, for texts of average length.

    States with the weights of query and key, once forward and once backward, as weights are not differentiated. And
    queries with keys, for ordered pairs only, and each type's starts and ends with those pairs' exponentials, once
    forward and twice backward, as both factors are differentiated.
    """
    projected = 2 * batch * mean_tokens(length) * width * 2 * SIZE
    paired = 2 * batch * mean_cells(length) * (SIZE + types)
    return round(2 * projected + 3 * paired)


# One parameter for each part of ``Inputs``, after device and dtype.
def _inputs(
    device: torch.device, dtype: torch.dtype, hidden: Tensor, mask: Tensor, spans: Tensor, types: int
) -> Inputs:
    return hidden.to(device, dtype).requires_grad_(), mask.to(device), spans.to(device), torch.tensor(types)
