"""Inputs of multi-label losses and span scorers, how a scorer is called, and what it must return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harness_plugins.efficient_global_pointer.scorer_cache import scorer_for

#: Types, width of the hidden states, and tokens of a text.
TYPES, WIDTH, TOKENS = 3, 8, 5


def logits_and_labels(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int
) -> tuple[Tensor, Tensor]:
    """Logits [rows, 4] and labels, bool [rows, 4]. Drawn in float64: every dtype gets the same numbers, rounded."""
    logits = torch.randn(rows, 4, generator=generator, dtype=torch.float64).to(device, dtype).requires_grad_()
    return logits, (torch.rand(rows, 4, generator=generator) < 0.4).to(device)


def texts_and_spans(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states [rows, 5, 8], a mask of texts of three to five tokens, and two spans in each text.

    Drawn in float64 and then rounded: every dtype gets the same numbers.
    """
    hidden = torch.randn(rows, TOKENS, WIDTH, generator=generator, dtype=torch.float64)
    lengths = torch.randint(3, TOKENS + 1, (rows,), generator=generator)
    mask = torch.arange(TOKENS) < lengths[:, None]
    text = torch.arange(rows).repeat_interleave(2)
    types = torch.randint(TYPES, (len(text),), generator=generator)
    start = torch.tensor([0, 2]).repeat(rows)
    spans = torch.stack([text, types, start, start + torch.tensor([1, 0]).repeat(rows)], dim=1)
    return hidden.to(device, dtype).requires_grad_(), mask.to(device), spans.to(device)


def logits_and_loss(scorer: Any, inputs: Sequence[Tensor]) -> tuple[Any, Any]:
    """Logits and loss of the scorer, made anew for these hidden states and types as tasks do."""
    hidden, mask, spans = inputs
    scorer = scorer_for(scorer, WIDTH, TYPES, hidden.dtype, hidden.device)
    return scorer(hidden, mask), scorer.loss(hidden, mask, spans)


def problem_of_scores(inputs: Sequence[Tensor], returned: tuple[Any, Any]) -> str:
    """What is wrong with logits and loss; empty if nothing is."""
    hidden, mask, _ = inputs
    logits, loss = returned
    shape = (len(hidden), TYPES, TOKENS, TOKENS)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != shape:
        return f"returns logits of the shape {list(getattr(logits, 'shape', []))}; {list(shape)} is expected"
    spans = (mask[:, :, None] & mask[:, None, :]).triu()[:, None].expand(shape)
    if not logits[spans].isfinite().all() or not (logits[~spans] == -torch.inf).all():
        return "returns logits that are not finite at every span and minus infinity everywhere else"
    if not isinstance(loss, Tensor) or loss.dim() or not loss.is_floating_point():
        return ".loss returns no floating scalar tensor"
    return "" if loss.isfinite() else f".loss returns {loss.item()}, which is not finite"
