"""GlobalPointer, Efficient GlobalPointer and the step between: one score for each pair (start, end) and type.

Formulas from kexue.fm/archives/8373 and 8877 (arXiv 2208.03054); what the articles leave out (biases, scales, which
part is rotated) as in bert4keras, the code that was published with them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from harness_plugins.efficient_global_pointer.multilabel import MultilabelLoss
from harness_plugins.efficient_global_pointer.partition import span_loss
from harness_plugins.efficient_global_pointer.rotary import rotate
from harness_plugins.efficient_global_pointer.spans import Scorer, allowed_cells, check_spans, linear, multi_hot


class PointerHead(Scorer):
    """A head that scores every pair of tokens; trained on the scores of all cells, [B, T, L, L].

    ``size`` is d, the length of queries and keys, ``rope`` whether they are rotated, ``loss`` the form of the
    multi-label loss (``harness_plugins.efficient_global_pointer.multilabel``), taken over the L^2 cells of each text
    and type and averaged over texts and types.
    """

    def __init__(
        self,
        types: int = 9,
        width: int = 768,
        size: int = 64,
        rope: bool = True,
        loss: str = "zlpr",
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> None:
        if size % 2:
            raise ValueError(f"size = {size}: queries are rotated in pairs of entries, an even number is needed")
        super().__init__(types, width, size=size, rope=rope, loss=loss, **settings)
        self.size = size
        self.rope = rope
        self.form = MultilabelLoss(loss)
        self.make(generator)

    def make(self, generator: torch.Generator | None) -> None:
        """Make the layers."""
        raise NotImplementedError

    def scores(self, hidden: Tensor) -> Tensor:
        """Scores of all pairs, allowed or not: [B, L, D] to [B, T, L, L], start before end."""
        raise NotImplementedError

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits [B, T, L, L] of hidden [B, L, D]; minus infinity outside of the mask [B, L] and below the diagonal."""
        return _only_spans(self.scores(hidden), mask)

    def loss(self, hidden: Tensor, mask: Tensor, spans: Tensor) -> Tensor:
        """Mean loss over texts and types; spans are rows (text, type, start, end). ValueError names a bad one."""
        check_spans(hidden, mask, spans, self.types)
        return self.loss_of_logits(self(hidden, mask), spans)

    def loss_of_logits(self, logits: Tensor, spans: Tensor) -> Tensor:
        """The same from logits [B, T, L, L] and spans that are known to be some."""
        flat = logits.flatten(2).flatten(0, 1)
        if not self.form.sparse:
            return self.form.rows(flat, multi_hot(spans, tuple(logits.shape)).flatten(2).flatten(0, 1)).mean()
        text, kind, start, end = torch.unique(spans, dim=0).T
        return self.form.sparse_rows(flat, text * logits.shape[1] + kind, start * logits.shape[-1] + end).mean()

    def _rotated(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        return (rotate(query), rotate(key)) if self.rope else (query, key)


class GlobalPointer(PointerHead):
    """GlobalPointer: a query and a key of each type, s_a(i, j) = (R_i W_q,a h_i) . (R_j W_k,a h_j) / sqrt(d).

    A new type costs 2 D d weights (and 2 d biases).

    >>> head = GlobalPointer(types=2, width=8, size=4)
    >>> hidden, mask = torch.zeros(1, 3, 8), torch.tensor([[True, True, False]])
    >>> head(hidden, mask)[0, 0]
    tensor([[0., 0., -inf],
            [-inf, 0., -inf],
            [-inf, -inf, -inf]], grad_fn=<SelectBackward0>)
    >>> head.loss(hidden, mask, torch.tensor([[0, 1, 0, 1]]))  # the mean of log 4 (three cells) and log 3 + log 2
    tensor(1.5890, grad_fn=<MeanBackward0>)
    """

    def make(self, generator: torch.Generator | None) -> None:
        self.dense = linear(self.width, 2 * self.size * self.types, generator)

    def scores(self, hidden: Tensor) -> Tensor:
        both = self.dense(hidden).unflatten(-1, (self.types, 2 * self.size))
        query, key = self._rotated(*both.split(self.size, dim=-1))
        # As one product of [L, d] with [d, L] for each text and type; queries are fewer than scores to divide.
        scores: Tensor = (query / math.sqrt(self.size)).transpose(1, 2) @ key.permute(0, 2, 3, 1)
        return scores


class SharedPointer(PointerHead):
    """What Efficient GlobalPointer and its first step share: one query and key for all types finds the entities.

    The loss is taken from the parts of the scores, without the tensor of all cells.
    """

    #: Gives end and start of each type in turn; the subclasses differ in what it sees.
    by_type: nn.Linear

    def make(self, generator: torch.Generator | None) -> None:
        """The layer's outputs are queries at even, keys at odd places."""
        self.shared = linear(self.width, 2 * self.size, generator)

    def parts(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Query and key [B, L, d], and what start and end add for each type, [B, T, L] both.

        The score is query_i . key_j + start[a, i] + end[a, j]; the key has the factor 1 / sqrt(d) in it.
        """
        # Weights are put in order and scaled, being fewer than what they give.
        scale = math.sqrt(self.size)
        weight, bias = (torch.cat([p[::2], p[1::2] / scale]) for p in (self.shared.weight, self.shared.bias))
        both = F.linear(hidden, weight, bias)
        pair = both.view(*both.shape[:-1], 2, self.size)
        query, key = (rotate(pair) if self.rope else pair).unbind(2)
        end, start = self.typing(hidden, both).transpose(1, 2).chunk(2, dim=1)
        return query, key, start, end

    def typing(self, hidden: Tensor, both: Tensor) -> Tensor:
        """What each token adds as an end of each type, then as a start, [B, L, 2 T].

        ``both`` [B, L, 2 d] are the queries and then the keys of ``parts``, not rotated.
        """
        raise NotImplementedError

    def by_side(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the layer for the types, whose outputs alternate, with all ends first, halved."""
        weight, bias = self.by_type.weight, self.by_type.bias
        return torch.cat([weight[::2], weight[1::2]]) / 2, torch.cat([bias[::2], bias[1::2]]) / 2

    def scores(self, hidden: Tensor) -> Tensor:
        return _sum_of_parts(*self.parts(hidden))

    def loss(self, hidden: Tensor, mask: Tensor, spans: Tensor) -> Tensor:
        """Mean loss over texts and types; spans are rows (text, type, start, end). ValueError names a bad one."""
        return self.loss_of_parts(*self.parts(hidden), mask, spans)

    def loss_of_parts(
        self, query: Tensor, key: Tensor, start: Tensor, end: Tensor, mask: Tensor, spans: Tensor
    ) -> Tensor:
        """The same from what ``parts`` gives, for any number of types."""
        return span_loss(query, key, start, end, mask, spans)


class EfficientGlobalPointer(SharedPointer):
    """Efficient GlobalPointer, s_a(i, j) = q_i . k_j / sqrt(d) + w_a . [q_i; k_i; q_j; k_j] / 2.

    The types see the queries and keys before they are rotated. A new type costs 4 d weights (and 2 biases).

    >>> head = EfficientGlobalPointer(types=10)
    >>> sum(p.numel() for p in head.parameters())  # 768 x 128 + 128, and 128 x 20 + 20
    101012
    """

    def make(self, generator: torch.Generator | None) -> None:
        super().make(generator)
        self.by_type = linear(2 * self.size, 2 * self.types, generator)

    def typing(self, hidden: Tensor, both: Tensor) -> Tensor:  # noqa: ARG002
        weight, bias = self.by_side()
        return F.linear(both, torch.cat([weight[:, ::2], weight[:, 1::2] * math.sqrt(self.size)], dim=1), bias)


class DenseEfficientGlobalPointer(EfficientGlobalPointer):
    """Efficient GlobalPointer trained on the scores of all cells, as published: takes any form of the loss."""

    def loss_of_parts(
        self, query: Tensor, key: Tensor, start: Tensor, end: Tensor, mask: Tensor, spans: Tensor
    ) -> Tensor:
        """The same from what ``parts`` gives, for any number of types."""
        check_spans(query, mask, spans, start.shape[1])
        return self.loss_of_logits(_only_spans(_sum_of_parts(query, key, start, end), mask), spans)


class StepOneGlobalPointer(SharedPointer):
    """The first step to Efficient GlobalPointer, s_a(i, j) = q_i . k_j / sqrt(d) + w_a . [h_i; h_j] / 2.

    A new type costs 2 D weights (and 2 biases).

    >>> head = StepOneGlobalPointer(types=10)
    >>> sum(p.numel() for p in head.parameters())  # 768 x 128 + 128, and 768 x 20 + 20
    113812
    """

    def make(self, generator: torch.Generator | None) -> None:
        super().make(generator)
        self.by_type = linear(self.width, 2 * self.types, generator)

    def typing(self, hidden: Tensor, both: Tensor) -> Tensor:  # noqa: ARG002
        return F.linear(hidden, *self.by_side())


#: The two without rotation.
global_pointer_no_rope = partial(GlobalPointer, rope=False)
efficient_global_pointer_no_rope = partial(EfficientGlobalPointer, rope=False)


def _sum_of_parts(query: Tensor, key: Tensor, start: Tensor, end: Tensor) -> Tensor:
    return (query @ key.transpose(1, 2))[:, None] + start[..., :, None] + end[..., None, :]


def _only_spans(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~allowed_cells(mask)[:, None], -torch.inf)
