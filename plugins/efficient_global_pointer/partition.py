"""Efficient GlobalPointer's loss without its B x T x L x L scores: every type's sum over all spans is factorised.

The score of the span from token i to token j under type a is s_a(i, j) = q_i . k_j + u_a(i) + v_a(j), i <= j
(kexue.fm/archives/8877). For one sample and type the multi-label loss (kexue.fm/archives/7359, arXiv 2208.02955) is

    log(1 + sum over negatives of exp(s_a)) + log(1 + sum over positives of exp(-s_a)).

The sum over all i <= j of exp(s_a) is U_a^T E V_a with U = exp(u), V = exp(v) and one L x L matrix E = exp(q k^T) for
all types. The positives are never subtracted from it, which would leave nothing but rounding where they dominate:
E is zero at each cell that is positive for any type, and these few cells are added one by one for the types that they
are negatives of. Only positive numbers are ever added.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

#: Elements of E that are made at once: on a CPU they stay in its cache, any other device is given enough to do.
AT_ONCE_ON_CPU, AT_ONCE = 2**18, 2**26


def span_loss(query: Tensor, key: Tensor, start_bias: Tensor, end_bias: Tensor, mask: Tensor, spans: Tensor) -> Tensor:
    """Mean over samples and types of the loss above, a scalar of the widest dtype among ``query`` to ``end_bias``.

    ``query`` and ``key`` [B, L, d] give q and k, already rotated and scaled; ``start_bias`` and ``end_bias`` [B, T, L]
    give u and v; all floating. ``mask`` [B, L] is true at real tokens, wherever they stand; no span begins or ends at
    another, and these get no gradient. ``spans`` [S, 4] has the positives as rows (sample, type, start, end), the end
    inclusive, in any order; a repeated row counts once, and there may be none.

    Half precisions are computed in float32. A sum too small for that, as the largest q . k, u and v may never meet,
    is computed in float64, and one too small for that as well score by score. Memory is O(B L (d + T)) and a few
    L x L matrices. Can be differentiated once: asking for a graph of the gradient raises RuntimeError.
    Raises ValueError for shapes that do not fit, and naming the row for a span that is none.

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
    cells = _positive_cells(spans, mask.bool(), start_bias.shape[1])
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    return _SpanLoss.apply(*inputs, mask.bool(), cells, wanted)  # type: ignore[no-any-return,no-untyped-call]


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The P distinct cells that are positive for some type, in the order of their samples."""

    #: [P] each: where the cell stands.
    sample: Tensor
    start: Tensor
    end: Tensor
    #: [P, T]: the types it is positive for.
    positive: Tensor
    #: How many cells come before each sample, and P: B + 1 numbers.
    before: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """Query, key [B, L, d], start and end [B, T, L]: the four inputs in one dtype, or their gradients."""

    query: Tensor
    key: Tensor
    start: Tensor
    end: Tensor

    def of(self, rows: slice, dtype: torch.dtype) -> _Parts:
        return _Parts(*(part[rows].to(dtype) for part in (self.query, self.key, self.start, self.end)))


class _SpanLoss(torch.autograd.Function):
    """The gradients are formed together with the value, while E is at hand, and kept until they are asked for."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        start_bias: Tensor,
        end_bias: Tensor,
        mask: Tensor,
        cells: _Cells,
        wanted: bool,
    ) -> Tensor:
        inputs = (query, key, start_bias, end_bias)
        dtype = reduce(torch.promote_types, [tensor.dtype for tensor in inputs])
        wide = torch.promote_types(dtype, torch.float32)
        # What stands at other tokens must not matter, not even if it is no number.
        other = ~mask
        parts = _Parts(
            *(t.to(wide).masked_fill(other[:, :, None], 0) for t in inputs[:2]),
            *(t.to(wide).masked_fill(other[:, None], -torch.inf) for t in inputs[2:]),
        )
        gradients = _Parts(*(torch.zeros_like(t, dtype=wide) for t in inputs)) if wanted else None
        # Autocast would round the scores, which are exponents, to half precision.
        with torch.autocast(query.device.type, enabled=False):
            value = _mean_loss(parts, mask, cells, gradients)
        if gradients is not None:
            ctx.save_for_backward(gradients.query, gradients.key, gradients.start, gradients.end)
        ctx.dtypes = [tensor.dtype for tensor in inputs]
        return value.to(dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        # torch's once_differentiable lets a second derivative pass as zero where the incoming gradient is a constant.
        if torch.is_grad_enabled():
            raise RuntimeError("span_loss keeps a gradient that cannot be differentiated again (create_graph=True)")
        kept = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *((upstream * gradient).to(dtype) for gradient, dtype in kept), None, None, None


def _mean_loss(parts: _Parts, mask: Tensor, cells: _Cells, gradients: _Parts | None) -> Tensor:
    """The loss, float64; its gradients are added to ``gradients``."""
    samples, types, length = parts.start.shape
    named = _named_scores(parts, cells)
    log_positive = _log_sums(torch.where(cells.positive, -named, -torch.inf), cells)
    # What no cell names is added below.
    log_negative = _log_sums(torch.where(cells.positive, -torch.inf, named), cells)
    tokens = mask.sum(1)
    unnamed = tokens * (tokens + 1) // 2 > tokens.new_tensor(cells.before).diff()

    negatives = _Negatives(parts, cells, log_negative, gradients, samples * types)
    at_once = max(1, (AT_ONCE_ON_CPU if mask.device.type == "cpu" else AT_ONCE) // length**2)
    missing = unnamed[:, None].expand(samples, types).clone()
    for first in range(0, samples, at_once):
        negatives.add(slice(first, first + at_once), missing, parts.start.dtype)
    for sample in missing.any(1).nonzero()[:, 0].tolist():
        negatives.add(slice(sample, sample + 1), missing, torch.float64)
    for sample, kind in missing.nonzero().tolist():
        negatives.add_each(sample, kind)

    if gradients is not None:
        share = torch.where(
            cells.positive,
            -(-named - _softplus(log_positive)[cells.sample]).exp(),
            (named - _softplus(log_negative)[cells.sample]).exp(),
        )
        _add_named(gradients, parts, cells, share / (samples * types))
    return (_softplus(log_negative) + _softplus(log_positive)).mean()


@dataclass(frozen=True, slots=True, eq=False)
class _Negatives:
    """Sums over the negatives of every sample and type, as far as they are known."""

    parts: _Parts
    cells: _Cells
    #: [B, T] float64: log of the sum over all negatives; at first over those cells that are positive for another type.
    log_sums: Tensor
    gradients: _Parts | None
    #: What the gradients are divided by.
    count: int

    def add(self, rows: slice, missing: Tensor, dtype: torch.dtype) -> None:
        """Add the factorised sums of these samples to the pairs (sample, type) that are ``missing`` [B, T].

        A pair whose sum ``dtype`` cannot hold stays missing, the others are crossed out.
        """
        part = self.parts.of(rows, dtype)
        length = part.start.shape[2]
        scores = self._scores(part, rows)
        top = _finite(scores.amax((1, 2)))
        exponentials = scores.sub_(top[:, None, None]).exp_()
        start, end = _finite(part.start.amax(2)), _finite(part.end.amax(2))
        from_start, to_end = (part.start - start[:, :, None]).exp_(), (part.end - end[:, :, None]).exp_()
        onward = from_start @ exponentials
        total = (onward * to_end).sum(2)
        # What underflows is less than tiny for each of L^2 terms: together it must not be seen beside the sum.
        limits = torch.finfo(dtype)
        sound = missing[rows] & ~(total < length**2 * limits.tiny / limits.eps)
        log_total = total.double().log() + top[:, None] + start + end
        log_sum = torch.logaddexp(self.log_sums[rows], log_total)
        self.log_sums[rows] = torch.where(sound, log_sum, self.log_sums[rows])
        missing[rows] &= ~sound
        if self.gradients is None:
            return
        weight = (log_total - _softplus(log_sum)).exp() / (self.count * total)
        weight = torch.where(sound, weight, 0.0).to(dtype)[:, :, None]
        weighted = from_start * weight
        slope = (weighted.mT @ to_end).mul_(exponentials)
        self.gradients.query[rows] += slope @ part.key
        self.gradients.key[rows] += slope.mT @ part.query
        self.gradients.start[rows] += weighted.mul_(to_end @ exponentials.mT)
        self.gradients.end[rows] += to_end.mul_(weight).mul_(onward)

    def add_each(self, sample: int, kind: int) -> None:
        """Add one pair's negatives score by score, where no factor of theirs fits into float64."""
        rows = slice(sample, sample + 1)
        part = self.parts.of(rows, torch.float64)
        start, end = part.start[0, kind], part.end[0, kind]
        scores = self._scores(part, rows)[0] + start[:, None] + end
        log_sum = torch.logaddexp(self.log_sums[sample, kind], scores.flatten().logsumexp(0))
        self.log_sums[sample, kind] = log_sum
        if self.gradients is None:
            return
        slope = (scores - _softplus(log_sum)).exp_().div_(self.count)
        self.gradients.query[sample] += slope @ part.key[0]
        self.gradients.key[sample] += slope.mT @ part.query[0]
        self.gradients.start[sample, kind] += slope.sum(1)
        self.gradients.end[sample, kind] += slope.sum(0)

    def _scores(self, part: _Parts, rows: slice) -> Tensor:
        """q k^T of these samples [b, L, L], minus infinity below the diagonal and where a type has a positive."""
        length = part.query.shape[1]
        lower = part.query.new_full((length, length), -torch.inf).tril_(-1)
        scores = torch.baddbmm(lower, part.query, part.key.mT)
        cells = self.cells
        mine = slice(cells.before[rows.start], cells.before[min(rows.stop, len(cells.before) - 1)])
        scores[cells.sample[mine] - rows.start, cells.start[mine], cells.end[mine]] = -torch.inf
        return scores


def _positive_cells(spans: Tensor, mask: Tensor, types: int) -> _Cells:
    """The distinct cells of ``spans`` [S, 4]. Raises ValueError naming the first row that is no span."""
    samples, length = mask.shape
    if spans.dim() != 2 or spans.shape[1] != 4 or spans.is_floating_point():
        raise ValueError(f"spans {list(spans.shape)} of {spans.dtype}: integers [S, 4] are needed")
    sample, kind, start, end = spans.to(mask.device, torch.long).unbind(1)
    limits = ((sample, samples), (kind, types), (start, length), (end, length))
    inside = torch.stack([(column >= 0) & (column < size) for column, size in limits]).all(0) & (start <= end)
    corner = (sample.where(inside, 0), start.where(inside, 0), end.where(inside, 0))
    sound = inside & mask[corner[0], corner[1]] & mask[corner[0], corner[2]]
    if not sound.all():
        row = int((~sound).nonzero()[0])
        raise ValueError(
            f"spans {list(spans.shape)}: row {row} is {spans[row].tolist()}, but (sample, type, start, end) must lie"
            f" below {(samples, types, length, length)}, start <= end, and begin and end at tokens of the mask"
        )
    cell, which = torch.unique((sample * length + start) * length + end, return_inverse=True)
    positive = torch.zeros(len(cell), types, dtype=torch.bool, device=mask.device)
    positive[which, kind] = True
    of = cell // length**2
    before = torch.searchsorted(of, torch.arange(samples + 1, device=of.device)).tolist()
    return _Cells(of, cell // length % length, cell % length, positive, before)


def _named_scores(parts: _Parts, cells: _Cells) -> Tensor:
    """The scores of the cells under every type [P, T], float64."""
    query, key = parts.query[cells.sample, cells.start].double(), parts.key[cells.sample, cells.end].double()
    biases = parts.start.mT[cells.sample, cells.start].double() + parts.end.mT[cells.sample, cells.end].double()
    return (query * key).sum(1, keepdim=True) + biases


def _add_named(gradients: _Parts, parts: _Parts, cells: _Cells, slope: Tensor) -> None:
    """Add what the cells' scores, whose gradient is ``slope`` [P, T], give to the inputs' gradients."""
    sample, start, end = cells.sample, cells.start, cells.end
    slope = slope.to(parts.query.dtype)
    of_all = slope.sum(1, keepdim=True)
    gradients.query.index_put_((sample, start), of_all * parts.key[sample, end], accumulate=True)
    gradients.key.index_put_((sample, end), of_all * parts.query[sample, start], accumulate=True)
    gradients.start.mT.index_put_((sample, start), slope, accumulate=True)
    gradients.end.mT.index_put_((sample, end), slope, accumulate=True)


def _log_sums(values: Tensor, cells: _Cells) -> Tensor:
    """Log of the summed exponentials of ``values`` [P, T] over the cells of each sample [B, T]."""
    shape = len(cells.before) - 1, values.shape[1]
    top = values.new_full(shape, -torch.inf)
    top = _finite(top.scatter_reduce_(0, cells.sample[:, None].expand_as(values), values, "amax"))
    sums = torch.zeros_like(top).index_add_(0, cells.sample, (values - top[cells.sample]).exp())
    return sums.log() + top


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), with no threshold as torch's has."""
    return -F.logsigmoid(-x)


def _finite(top: Tensor) -> Tensor:
    """A maximum to subtract: 0 where there was nothing but minus infinity."""
    return top.masked_fill(top == -torch.inf, 0.0)
