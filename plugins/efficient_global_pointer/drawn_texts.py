"""Random texts for the workloads: hidden states, a mask and spans; and how large a text is on average."""

from __future__ import annotations

import torch
from torch import Tensor

#: Entities of a text, and how many tokens one has at most.
ENTITIES, LONGEST = 6, 8


def draw_texts(
    generator: torch.Generator, batch: int, types: int, length: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """States [batch, length, width] of variance 1 in float64, a mask of texts that fill half or more, and spans.

    Drawn on the generator's device: every dtype and device gets the same numbers, rounded.
    """
    device = generator.device
    hidden = torch.randn(batch, length, width, generator=generator, dtype=torch.float64, device=device)

    def draw(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator, device=device)

    lengths = draw((length + 1) // 2, length + 1, batch)
    mask = torch.arange(length, device=device) < lengths[:, None]
    text = torch.arange(batch, device=device).repeat_interleave(ENTITIES)
    start = (torch.rand(len(text), generator=generator, device=device) * lengths[text]).long()
    end = torch.minimum(start + draw(0, LONGEST, len(text)), lengths[text] - 1)
    return hidden, mask, torch.stack([text, draw(0, types, len(text)), start, end], dim=1)


def one_token_each(mask: Tensor) -> tuple[Tensor, Tensor]:
    """A mask [B, L] of the middle token of each text, and spans: an entity of the first type in every other text."""
    batch, length = mask.shape
    middle_only = torch.zeros_like(mask)
    middle_only[:, length // 2] = True
    texts = torch.arange(0, batch, 2, device=mask.device)
    middle = torch.full_like(texts, length // 2)
    return middle_only, torch.stack([texts, torch.zeros_like(texts), middle, middle], dim=1)


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
