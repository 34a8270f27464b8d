"""The input of an encoder: a batch of texts, or of pairs of texts, as tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

#: A token's text in its pair (0 or 1), and its first and last character in that text, the end exclusive.
Span = tuple[int, int, int]


@dataclass(frozen=True)
class Tokens:
    """A batch of B inputs of at most L tokens.

    The span of a special token, which stands for no text, is empty: its start is its end.
    """

    #: int64 [B, L]; 0 where there is no token.
    ids: Tensor
    #: bool [B, L]: true at tokens.
    mask: Tensor
    #: int64 [B, L]: the text of the pair that a token belongs to, 0 or 1.
    segments: Tensor
    #: For each input, the spans of its tokens.
    spans: list[list[Span]]
    #: For encoders that read words by their pieces: int64 [M], the piece numbers of all tokens of the batch in order;
    #: and int64 [tokens], where each token's pieces begin in it.
    pieces: tuple[Tensor, Tensor] | None = None

    def to(self, device: torch.device) -> Tokens:
        """The same batch on another device."""
        pieces = None if self.pieces is None else (self.pieces[0].to(device), self.pieces[1].to(device))
        ids, mask, segments = self.ids.to(device), self.mask.to(device), self.segments.to(device)
        return replace(self, ids=ids, mask=mask, segments=segments, pieces=pieces)


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """Pool ``hidden`` [B, L, D] into one vector for each input, [B, D], over the tokens of ``mask`` [B, L].

    ``how`` is ``mean``, over all tokens, or ``first``, which is BERT's [CLS]. An input without a token gives zeros.

    >>> pool(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]), "mean")
    tensor([[2.]])
    """
    if how == "first":
        return hidden[:, 0] * mask[:, :1]
    if how != "mean":
        raise ValueError(f"how = {how!r}: 'mean' or 'first' is needed")
    masked = hidden.masked_fill(~mask.unsqueeze(-1), 0.0)
    return masked.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1).to(hidden.dtype)
