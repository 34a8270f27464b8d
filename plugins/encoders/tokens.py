"""What an encoder reads: a batch of texts, or of pairs of texts, cut into tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

#: Which text of a pair (0 or 1), and where the token begins and ends in it, in characters, end exclusive.
Span = tuple[int, int, int]


@dataclass(frozen=True)
class Tokens:
    """A batch of B inputs of at most L tokens.

    A special token, which stands for no text, has a span whose start is its end.
    """

    #: int64 [B, L]; 0 where there is no token.
    ids: Tensor
    #: bool [B, L]: where there is one.
    mask: Tensor
    #: int64 [B, L]: which text of the pair a token is of, 0 or 1.
    segments: Tensor
    #: For each input, one for each of its tokens.
    spans: list[list[Span]]
    #: int64 [M]: numbers of the pieces of all tokens of the batch one after the other, for the encoders that
    #: read a word by its pieces; and int64 [tokens]: where each token's pieces begin in it.
    pieces: tuple[Tensor, Tensor] | None = None

    def to(self, device: torch.device) -> Tokens:
        """The same on another device."""
        pieces = None if self.pieces is None else (self.pieces[0].to(device), self.pieces[1].to(device))
        moved = (self.ids.to(device), self.mask.to(device), self.segments.to(device))
        return replace(self, ids=moved[0], mask=moved[1], segments=moved[2], pieces=pieces)


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """One vector [B, D] for each input from ``hidden`` [B, L, D] where ``mask`` [B, L] is true.

    ``mean`` of all tokens, or the ``first``, which is [CLS] with a BERT. An input without a token gives zeros.

    >>> pool(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]), "mean")
    tensor([[2.]])
    """
    if how == "first":
        return hidden[:, 0] * mask[:, :1]
    if how != "mean":
        raise ValueError(f"how = {how!r}: 'mean' or 'first' is needed")
    kept = hidden.masked_fill(~mask.unsqueeze(-1), 0.0)
    return kept.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1).to(hidden.dtype)
