"""What span scorers are checked and timed on: hidden states of a batch of texts to the loss, forward and backward.

The weights are always the same: drawn from one seed for the size, so that two scorers with the same layers compute the
same function.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from harness_plugins.efficient_global_pointer.heads import EfficientGlobalPointer
from harness_plugins.efficient_global_pointer.spans import SpanScorer

#: Entities of a text, and how many tokens one has at most.
ENTITIES, LONGEST = 6, 8
#: Length of queries and keys, which the methods have by default.
SIZE = 64

#: The scorers made for a size, dtype and device, so that making them is not timed.
_MADE: WeakKeyDictionary[Any, dict[tuple[object, ...], Any]] = WeakKeyDictionary()


def inputs(
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
    batch: int,
    types: int,
    length: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states [batch, length, width], a mask, spans and the number of types; texts fill half or more.

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same numbers.
    """
    hidden, mask, spans = draw_texts(generator, batch, types, length, width)
    return _as(device, dtype, hidden, mask, spans, types)


def huge_scores(
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
    batch: int,
    types: int,
    length: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States ten times as large: scores of hundreds of nats."""
    hidden, mask, spans = draw_texts(generator, batch, types, length, width)
    return _as(device, dtype, 10 * hidden, mask, spans, types)


def positives_dominate(
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
    batch: int,
    types: int,
    length: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States for which Efficient GlobalPointer scores the spans 50 nats above all others; each has every type.

    One query and one key are set for each span, in a direction of its own, all others are zero. For another kind of
    scorer these are merely other states.
    """
    hidden, mask, spans = draw_texts(generator, batch, types, length, width)
    head = _fresh(EfficientGlobalPointer(types, width, rope=False), types, width, torch.float64, torch.device("cpu"))
    wanted = torch.zeros(batch, length, 2 * SIZE, dtype=torch.float64)
    cells = torch.unique(spans[:, [0, 2, 3]].cpu(), dim=0)
    lead = (50 * SIZE**0.5) ** 0.5
    for number, (text, start, end) in enumerate(cells.tolist()):
        direction = number % (SIZE // 2)
        for token, first in ((start, 0), (end, 1)):
            # The scorer turns this plane by token * 10000^(-2 plane / d): turned back here.
            angle = torch.tensor(-token * 10000.0 ** (-2 * direction / SIZE), dtype=torch.float64)
            wanted[text, token, 4 * direction + first] = lead * angle.cos()
            wanted[text, token, 4 * direction + 2 + first] = lead * angle.sin()
    inverse = torch.linalg.pinv(head.shared.weight.detach())
    states = (wanted @ inverse.T).to(hidden.device)
    every = torch.cartesian_prod(torch.arange(len(cells)), torch.arange(types))
    all_types = torch.stack([*cells[every[:, 0]].T, every[:, 1]])[[0, 3, 1, 2]].T.to(hidden.device)
    return _as(device, dtype, states, mask, all_types, types)


def one_token(
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
    batch: int,
    types: int,
    length: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Everything masked but one token of each text, which is an entity of the first type in every other one."""
    hidden, mask, _ = draw_texts(generator, batch, types, length, width)
    only = torch.zeros_like(mask)
    only[:, length // 2] = True
    texts = torch.arange(0, batch, 2, device=mask.device)
    middle = torch.full_like(texts, length // 2)
    spans = torch.stack([texts, torch.zeros_like(texts), middle, middle], dim=1)
    return _as(device, dtype, hidden, only, spans, types)


def no_spans(
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
    batch: int,
    types: int,
    length: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Texts without an entity."""
    hidden, mask, spans = draw_texts(generator, batch, types, length, width)
    return _as(device, dtype, hidden, mask, spans[:0], types)


def call(scorer: SpanScorer, hidden: Tensor, mask: Tensor, spans: Tensor, types: Tensor) -> Tensor:
    """The loss of the scorer made for these states and types."""
    count, width = int(types), hidden.shape[-1]
    made = _MADE.setdefault(scorer, {})
    key = (count, width, hidden.dtype, hidden.device)
    if key not in made:
        made[key] = _fresh(scorer, count, width, hidden.dtype, hidden.device)
    value: Tensor = made[key].loss(hidden, mask, spans)
    return value


def least_bytes(itemsize: int, batch: int, types: int, length: int, width: int) -> int:  # noqa: ARG001
    """States of texts' tokens read once, all states' gradient written once. No score needs to reach memory."""
    return round(batch * (mean_tokens(length) + length) * width * itemsize)


def least_flops(batch: int, types: int, length: int, width: int) -> int:
    """Efficient GlobalPointer's products, forward and backward to the states, for texts of average length.

    States with the weights of query and key, once forward and once back, as weights are not differentiated; queries
    with keys, pairs in order alone, and for each type what its starts and ends add to those pairs' exponentials, once
    forward and twice back, as both factors are differentiated.
    """
    projected = 2 * batch * mean_tokens(length) * width * 2 * SIZE
    paired = 2 * batch * mean_cells(length) * (SIZE + types)
    return round(2 * projected + 3 * paired)


def mean_tokens(length: int) -> float:
    """Tokens of a text, on average."""
    return (length + (length + 1) // 2) / 2


def mean_cells(length: int) -> float:
    """Cells (start, end) of a text, on average.

    >>> mean_cells(2)  # texts of one token and of two
    2.0
    """
    lengths = range((length + 1) // 2, length + 1)
    return sum(n * (n + 1) // 2 for n in lengths) / len(lengths)


def draw_texts(
    generator: torch.Generator, batch: int, types: int, length: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """States [batch, length, width] of variance 1 in float64, a mask of texts that fill half or more, and spans."""
    place = generator.device
    hidden = torch.randn(batch, length, width, generator=generator, dtype=torch.float64, device=place)

    def number(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator, device=place)

    lengths = number((length + 1) // 2, length + 1, batch)
    mask = torch.arange(length, device=place) < lengths[:, None]
    text = torch.arange(batch, device=place).repeat_interleave(ENTITIES)
    start = (torch.rand(len(text), generator=generator, device=place) * lengths[text]).long()
    end = torch.minimum(start + number(0, LONGEST, len(text)), lengths[text] - 1)
    return hidden, mask, torch.stack([text, number(0, types, len(text)), start, end], dim=1)


def _as(
    device: torch.device, dtype: torch.dtype, hidden: Tensor, mask: Tensor, spans: Tensor, types: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        hidden.to(device, dtype).requires_grad_(),
        mask.to(device),
        spans.to(device),
        torch.tensor(types),
    )


def _fresh(scorer: Any, types: int, width: int, dtype: torch.dtype, device: torch.device) -> Any:
    return scorer.fresh(width, types, torch.Generator().manual_seed(0)).to(device, dtype)
