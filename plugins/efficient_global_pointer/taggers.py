"""Taggers, which label each token as begin of, inside or outside an entity: the baselines of span scorers.

The tag of type a is 2 a + 1 at the begin of an entity and 2 a + 2 inside it; 0 is outside. A token has one tag, so of
overlapping entities only the longest has tags: the others are left out of training (``outermost``).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from harness_plugins.efficient_global_pointer.crf import LinearChain
from harness_plugins.efficient_global_pointer.spans import Scorer, allowed_cells, check_spans, linear


class Tagger(Scorer):
    """A tagger in the role of a span scorer.

    Its logits are 1 at entities that its tags spell and -1 elsewhere: they decide, but do not rank (``ranks``).

    >>> tagger = SoftmaxTagger(types=2, width=4)
    >>> tagger(torch.zeros(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)).shape
    torch.Size([1, 2, 3, 3])
    """

    ranks = False

    def __init__(
        self,
        types: int = 9,
        width: int = 768,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(types, width, **settings)
        self.emit = linear(width, 2 * types + 1, generator)

    def tags(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """The predicted tags, int64 [B, L], 0 outside the mask."""
        raise NotImplementedError

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits [B, T, L, L] of 1 and -1; minus infinity outside the mask and below the diagonal."""
        texts, length = mask.shape
        logits = hidden.new_full((texts, self.types, length, length), -1.0)
        rows, _ = self.spans(hidden, mask)
        logits[tuple(rows.T)] = 1.0
        return logits.masked_fill(~allowed_cells(mask)[:, None], -torch.inf)

    def spans(self, hidden: Tensor, mask: Tensor, threshold: float = 0.0) -> tuple[Tensor, Tensor]:
        """Predicted spans, rows (text, type, start, end), and their logits: 1 each."""
        rows = spans_of_tags(self.tags(hidden, mask))
        return (rows, hidden.new_ones(len(rows))) if threshold < 1 else (rows[:0], hidden.new_ones(0))


class SoftmaxTagger(Tagger):
    """Tags each token on its own, trained by cross-entropy."""

    def tags(self, hidden: Tensor, mask: Tensor) -> Tensor:
        tags: Tensor = self.emit(hidden).argmax(dim=-1) * mask
        return tags

    def loss(self, hidden: Tensor, mask: Tensor, spans: Tensor) -> Tensor:
        """Mean cross-entropy over the tokens in the mask; 0 if there are none."""
        check_spans(hidden, mask, spans, self.types)
        total = F.cross_entropy(self.emit(hidden)[mask], tags_of_spans(spans, mask)[mask], reduction="sum")
        return total / mask.sum().clamp(min=1)


class ChainTagger(Tagger):
    """A linear-chain conditional random field over the tags. Any tag may follow any other."""

    def __init__(
        self,
        types: int = 9,
        width: int = 768,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(types, width, generator)
        self.chain = LinearChain(2 * types + 1)

    def tags(self, hidden: Tensor, mask: Tensor) -> Tensor:
        tags = torch.zeros(mask.shape, dtype=torch.int64, device=mask.device)
        emissions, packed = _packed(self.emit(hidden), mask)
        tags[mask] = self.chain.best_path(emissions, packed)[packed]
        return tags

    def loss(self, hidden: Tensor, mask: Tensor, spans: Tensor) -> Tensor:
        """Mean negative log-likelihood over texts; a text without a token in the mask counts 0."""
        check_spans(hidden, mask, spans, self.types)
        emissions, packed = _packed(self.emit(hidden), mask)
        tags = torch.zeros_like(packed, dtype=torch.int64)
        tags[packed] = tags_of_spans(spans, mask)[mask]
        return (self.chain.negative_log_likelihood(emissions, packed, tags) * packed[:, 0]).mean()


def _packed(emissions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Emissions and mask with the tokens of the mask moved to the front, as the chain needs them."""
    order = torch.sort(mask.int(), dim=1, descending=True, stable=True).indices
    return emissions.gather(1, order[..., None].expand_as(emissions)), mask.gather(1, order)


def outermost(spans: Tensor) -> Tensor:
    """The spans [M, 4] without those that share a token with a longer one; of equal ones the first by start, then type.

    >>> outermost(torch.tensor([[0, 0, 1, 1], [0, 1, 0, 2], [0, 0, 4, 4], [1, 0, 1, 1]])).tolist()
    [[0, 1, 0, 2], [0, 0, 4, 4], [1, 0, 1, 1]]
    """
    rows: list[tuple[int, int, int, int]] = []
    taken: dict[int, list[tuple[int, int]]] = {}
    for text, kind, start, end in sorted(spans.tolist(), key=lambda s: (s[0], s[2] - s[3], s[2], s[1])):
        others = taken.setdefault(text, [])
        if all(end < first or last < start for first, last in others):
            others.append((start, end))
            rows.append((text, kind, start, end))
    rows.sort(key=lambda s: (s[0], s[2]))
    return torch.tensor(rows, dtype=torch.int64, device=spans.device).reshape(-1, 4)


def tags_of_spans(spans: Tensor, mask: Tensor) -> Tensor:
    """Tags int64 [B, L] of the outermost of the spans [M, 4], rows (text, type, start, end).

    >>> tags_of_spans(torch.tensor([[0, 1, 0, 1]]), torch.ones(1, 3, dtype=torch.bool)).tolist()
    [[3, 4, 0]]
    """
    tags = torch.zeros(mask.shape, dtype=torch.int64)
    for text, kind, start, end in outermost(spans).tolist():
        tags[text, start] = 2 * kind + 1
        tags[text, start + 1 : end + 1] = 2 * kind + 2
    return tags.to(mask.device)


def spans_of_tags(tags: Tensor) -> Tensor:
    """Spans, rows (text, type, start, end), of tags int64 [B, L], as conlleval reads them.

    An inside tag that follows no tag of its type begins an entity.

    >>> spans_of_tags(torch.tensor([[3, 4, 0, 4, 2]])).tolist()
    [[0, 1, 0, 1], [0, 1, 3, 3], [0, 0, 4, 4]]
    """
    kind = torch.div(tags - 1, 2, rounding_mode="floor")
    kind = torch.where(tags == 0, -1, kind)
    before = F.pad(kind, (1, 0), value=-1)[:, :-1]
    inside = (tags % 2 == 0) & (tags > 0) & (kind == before)
    begins = (tags > 0) & ~inside
    continues = F.pad(inside, (0, 1))[:, 1:]
    # nonzero gives places in order, and each entity ends before the next one begins: so begins and ends match.
    text, start = begins.nonzero().T
    _, end = ((tags > 0) & ~continues).nonzero().T
    return torch.stack([text, kind[text, start], start, end], dim=1)
