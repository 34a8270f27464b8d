"""What all span scorers share: check spans, mask cells that are no spans, and read spans off logits."""

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
    """Raise ValueError, naming the row, for a row of ``spans`` that is no span.

    ``hidden`` [B, L, D], ``mask`` bool [B, L], ``spans`` int64 [M, 4], rows (text, type, start, end).

    >>> check_spans(torch.zeros(1, 3, 2), torch.tensor([[True, True, False]]), torch.tensor([[0, 0, 1, 2]]), types=1)
    Traceback (most recent call last):
    ValueError: spans[0] = [0, 0, 1, 2]: tokens 1 and 2 of text 0 are not both in the mask
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
        if (wrong := (values < 0) | (values >= limit)).any():
            row = int(wrong.nonzero()[0])
            raise ValueError(f"spans[{row}] = {spans[row].tolist()}: its {name} must be from 0 to {limit - 1}")
    if (wrong := start > end).any():
        row = int(wrong.nonzero()[0])
        raise ValueError(f"spans[{row}] = {spans[row].tolist()}: it ends before it starts")
    if (wrong := ~(mask[text, start] & mask[text, end])).any():
        row = int(wrong.nonzero()[0])
        tokens = f"tokens {int(start[row])} and {int(end[row])} of text {int(text[row])}"
        raise ValueError(f"spans[{row}] = {spans[row].tolist()}: {tokens} are not both in the mask")


def allowed_cells(mask: Tensor) -> Tensor:
    """Which pairs (start, end) are spans, bool [B, L, L]: both in the mask, bool [B, L], and start <= end."""
    return (mask[:, :, None] & mask[:, None, :]).triu()


def multi_hot(spans: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Spans, rows (text, type, start, end), as a bool tensor [B, T, L, L]."""
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
    """A linear layer with normal weights of variance 1 / inputs (LeCun) and zero biases.

    Weights are drawn from ``generator``, or from torch's own if it is None.
    """
    layer = nn.Linear(inputs, outputs)
    if layer.weight.device.type != "meta":
        nn.init.normal_(layer.weight, std=inputs**-0.5, generator=generator)
        nn.init.zeros_(layer.bias)
    return layer


class Scorer(nn.Module):
    """A scorer for ``types`` types on hidden states of ``width``."""

    #: Whether its logits rank spans, so that another threshold than 0 can be better.
    ranks = True

    def __init__(self, types: int, width: int, **settings: Any) -> None:
        super().__init__()
        self.types = types
        self.width = width
        self._settings = settings

    def fresh(self, width: int, types: int, generator: torch.Generator | None = None) -> Self:
        """A scorer of this kind with the same settings and new weights, for other hidden states and types."""
        return type(self)(types=types, width=width, generator=generator, **self._settings)

    def spans(self, hidden: Tensor, mask: Tensor, threshold: float = 0.0) -> tuple[Tensor, Tensor]:
        """Predicted spans, rows (text, type, start, end) int64 [M, 4], and their logits [M]."""
        return spans_above(self(hidden, mask), threshold)
