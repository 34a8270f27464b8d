"""The encoders that are trained from scratch: convolutions or a small transformer over words and their pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, gelu, pad, scaled_dot_product_attention

from harness_plugins.encoders.tokens import Span, Tokens
from harness_plugins.encoders.words import SEPARATOR, Vocabulary, split

#: Width of a convolution, in words.
WINDOW = 3
#: Width of a transformer's head.
HEAD = 32


@dataclass(frozen=True)
class Architecture:
    """Sizes and dropout of an encoder that is trained from scratch."""

    dimension: int = 128
    layers: int = 2
    #: Size of the vocabulary, in pieces.
    vocabulary: int = 8192
    dropout: float = 0.1
    #: Tokens read of an input.
    max_length: int = 64


@dataclass(frozen=True)
class _Row:
    """The tokens of one input: the numbers of the tokens and of their pieces, and their spans."""

    ids: list[int]
    pieces: list[tuple[int, ...]]
    spans: list[Span]

    def cut(self, length: int) -> _Row:
        if length >= len(self.ids):
            return self
        return _Row(self.ids[:length], self.pieces[:length], self.spans[:length])


#: Stands for a text without tokens.
_SEPARATING = _Row([SEPARATOR], [(SEPARATOR,)], [(0, 0, 0)])


class ScratchEncoder(nn.Module):
    """Texts to ``[B, L, dimension]``: the sum of each token's pieces, then ``blocks`` over the tokens.

    ``generator`` draws the weights and nothing else, in a fixed order, so that two methods under one seed start from
    the same encoder. A text without tokens is read as one separator.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        blocks: Sequence[Block],
        architecture: Architecture,
        *,
        generator: torch.Generator,
        positions: bool,
    ) -> None:
        super().__init__()
        dimension = self.dimension = architecture.dimension
        max_length = self.max_length = architecture.max_length
        self._vocabulary = vocabulary
        self._cache: dict[str, _Row] = {}
        self.embedding = nn.Parameter(torch.randn(len(vocabulary), dimension, generator=generator) / dimension**0.5)
        self.segment = nn.Parameter(0.02 * torch.randn(2, dimension, generator=generator) / dimension**0.5)
        self.position = (
            nn.Parameter(0.1 * torch.randn(max_length, dimension, generator=generator) / dimension**0.5)
            if positions
            else None
        )
        self.dropout = nn.Dropout(architecture.dropout)
        self.blocks = nn.ModuleList(blocks)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)
                nn.init.zeros_(module.bias)
        for block in blocks:
            # Each block adds nothing at first. A text thus starts as the sum of its pieces, and texts that share
            # words are alike before anything is learned.
            nn.init.zeros_(block.outer.weight)

    def tokens(self, first: Sequence[str], second: Sequence[str] | None = None) -> Tokens:
        """Tokens of the texts ``first``, or of pairs of ``first`` and ``second`` with a separator between.

        Of a pair that is too long, the longer text is cut first.
        """
        if second is not None and len(second) != len(first):
            raise ValueError(f"second has {len(second)} texts, first has {len(first)}: as many are needed")
        rows = [self._row(text, None if second is None else second[number]) for number, text in enumerate(first)]
        length = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + [0] * (length - len(row.ids)) for row in rows])
        segments = torch.zeros_like(ids)
        if second is not None:
            for number, row in enumerate(rows):
                segments[number, row.spans.index((1, 0, 0)) : len(row.ids)] = 1
        mask = torch.arange(length) < torch.tensor([len(row.ids) for row in rows])[:, None]
        numbers = [number for row in rows for pieces in row.pieces for number in pieces]
        sizes = torch.tensor([len(pieces) for row in rows for pieces in row.pieces])
        pieces = (torch.tensor(numbers), sizes.cumsum(0) - sizes)
        return Tokens(ids, mask, segments, [row.spans for row in rows], pieces).to(self.embedding.device)

    def _row(self, first: str, second: str | None) -> _Row:
        """One input, cut to ``max_length``."""
        left = self._read(first)
        if second is None:
            return left.cut(self.max_length) if left.ids else _SEPARATING
        right = self._read(second)
        room = self.max_length - 1
        left_room = min(len(left.ids), max(room - len(right.ids), (room + 1) // 2))
        left, right = left.cut(left_room), right.cut(room - left_room)
        spans = [*left.spans, (1, 0, 0), *((1, start, end) for _, start, end in right.spans)]
        return _Row([*left.ids, SEPARATOR, *right.ids], [*left.pieces, (SEPARATOR,), *right.pieces], spans)

    def _read(self, text: str) -> _Row:
        """All tokens of a text. Cached, as texts come again in each epoch."""
        row = self._cache.get(text)
        if row is None:
            ends = split(text)
            words = [text[start:end] for start, end in ends]
            numbers = [self._vocabulary.number(word) for word in words]
            pieces = [self._vocabulary.numbers(word) for word in words]
            row = self._cache[text] = _Row(numbers, pieces, [(0, start, end) for start, end in ends])
        return row

    def forward(self, tokens: Tokens) -> Tensor:
        """Hidden states [B, L, dimension]; zeros where there is no token."""
        if tokens.pieces is None:
            raise ValueError("tokens have no pieces: another encoder made them")
        numbers, begins = tokens.pieces
        # Divided by the root of their number, so that long words do not have longer vectors than short ones.
        counts = torch.diff(begins, append=begins.new_tensor([len(numbers)]))
        words = embedding_bag(numbers, self.embedding, begins, mode="sum") / counts.unsqueeze(1).sqrt()
        hidden = words.new_zeros(*tokens.mask.shape, self.dimension)
        hidden[tokens.mask] = words.to(hidden.dtype)
        hidden = hidden + self.segment[tokens.segments]
        if self.position is not None:
            hidden = hidden + self.position[: hidden.shape[1]]
        hidden = self.dropout(hidden)
        for block in self.blocks:
            hidden = hidden + self.dropout(block(hidden, tokens.mask))
        masked: Tensor = hidden * tokens.mask.unsqueeze(-1)
        return masked


class Block(nn.Module):
    """A layer whose output is added to the hidden states. It normalises them first; its last layer is ``outer``."""

    def __init__(self, dimension: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dimension)
        self.outer = nn.Linear(inner, dimension)


class Convolution(Block):
    """A window of three words through one hidden layer."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension, dimension)
        # A convolution as one matrix product: faster than nn.Conv1d at these sizes.
        self.inner = nn.Linear(WINDOW * dimension, dimension)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        normed = self.norm(hidden) * mask.unsqueeze(-1)
        reach = WINDOW // 2
        padded = pad(normed, (0, 0, reach, reach))
        length = hidden.shape[1]
        window = torch.cat([padded[:, shift : shift + length] for shift in range(WINDOW)], dim=-1)
        out: Tensor = self.outer(gelu(self.inner(window)))
        return out


class Attention(Block):
    """Self-attention with several heads over the tokens of an input."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension, dimension)
        self.heads = max(1, dimension // HEAD)
        if dimension % self.heads:
            raise ValueError(
                f"dimension = {dimension} cannot be split into {self.heads} equal heads; a multiple of {HEAD} can"
            )
        self.inputs = nn.Linear(dimension, 3 * dimension)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        shape = (*hidden.shape[:2], 3, self.heads, hidden.shape[2] // self.heads)
        query, key, value = self.inputs(self.norm(hidden)).view(shape).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        out: Tensor = self.outer(attended.transpose(1, 2).flatten(2))
        return out


class FeedForward(Block):
    """Each token through one wide hidden layer."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension, 4 * dimension)
        self.inner = nn.Linear(dimension, 4 * dimension)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002  every block is called alike
        out: Tensor = self.outer(gelu(self.inner(self.norm(hidden))))
        return out


def char_cnn(texts: Sequence[str], architecture: Architecture, generator: torch.Generator) -> ScratchEncoder:
    """``layers`` convolutions over words: a token sees at most ``layers`` words to either side."""
    return ScratchEncoder(
        Vocabulary(texts, architecture.vocabulary),
        [Convolution(architecture.dimension) for _ in range(architecture.layers)],
        architecture,
        generator=generator,
        positions=False,
    )


def char_transformer(texts: Sequence[str], architecture: Architecture, generator: torch.Generator) -> ScratchEncoder:
    """``layers`` of self-attention with a feed-forward layer each, and learned positions."""
    return ScratchEncoder(
        Vocabulary(texts, architecture.vocabulary),
        [block(architecture.dimension) for _ in range(architecture.layers) for block in (Attention, FeedForward)],
        architecture,
        generator=generator,
        positions=True,
    )
