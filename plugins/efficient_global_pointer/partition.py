"""Efficient GlobalPointer's loss without its B x T x L x L scores: every type's sum over all spans is factorised.

The score of the span from token i to token j under type a is s_a(i, j) = q_i . k_j + u_a(i) + v_a(j), i <= j
(kexue.fm/archives/8877). For one sample and type the multi-label loss (kexue.fm/archives/7359, arXiv 2208.02955) is

    log(1 + sum over negatives of exp(s_a)) + log(1 + sum over positives of exp(-s_a)).

The sum over all i <= j of exp(s_a) is U_a^T E V_a with U = exp(u), V = exp(v) and one L x L matrix E = exp(q k^T) for
all types. The positives are never subtracted from it, which would leave nothing but rounding where they dominate:
E is zero at each cell that is positive for any type, and these few cells are added one by one for the types that they
are negatives of. Only positive numbers are ever added.

Samples are taken in the order of their lengths, a few of about the same length together, and no further than the
longest of these; of E only blocks of rows are made, each from the diagonal on.
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

#: Elements of E that are made at once: on a CPU about what its cache holds, any other device is given enough to do.
AT_ONCE_ON_CPU, AT_ONCE = 2**19, 2**26
#: Most blocks of rows, and fewest rows of one: smaller ones take longer to ask for than they spare.
BLOCKS, ROWS = 4, 64

#: Exponentials are taken to the base 2: the library behind torch's exp takes a hundred times as long where a result is
#: subnormal or zero.
_BITS = 1 / math.log(2)


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
    texts = sort_texts(mask.bool())
    cells = find_cells(spans, texts, start_bias.shape[1])
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    return _SpanLoss.apply(*inputs, texts, cells, wanted)  # type: ignore[no-any-return,no-untyped-call]


class _SpanLoss(torch.autograd.Function):
    """The gradients are formed together with the value, while E is at hand, and kept until they are asked for."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        start_bias: Tensor,
        end_bias: Tensor,
        texts: Texts,
        cells: Cells,
        wanted: bool,
    ) -> Tensor:
        inputs = (query, key, start_bias, end_bias)
        dtype = reduce(torch.promote_types, [tensor.dtype for tensor in inputs])
        wide = torch.promote_types(dtype, torch.float32)
        gradients = None
        if wanted:
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
        # torch's once_differentiable lets a second derivative pass as zero where the incoming gradient is a constant.
        if torch.is_grad_enabled():
            raise RuntimeError("span_loss keeps a gradient that cannot be differentiated again (create_graph=True)")
        kept = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *((upstream * gradient).to(dtype) for gradient, dtype in kept), None, None, None


def _mean_loss(parts: Parts, texts: Texts, cells: Cells, gradients: Parts | None, wide: torch.dtype) -> Tensor:
    """The loss, float64; its gradients are added to ``gradients``."""
    samples, types = parts.start.shape[:2]
    named = cell_scores(parts, cells)
    # A cell belongs to the one sum or the other of each type: first come the B x T of negatives, then of positives.
    sums = (cells.positive * samples + cells.rank[:, None]) * types + torch.arange(types, device=named.device)
    exponents = torch.where(cells.positive, -named, named)
    log_sums = _log_sums(exponents, sums, 2 * samples * types)

    negatives = _Negatives(parts, texts, cells, log_sums[: samples * types].view(samples, types), gradients)
    at_once = AT_ONCE_ON_CPU if named.device.type == "cpu" else AT_ONCE
    # What no cell names is added below.
    named_of = zip(texts.tokens, pairwise(cells.before), strict=True)
    unnamed = [tokens * (tokens + 1) // 2 > after - before for tokens, (before, after) in named_of]
    missing = torch.tensor(unnamed, device=named.device)[:, None].expand(samples, types).clone()
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
    """Sums over the negatives of every rank and type, as far as they are known."""

    parts: Parts
    texts: Texts
    cells: Cells
    #: [B, T] float64: log of the sum over all negatives; at first over those cells that are positive for another type.
    log_sums: Tensor
    gradients: Parts | None

    def add(self, first: int, last: int, missing: Tensor, dtype: torch.dtype) -> None:
        """Add the factorised sums of the ranks from ``first`` to before ``last`` to the pairs that are ``missing``.

        A pair (rank, type) of ``missing`` [B, T] whose sum ``dtype`` cannot hold stays so, the others are crossed out.
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
        # What underflows is less than tiny for each of L^2 terms: together it must not be seen beside the sum.
        limits = torch.finfo(dtype)
        sound = missing[first:last] & ~(total < part.query.shape[1] ** 2 * limits.tiny / limits.eps)
        log_total = total.double().log() + (start.double() + end) / _BITS
        log_sum = torch.logaddexp(self.log_sums[first:last], log_total)
        self.log_sums[first:last] = torch.where(sound, log_sum, self.log_sums[first:last])
        missing[first:last] &= ~sound
        if self.gradients is None:
            return
        weight = (log_total - _softplus(log_sum)).exp() / (self.log_sums.numel() * total)
        weighted = from_start.mul_(torch.where(sound, weight, 0.0).to(dtype)[:, :, None])
        of_key, to_column = torch.zeros_like(part.key), torch.zeros_like(to_end)
        for row, block in blocks:
            rows = slice(row, row + block.shape[1])
            to_column[:, :, row:] += weighted[:, :, rows] @ block
            slope = (weighted[:, :, rows].mT @ to_end[:, :, row:]).mul_(block)
            of_key[:, row:].add_(slope.mT @ part.query[:, rows])
            # No later block needs these queries: their gradient takes their place.
            part.query[:, rows] = slope @ part.key[:, row:]
        self._put(first, last, Parts(part.query, of_key, weighted.mul_(onward), to_end.mul_(to_column)))

    def add_each(self, rank: int, kind: int) -> None:
        """Add one pair's negatives score by score, where no factor of theirs fits into float64."""
        part = self._part(rank, rank + 1, torch.float64)
        start, end = part.start[0, kind], part.end[0, kind]
        length = len(start)
        scores = (part.query[0] @ part.key[0].mT).add_(start[:, None]).add_(end)
        scores += scores.new_full((length, length), -torch.inf).tril_(-1)
        mine = self._mine(rank, rank + 1)
        scores[self.cells.start[mine], self.cells.end[mine]] = -torch.inf
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
        """The inputs of these ranks up to the longest's last token, without what stands at other tokens."""
        length, rows = self.texts.lengths[first], self.texts.order[first:last]
        query, key = (
            tensor[:, :length].index_select(0, rows).to(dtype) for tensor in (self.parts.query, self.parts.key)
        )
        start, end = (
            tensor[:, :, :length].index_select(0, rows).to(dtype) for tensor in (self.parts.start, self.parts.end)
        )
        # What stands there must not matter, not even if it is no number.
        if min(self.texts.tokens[first:last]) < length:
            other = ~self.texts.mask[:, :length].index_select(0, rows)
            places = other.flatten().nonzero()[:, 0]
            for tensor in (query, key):
                tensor.view(-1, tensor.shape[2]).index_fill_(0, places, 0)
            for tensor in (start, end):
                tensor.masked_fill_(other[:, None], -torch.inf)
        return Parts(query, key, start, end)

    def _scores(self, part: Parts, first: int, last: int) -> tuple[list[tuple[int, Tensor]], Tensor]:
        """q k^T in bits, block by block of rows with the row that each begins at; and all of them as one row.

        A block [b, rows, columns] has the columns from its first row on. It is minus infinity below the diagonal and
        where a type has a positive.
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
        mine = self._mine(first, last)
        rank, start, end = self.cells.rank[mine] - first, self.cells.start[mine], self.cells.end[mine]
        begun = start // size * size
        left = length - begun
        inside = (rank * left.clamp_max(size) + start - begun) * left + end - begun
        memory[samples * (begun * length - begun * (begun - size) // 2) + inside] = -torch.inf
        return blocks, memory

    def _mine(self, first: int, last: int) -> slice:
        """The cells of these ranks."""
        return slice(self.cells.before[first], self.cells.before[last])

    def _put(self, first: int, last: int, of: Parts) -> None:
        """Put the gradients of these ranks where they belong; to a single rank's they are added."""
        assert self.gradients is not None
        length, rows = of.query.shape[1], self.texts.order[first:last]
        # Several ranks are only ever taken together in their first pass.
        put = torch.Tensor.index_copy_ if last - first > 1 else torch.Tensor.index_add_
        for place, value in (
            (self.gradients.query[:, :length], of.query),
            (self.gradients.key[:, :length], of.key),
            (self.gradients.start[:, :, :length], of.start),
            (self.gradients.end[:, :, :length], of.end),
        ):
            put(place, 0, rows, value.to(place.dtype))


def _log_sums(values: Tensor, sums: Tensor, count: int) -> Tensor:
    """Log of the summed exponentials of all ``values`` that belong to each of ``count`` ``sums``."""
    values, sums = values.flatten(), sums.flatten()
    top = _finite(values.new_full((count,), -torch.inf).scatter_reduce_(0, sums, values, "amax"))
    return torch.zeros_like(top).index_add_(0, sums, (values - top[sums]).exp_()).log_().add_(top)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), with no threshold as torch's has."""
    return -F.logsigmoid(-x)


def _finite(top: Tensor) -> Tensor:
    """A maximum to subtract: 0 where there was nothing but minus infinity."""
    return top.masked_fill(top == -torch.inf, 0.0)
