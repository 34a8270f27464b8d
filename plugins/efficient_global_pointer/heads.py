"""GlobalPointer, Efficient GlobalPointer and the step between: one score for each pair (start, end) and type.

Formulas from kexue.fm/archives/8373 and 8877 (arXiv 2208.03054). What the articles leave out (biases, scales, which
part is rotated) is as in bert4keras, the code published with them.
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
    """A head that scores every pair of tokens and is trained on the scores of all cells, [B, T, L, L].

    ``size`` is d, the length of queries and keys; ``rope`` tells whether they are rotated. ``loss`` is the form of the
    multi-label loss (``harness_plugins.efficient_global_pointer.multilabel``) over the L^2 cells of each text and type;
    its mean over texts and types is the loss.
    """

    # The parameters are the options of the methods.
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
            raise ValueError(f"size = {size}: queries are rotated in pairs of entries, so an even number is needed")
        super().__init__(types, width, size=size, rope=rope, loss=loss, **settings)
        self.size = size
        self.rope = rope
        self.form = MultilabelLoss(loss)
        self.make_layers(generator)

    def make_layers(self, generator: torch.Generator | None) -> None:
        """Make the layers."""
        raise NotImplementedError

    def scores(self, hidden: Tensor) -> Tensor:
        """Scores of all pairs (start, end), spans or not: [B, L, D] to [B, T, L, L]."""
        raise NotImplementedError

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits [B, T, L, L] of hidden [B, L, D]; minus infinity outside the mask [B, L] and below the diagonal."""
        return _only_spans(self.scores(hidden), mask)

    def loss(self, hidden: Tensor, mask: Tensor, spans: Tensor) -> Tensor:
        """Mean loss over texts and types. Raises ValueError naming the row of ``spans`` that is no span."""
        check_spans(hidden, mask, spans, self.types)
        return self.loss_of_logits(self(hidden, mask), spans)

    def loss_of_logits(self, logits: Tensor, spans: Tensor) -> Tensor:
        """The same from logits [B, T, L, L] and checked spans."""
        flat = logits.flatten(2).flatten(0, 1)
        if not self.form.sparse:
            return self.form.rows(flat, multi_hot(spans, tuple(logits.shape)).flatten(2).flatten(0, 1)).mean()
        text, kind, start, end = torch.unique(spans, dim=0).T
        return self.form.sparse_rows(flat, text * logits.shape[1] + kind, start * logits.shape[-1] + end).mean()

    def _rotated(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        return (rotate(query), rotate(key)) if self.rope else (query, key)


class GlobalPointer(PointerHead):
    """GlobalPointer: a query and a key for each type, s_a(i, j) = (R_i W_q,a h_i) . (R_j W_k,a h_j) / sqrt(d).

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

    def make_layers(self, generator: torch.Generator | None) -> None:
        self.dense = linear(self.width, 2 * self.size * self.types, generator)

    def scores(self, hidden: Tensor) -> Tensor:
        both = self.dense(hidden).unflatten(-1, (self.types, 2 * self.size))
        query, key = self._rotated(*both.split(self.size, dim=-1))
        # One product of [L, d] with [d, L] for each text and type. Queries are divided, as there are fewer than scores.
        scores: Tensor = (query / math.sqrt(self.size)).transpose(1, 2) @ key.permute(0, 2, 3, 1)
        return scores


class SharedPointer(PointerHead):
    """What Efficient GlobalPointer and its first step share: one query and one key for all types.

    The loss is computed from the parts of the scores, without the tensor of all cells.
    """

    #: Scores of ends and starts, alternating, for each type. The subclasses differ in its input.
    by_type: nn.Linear

    def make_layers(self, generator: torch.Generator | None) -> None:
        """The outputs of the shared layer are queries at even places and keys at odd places."""
        self.shared = linear(self.width, 2 * self.size, generator)

    def parts(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Query and key [B, L, d]; scores of starts and of ends for each type, both [B, T, L].

        The score of a span is query_i . key_j + start[a, i] + end[a, j]; the key contains the factor 1 / sqrt(d).
        """
        # The weights are reordered and scaled, as there are fewer of them than of outputs.
        scale = math.sqrt(self.size)
        weight, bias = (torch.cat([p[::2], p[1::2] / scale]) for p in (self.shared.weight, self.shared.bias))
        both = F.linear(hidden, weight, bias)
        pair = both.view(*both.shape[:-1], 2, self.size)
        query, key = (rotate(pair) if self.rope else pair).unbind(2)
        end, start = self.typing(hidden, both).transpose(1, 2).chunk(2, dim=1)
        return query, key, start, end

    def typing(self, hidden: Tensor, both: Tensor) -> Tensor:
        """The score of each token as an end of each type, then as a start, [B, L, 2 T].

        ``both`` [B, L, 2 d] has the queries and then the keys of ``parts``, not rotated.
        """
        raise NotImplementedError

    def by_side(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of ``by_type``, halved, with all ends before all starts."""
        weight, bias = self.by_type.weight, self.by_type.bias
        return torch.cat([weight[::2], weight[1::2]]) / 2, torch.cat([bias[::2], bias[1::2]]) / 2

    def scores(self, hidden: Tensor) -> Tensor:
        return _sum_of_parts(*self.parts(hidden))

    def loss(self, hidden: Tensor, mask: Tensor, spans: Tensor) -> Tensor:
        """Mean loss over texts and types. Raises ValueError naming the row of ``spans`` that is no span."""
        return self.loss_of_parts(*self.parts(hidden), mask, spans)

    # One parameter for each tensor that ``parts`` returns.
    def loss_of_parts(
        self, query: Tensor, key: Tensor, start: Tensor, end: Tensor, mask: Tensor, spans: Tensor
    ) -> Tensor:
        """The same from the result of ``parts``, for any number of types."""
        return span_loss(query, key, start, end, mask, spans)


class EfficientGlobalPointer(SharedPointer):
    """Efficient GlobalPointer, s_a(i, j) = q_i . k_j / sqrt(d) + w_a . [q_i; k_i; q_j; k_j] / 2.

    The types see the queries and keys before they are rotated. A new type costs 4 d weights (and 2 biases).

    >>> head = EfficientGlobalPointer(types=10)
    >>> sum(p.numel() for p in head.parameters())  # 768 x 128 + 128, and 128 x 20 + 20
    101012
    """

    def make_layers(self, generator: torch.Generator | None) -> None:
        super().make_layers(generator)
        self.by_type = linear(2 * self.size, 2 * self.types, generator)

    def typing(self, hidden: Tensor, both: Tensor) -> Tensor:  # noqa: ARG002
        weight, bias = self.by_side()
        return F.linear(both, torch.cat([weight[:, ::2], weight[:, 1::2] * math.sqrt(self.size)], dim=1), bias)


class DenseEfficientGlobalPointer(EfficientGlobalPointer):
    """Efficient GlobalPointer trained on the scores of all cells, as published. Takes any form of the loss."""

    # As above.
    def loss_of_parts(
        self, query: Tensor, key: Tensor, start: Tensor, end: Tensor, mask: Tensor, spans: Tensor
    ) -> Tensor:
        """The same from the result of ``parts``, for any number of types."""
        check_spans(query, mask, spans, start.shape[1])
        return self.loss_of_logits(_only_spans(_sum_of_parts(query, key, start, end), mask), spans)


class StepOneGlobalPointer(SharedPointer):
    """The first step to Efficient GlobalPointer, s_a(i, j) = q_i . k_j / sqrt(d) + w_a . [h_i; h_j] / 2.

    A new type costs 2 D weights (and 2 biases).

    >>> head = StepOneGlobalPointer(types=10)
    >>> sum(p.numel() for p in head.parameters())  # 768 x 128 + 128, and 768 x 20 + 20
    113812
    """

    def make_layers(self, generator: torch.Generator | None) -> None:
        super().make_layers(generator)
        self.by_type = linear(self.width, 2 * self.types, generator)

    def typing(self, hidden: Tensor, both: Tensor) -> Tensor:  # noqa: ARG002
        return F.linear(hidden, *self.by_side())


#: The same without rotation.
global_pointer_no_rope = partial(GlobalPointer, rope=False)
efficient_global_pointer_no_rope = partial(EfficientGlobalPointer, rope=False)


def _sum_of_parts(query: Tensor, key: Tensor, start: Tensor, end: Tensor) -> Tensor:
    return (query @ key.transpose(1, 2))[:, None] + start[..., :, None] + end[..., None, :]


def _only_spans(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~allowed_cells(mask)[:, None], -torch.inf)
