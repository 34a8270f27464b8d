"""Efficient GlobalPointer's loss without its B x T x L x L scores: each type's sum over all spans is factorised.

The score of the span from token i to token j under type a is s_a(i, j) = q_i . k_j + u_a(i) + v_a(j), i <= j
(kexue.fm/archives/8877). For one sample and type the multi-label loss (kexue.fm/archives/7359, arXiv 2208.02955) is

    log(1 + sum over negatives of exp(s_a)) + log(1 + sum over positives of exp(-s_a)).

The sum over all i <= j of exp(s_a) is U_a^T E V_a with U = exp(u), V = exp(v) and one L x L matrix E = exp(q k^T) for
all types. Subtracting the positives from it would leave only rounding errors where they dominate. Instead E is zero at
each cell that is positive for any type, and these few cells are added one by one for the types that they are negatives
of. Only positive numbers are ever added.

Samples of similar length are computed together, up to the last token of the longest of them. Of E only blocks of rows
are made, each from the diagonal on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from harness_plugins.efficient_global_pointer.positives import (
    Cells,
    Parts,
    Texts,
    add_cells,
    cell_scores,
    find_cells,
    sort_texts,
)

#: Elements of E that are made at once: on a CPU about what its cache holds, elsewhere enough to occupy the device.
AT_ONCE_ON_CPU, AT_ONCE = 2**19, 2**26
#: Most blocks of rows, and fewest rows of a block: smaller ones cost more in calls than they save.
BLOCKS, ROWS = 4, 64

#: Exponentials are to the base 2: the library behind torch's exp takes a hundred times as long for results that are
#: subnormal or zero.
_BITS = 1 / math.log(2)


# One parameter for each tensor of the formula.
def span_loss(query: Tensor, key: Tensor, start_bias: Tensor, end_bias: Tensor, mask: Tensor, spans: Tensor) -> Tensor:
    """Mean over samples and types of the loss above, a scalar of the widest dtype among ``query`` to ``end_bias``.

    ``query`` and ``key`` [B, L, d] give q and k, already rotated and scaled; ``start_bias`` and ``end_bias`` [B, T, L]
    give u and v; all floating. ``mask`` [B, L] is true at real tokens, with or without gaps; other tokens begin and end
    no span and get no gradient. ``spans`` [S, 4] has the positives as rows (sample, type, start, end), the end
    inclusive, in any order; repeated rows count once, and there may be none.

    Half precisions are computed in float32. The largest q . k, u and v may never meet in one span, so a sum can be too
    small for that: it is computed in float64, or score by score if it is too small for float64 as well. Memory is
    O(B L (d + T)) and a few L x L matrices. Can be differentiated once: asking for a graph of the gradient
    (``create_graph=True``) raises RuntimeError. Raises ValueError for shapes that do not fit, and, naming the row, for
    a row of ``spans`` that is not a span.

    >>> nothing = torch.zeros(1, 2, 3)
    >>> tokens = torch.ones(1, 2, dtype=torch.bool)
    >>> span_loss(nothing, nothing, torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), tokens, torch.tensor([[0, 0, 0, 1]]))
    tensor(1.7918)
    """
    biases = (start_bias, end_bias)
    if query.dim() != 3 or key.shape != query.shape or mask.shape != query.shape[:2] or not query.shape[1]:
        shapes = f"{list(query.shape)}, key {list(key.shape)} and mask {list(mask.shape)}"
        raise ValueError(f"query {shapes}: [B, L, d] twice and [B, L] are needed, L at least 1")
    samples, length, _ = query.shape
    if start_bias.dim() != 3 or any(b.shape != (samples, start_bias.shape[1], length) for b in biases):
        shapes = " and ".join(str(list(b.shape)) for b in biases)
        raise ValueError(f"start_bias and end_bias {shapes}: both must be [B, T, L] with B = {samples}, L = {length}")
    inputs = (query, key, *biases)
    if not all(tensor.is_floating_point() for tensor in inputs):
        raise ValueError(f"query, key and biases have dtypes {[t.dtype for t in inputs]}: all must be floating-point")
    texts = sort_texts(mask.bool())
    cells = find_cells(spans, texts, start_bias.shape[1])
    needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    return _SpanLoss.apply(*inputs, texts, cells, needs_gradient)  # type: ignore[no-any-return,no-untyped-call]


class _SpanLoss(torch.autograd.Function):
    """Computes the gradients together with the value, while E is in memory, and keeps them for the backward pass."""

    # One parameter for each input: autograd passes them on one by one.
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        start_bias: Tensor,
        end_bias: Tensor,
        texts: Texts,
        cells: Cells,
        needs_gradient: bool,
    ) -> Tensor:
        inputs = (query, key, start_bias, end_bias)
        dtype = reduce(torch.promote_types, [tensor.dtype for tensor in inputs])
        wide = torch.promote_types(dtype, torch.float32)
        gradients = None
        if needs_gradient:
            gradients = Parts(*(torch.zeros(t.shape, dtype=wide, device=t.device) for t in inputs))
        # Autocast would round the scores, which are exponents, to half precision.
        with torch.autocast(query.device.type, enabled=False):
            value = _mean_loss(Parts(*inputs), texts, cells, gradients, wide)
        if gradients is not None:
            ctx.save_for_backward(gradients.query, gradients.key, gradients.start, gradients.end)
        ctx.dtypes = [tensor.dtype for tensor in inputs]
        return value.to(dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        # torch's once_differentiable would give a second derivative of zero if the incoming gradient is a constant.
        if torch.is_grad_enabled():
            raise RuntimeError("span_loss keeps a gradient that cannot be differentiated again (create_graph=True)")
        saved = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *((upstream * gradient).to(dtype) for gradient, dtype in saved), None, None, None


def _mean_loss(parts: Parts, texts: Texts, cells: Cells, gradients: Parts | None, wide: torch.dtype) -> Tensor:
    """The loss, float64; its gradients are added to ``gradients``."""
    samples, types = parts.start.shape[:2]
    scores = cell_scores(parts, cells)
    # The sum that a cell belongs to for each type: the first B x T sums are over negatives, the others over positives.
    sums = (cells.positive * samples + cells.rank[:, None]) * types + torch.arange(types, device=scores.device)
    exponents = torch.where(cells.positive, -scores, scores)
    log_sums = _log_sums(exponents, sums, 2 * samples * types)

    negatives = _Negatives(parts, texts, cells, log_sums[: samples * types].view(samples, types), gradients)
    at_once = AT_ONCE_ON_CPU if scores.device.type == "cpu" else AT_ONCE
    # Missing are the spans outside ``cells``, in samples that have any.
    cell_counts = zip(texts.tokens, pairwise(cells.before), strict=True)
    has_others = [tokens * (tokens + 1) // 2 > after - before for tokens, (before, after) in cell_counts]
    missing = torch.tensor(has_others, device=scores.device)[:, None].expand(samples, types).clone()
    first = 0
    while first < samples and (longest := texts.lengths[first]):
        last = min(samples, first + max(1, at_once // longest**2))
        negatives.add(first, last, missing, wide)
        first = last
    if missing.any():
        for rank in missing.any(1).nonzero()[:, 0].tolist():
            negatives.add(rank, rank + 1, missing, torch.float64)
        for rank, kind in missing.nonzero().tolist():
            negatives.add_each(rank, kind)

    losses = _softplus(log_sums)
    if gradients is not None:
        share = (exponents - losses[sums]).exp_() / (samples * types)
        add_cells(gradients, parts, cells, torch.where(cells.positive, -share, share))
    return losses.sum() / (samples * types)


@dataclass(frozen=True, slots=True, eq=False)
class _Negatives:
    """Sums over the negatives of every rank and type, completed step by step."""

    parts: Parts
    texts: Texts
    cells: Cells
    #: [B, T] float64: log of the sum over negatives; at first only over cells that are positive for another type.
    log_sums: Tensor
    gradients: Parts | None

    def add(self, first: int, last: int, missing: Tensor, dtype: torch.dtype) -> None:
        """Add the factorised sums of the ranks from ``first`` to before ``last`` to pairs (rank, type) in ``missing``.

        Pairs whose sum fits into ``dtype`` are removed from ``missing`` [B, T]; the others stay.
        """
        part = self._part(first, last, dtype)
        blocks, exponentials = self._scores(part, first, last)
        tops = _finite(torch.cat([block.amax(2) for _, block in blocks], dim=1))
        for row, block in blocks:
            block.sub_(tops[:, row : row + block.shape[1], None])
        exponentials.exp2_()
        from_start, to_end = part.start.mul_(_BITS).add_(tops[:, None]), part.end.mul_(_BITS)
        start, end = _finite(from_start.amax(2)), _finite(to_end.amax(2))
        from_start.sub_(start[:, :, None]).exp2_()
        to_end.sub_(end[:, :, None]).exp2_()
        onward = torch.cat([to_end[:, :, row:] @ block.mT for row, block in blocks], dim=2)
        total = (onward * from_start).sum(2)
        # Each of L^2 terms can lose up to tiny by underflow: all of them must be negligible beside the sum.
        limits = torch.finfo(dtype)
        fits = missing[first:last] & ~(total < part.query.shape[1] ** 2 * limits.tiny / limits.eps)
        log_total = total.double().log() + (start.double() + end) / _BITS
        log_sum = torch.logaddexp(self.log_sums[first:last], log_total)
        self.log_sums[first:last] = torch.where(fits, log_sum, self.log_sums[first:last])
        missing[first:last] &= ~fits
        if self.gradients is None:
            return
        weight = (log_total - _softplus(log_sum)).exp() / (self.log_sums.numel() * total)
        weighted = from_start.mul_(torch.where(fits, weight, 0.0).to(dtype)[:, :, None])
        key_gradient, to_column = torch.zeros_like(part.key), torch.zeros_like(to_end)
        for row, block in blocks:
            rows = slice(row, row + block.shape[1])
            to_column[:, :, row:] += weighted[:, :, rows] @ block
            slope = (weighted[:, :, rows].mT @ to_end[:, :, row:]).mul_(block)
            key_gradient[:, row:].add_(slope.mT @ part.query[:, rows])
            # No later block needs these queries: their gradient takes their place in memory.
            part.query[:, rows] = slope @ part.key[:, row:]
        gradients = Parts(part.query, key_gradient, weighted.mul_(onward), to_end.mul_(to_column))
        self._store(first, last, gradients)

    def add_each(self, rank: int, kind: int) -> None:
        """Add the negatives of one pair score by score, as their factors do not fit into float64."""
        part = self._part(rank, rank + 1, torch.float64)
        start, end = part.start[0, kind], part.end[0, kind]
        length = len(start)
        scores = (part.query[0] @ part.key[0].mT).add_(start[:, None]).add_(end)
        scores += scores.new_full((length, length), -torch.inf).tril_(-1)
        own_cells = self._cells_of(rank, rank + 1)
        scores[self.cells.start[own_cells], self.cells.end[own_cells]] = -torch.inf
        log_sum = torch.logaddexp(self.log_sums[rank, kind], scores.flatten().logsumexp(0))
        self.log_sums[rank, kind] = log_sum
        if self.gradients is None:
            return
        slope = (scores - _softplus(log_sum)).exp_().div_(self.log_sums.numel())
        sample = int(self.texts.order[rank])
        self.gradients.query[sample, :length] += slope @ part.key[0]
        self.gradients.key[sample, :length] += slope.mT @ part.query[0]
        self.gradients.start[sample, kind, :length] += slope.sum(1)
        self.gradients.end[sample, kind, :length] += slope.sum(0)

    def _part(self, first: int, last: int, dtype: torch.dtype) -> Parts:
        """The inputs of these ranks up to the last token of the longest, with neutral values outside the mask."""
        length, rows = self.texts.lengths[first], self.texts.order[first:last]
        query, key = (
            tensor[:, :length].index_select(0, rows).to(dtype) for tensor in (self.parts.query, self.parts.key)
        )
        start, end = (
            tensor[:, :, :length].index_select(0, rows).to(dtype) for tensor in (self.parts.start, self.parts.end)
        )
        # Values outside the mask must not matter, not even NaN.
        if min(self.texts.tokens[first:last]) < length:
            outside = ~self.texts.mask[:, :length].index_select(0, rows)
            places = outside.flatten().nonzero()[:, 0]
            for tensor in (query, key):
                tensor.view(-1, tensor.shape[2]).index_fill_(0, places, 0)
            for tensor in (start, end):
                tensor.masked_fill_(outside[:, None], -torch.inf)
        return Parts(query, key, start, end)

    def _scores(self, part: Parts, first: int, last: int) -> tuple[list[tuple[int, Tensor]], Tensor]:
        """q k^T in bits: blocks of rows, each with its first row; and the flat memory of all blocks.

        A block [b, rows, columns] has the columns from its first row on. It is minus infinity below the diagonal and
        at cells that are positive for any type.
        """
        samples, length, _ = part.query.shape
        size = max(ROWS, -(-length // BLOCKS))
        starts = range(0, length, size)
        areas = [samples * min(size, length - row) * (length - row) for row in starts]
        memory = part.query.new_empty(sum(areas))
        blocks = [
            (row, block.view(samples, -1, length - row))
            for row, block in zip(starts, torch.split(memory, areas), strict=True)
        ]
        lower = part.query.new_full((min(size, length),) * 2, -torch.inf).tril_(-1)
        for row, block in blocks:
            rows = block.shape[1]
            block.baddbmm_(part.query[:, row : row + rows], part.key[:, row:].mT, beta=0, alpha=_BITS)
            block[:, :, :rows] += lower[:rows, :rows]
        own_cells = self._cells_of(first, last)
        rank, start, end = self.cells.rank[own_cells] - first, self.cells.start[own_cells], self.cells.end[own_cells]
        # The address of each cell: that of its block, which begins at a multiple of ``size``, and its place there.
        first_row = start // size * size
        columns = length - first_row
        inside = (rank * columns.clamp_max(size) + start - first_row) * columns + end - first_row
        memory[samples * (first_row * length - first_row * (first_row - size) // 2) + inside] = -torch.inf
        return blocks, memory

    def _cells_of(self, first: int, last: int) -> slice:
        """The cells of these ranks."""
        return slice(self.cells.before[first], self.cells.before[last])

    def _store(self, first: int, last: int, gradients: Parts) -> None:
        """Write the gradients of several ranks, or add those of one."""
        assert self.gradients is not None
        length, rows = gradients.query.shape[1], self.texts.order[first:last]
        # Several ranks are computed together in their first pass only, so there is nothing to add to.
        store = torch.Tensor.index_copy_ if last - first > 1 else torch.Tensor.index_add_
        for target, value in (
            (self.gradients.query[:, :length], gradients.query),
            (self.gradients.key[:, :length], gradients.key),
            (self.gradients.start[:, :, :length], gradients.start),
            (self.gradients.end[:, :, :length], gradients.end),
        ):
            store(target, 0, rows, value.to(target.dtype))


def _log_sums(values: Tensor, sums: Tensor, count: int) -> Tensor:
    """Log of each of ``count`` sums of exponentials; ``sums`` has the number of the sum that each value belongs to."""
    values, sums = values.flatten(), sums.flatten()
    top = _finite(values.new_full((count,), -torch.inf).scatter_reduce_(0, sums, values, "amax"))
    return torch.zeros_like(top).index_add_(0, sums, (values - top[sums]).exp_()).log_().add_(top)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without the threshold of torch's softplus."""
    return -F.logsigmoid(-x)


def _finite(top: Tensor) -> Tensor:
    """A maximum to subtract: 0 in place of minus infinity."""
    return top.masked_fill(top == -torch.inf, 0.0)
