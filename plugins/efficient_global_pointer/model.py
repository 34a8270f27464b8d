"""A model of entities: an encoder with a span scorer on top, and the batches that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness_plugins.efficient_global_pointer.corpus import Sentence
from harness_plugins.encoders.tokens import Tokens


@dataclass(frozen=True)
class Batch:
    """Sentences as tokens, the mask of those that stand for text, and the entities as spans of tokens."""

    tokens: Tokens
    #: bool [B, L]: tokens that stand for text.
    mask: Tensor
    #: int64 [M, 4], rows (text, type, start, end).
    spans: Tensor


class EntityModel(nn.Module):
    """An encoder and a span scorer, its head."""

    encoder: Any
    head: Any

    def __init__(self, encoder: Any, head: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def loss(self, batch: Batch) -> Tensor:
        """The scorer's loss, a scalar."""
        value: Tensor = self.head.loss(self.encoder(batch.tokens), batch.mask, batch.spans)
        return value


def read_batch(rows: Sequence[Sentence], encoder: Any, types: Sequence[str]) -> Batch:
    """Sentences as a batch. Entities that do not begin and end with a token, or are cut off, are left out."""
    tokens = encoder.tokens([row.text for row in rows])
    type_numbers = {type_: number for number, type_ in enumerate(types)}
    mask = tokens.mask.cpu().clone()
    spans = []
    for number, (row, row_spans) in enumerate(zip(rows, tokens.spans, strict=True)):
        starts, ends = {}, {}
        for token, (_, start, end) in enumerate(row_spans):
            if start == end:
                mask[number, token] = False
            else:
                starts[start], ends[end - 1] = token, token
        spans += [
            (number, type_numbers[entity.type], starts[entity.start], ends[entity.end])
            for entity in row.entities
            if entity.start in starts and entity.end in ends
        ]
    device = tokens.mask.device
    return Batch(tokens, mask.to(device), torch.tensor(spans, dtype=torch.int64, device=device).reshape(-1, 4))
