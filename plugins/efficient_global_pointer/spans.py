"""What every span scorer shares: checking spans, masking what is no span, and reading spans off logits."""

from __future__ import annotations

from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn


class SpanScorer(Protocol):
    """The role ``span-scorer`` (docs/roles.md): logits [B, T, L, L] of hidden states [B, L, D] and a mask [B, L]."""

    types: int
    width: int

    def __call__(self, hidden: Tensor, mask: Tensor) -> Tensor: ...

    def loss(self, hidden: Tensor, mask: Tensor, spans: Tensor) -> Tensor: ...

    def fresh(self, width: int, types: int, generator: torch.Generator | None = None) -> Self: ...


def check_spans(hidden: Tensor, mask: Tensor, spans: Tensor, types: int) -> None:
    """Raise ValueError, naming the row, for a span that is none.

    ``hidden`` [B, L, D], ``mask`` bool [B, L], ``spans`` int64 [M, 4], rows (text, type, start, end).

    >>> check_spans(torch.zeros(1, 3, 2), torch.tensor([[True, True, False]]), torch.tensor([[0, 0, 1, 2]]), types=1)
    Traceback (most recent call last):
    ValueError: spans[0] = [0, 0, 1, 2]: tokens 1 and 2 of text 0 are not both under the mask
    """
    if hidden.dim() != 3:
        raise ValueError(f"hidden has shape {tuple(hidden.shape)}: [B, L, D] is needed")
    if mask.shape != hidden.shape[:2] or mask.dtype != torch.bool:
        raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}: bool {tuple(hidden.shape[:2])} is needed")
    if spans.dim() != 2 or spans.shape[1] != 4 or spans.dtype != torch.int64:
        raise ValueError(f"spans is {spans.dtype} {tuple(spans.shape)}: int64 [M, 4] is needed")
    if not len(spans):
        return
    texts, length = mask.shape
    text, kind, start, end = spans.T
    limits = ((text, texts, "text"), (kind, types, "type"), (start, length, "start"), (end, length, "end"))
    for values, limit, name in limits:
        if len(wrong := ((values < 0) | (values >= limit)).nonzero()):
            row = int(wrong[0])
            raise ValueError(f"spans[{row}] = {spans[row].tolist()}: its {name} must be from 0 to {limit - 1}")
    if len(wrong := (start > end).nonzero()):
        row = int(wrong[0])
        raise ValueError(f"spans[{row}] = {spans[row].tolist()}: it ends before it starts")
    if len(wrong := (~(mask[text, start] & mask[text, end])).nonzero()):
        row = int(wrong[0])
        here = f"tokens {int(start[row])} and {int(end[row])} of text {int(text[row])}"
        raise ValueError(f"spans[{row}] = {spans[row].tolist()}: {here} are not both under the mask")


def allowed_cells(mask: Tensor) -> Tensor:
    """Which pairs (start, end) are spans: mask bool [B, L] to bool [B, L, L], both under the mask and start <= end."""
    return (mask[:, :, None] & mask[:, None, :]).triu()


def multi_hot(spans: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Spans, rows (text, type, start, end), as bool [B, T, L, L]."""
    target = torch.zeros(shape, dtype=torch.bool, device=spans.device)
    target[tuple(spans.T)] = True
    return target


def spans_above(logits: Tensor, threshold: float = 0.0) -> tuple[Tensor, Tensor]:
    """Spans whose logit is above ``threshold``: rows (text, type, start, end) int64 [M, 4] and their logits [M].

    >>> spans_above(torch.tensor([[[[-1.0, 2.0], [-5.0, 1.0]]]]), threshold=1.5)
    (tensor([[0, 0, 0, 1]]), tensor([2.]))
    """
    rows = (logits > threshold).nonzero()
    return rows, logits[tuple(rows.T)]


def linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    """A linear layer with normal weights of variance 1 / inputs (LeCun) and no bias at the start.

    Weights come from ``generator`` alone, or from torch's own where it is None.
    """
    layer = nn.Linear(inputs, outputs)
    if layer.weight.device.type != "meta":
        nn.init.normal_(layer.weight, std=inputs**-0.5, generator=generator)
        nn.init.zeros_(layer.bias)
    return layer


class Scorer(nn.Module):
    """A scorer for ``types`` types on hidden states of ``width``; its weights are drawn when it is made."""

    #: Whether its logits order the spans, so that another threshold than 0 can be better.
    ranks = True

    def __init__(self, types: int, width: int, **settings: Any) -> None:
        super().__init__()
        self.types = types
        self.width = width
        self._settings = settings

    def fresh(self, width: int, types: int, generator: torch.Generator | None = None) -> Self:
        """The same kind of scorer with the same settings for other hidden states and types, with new weights."""
        return type(self)(types=types, width=width, generator=generator, **self._settings)

    def spans(self, hidden: Tensor, mask: Tensor, threshold: float = 0.0) -> tuple[Tensor, Tensor]:
        """Predicted spans, rows (text, type, start, end) int64 [M, 4], and their logits [M]."""
        return spans_above(self(hidden, mask), threshold)
