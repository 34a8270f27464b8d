"""FlatNCE and InfoNCE without the matrix of all scores in memory: tiles of it, value and gradient in closed form.

With unit rows z, scores s_ij = z_i . z_j / temperature, and for each anchor i the total t_i of exp(s_ij) over its
negatives, log xi_i = log t_i - s_i,positive. For a loss whose gradient is w_i times that of log xi_i

    dL / ds_ij = w_i exp(s_ij) / t_i at a negative,    -w_i at the positive.

A pair of rows is a negative of both, so that one exponential serves two anchors: together exp(s_ij) (w_i / t_i + w_j /
t_j). What is near 1 is never subtracted from 1: w_i keeps its accuracy however easy the anchor is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from harness_plugins.flatnce.losses import FlatNCE, InfoNCE, Negatives, unit_rows

#: Rows and columns of a tile. On a CPU a tile and its gradient lie in the second-level cache.
SIDE_ON_CPU, SIDE = 512, 4096
#: Exponentials that are kept for the gradient, 16 MB in float32; beyond it they are computed a second time.
KEPT = 2**22

#: log xi of every anchor [N] to the loss of each, or to the weight of each.
Closed = Callable[[Tensor], Tensor]


class TiledFlatNCE(FlatNCE):
    """FlatNCE, its memory linear in the batch. Cannot be differentiated twice; flatnce-dense can.

    >>> TiledFlatNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(-1.3069)
    """

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        return mean_loss(view_a, view_b, self.temperature, self.negatives, self.value, self.weight)


class TiledInfoNCE(InfoNCE):
    """InfoNCE, its memory linear in the batch. Cannot be differentiated twice; infonce-dense can.

    >>> TiledInfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(0.2395)
    """

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        return mean_loss(view_a, view_b, self.temperature, self.negatives, self.value, self.weight)


def mean_loss(
    view_a: Tensor, view_b: Tensor, temperature: float, negatives: Negatives, value: Closed, weight: Closed
) -> Tensor:
    """Mean over all anchors of ``value(log xi)``, a scalar of the views' dtype; ``weight`` is ``value``'s derivative.

    ``view_a`` and ``view_b`` [B, d] are as the function ``losses.scores`` has them, and so is ``negatives``. Half
    precisions are computed in float32, under autocast too. Raises ValueError as ``scores`` does, and RuntimeError
    where a graph of the gradient is asked for.

    >>> mean_loss(torch.eye(2), torch.eye(2), 0.5, "cross", lambda log_xi: log_xi, torch.ones_like)  # log(exp(0)) - 2
    tensor(-2.)
    """
    wide = torch.promote_types(view_a.dtype, torch.float32)
    # Autocast would round the scores, which are exponents, to half precision.
    with torch.autocast(view_a.device.type, enabled=False):
        unit_a, unit_b = unit_rows(view_a.to(wide), view_b.to(wide))
        wanted = torch.is_grad_enabled() and (unit_a.requires_grad or unit_b.requires_grad)
        settings = (temperature, negatives, value, weight, wanted)
        return _MeanLoss.apply(unit_a, unit_b, *settings).to(view_a.dtype)  # type: ignore[no-any-return,no-untyped-call]


class _MeanLoss(torch.autograd.Function):
    """The gradient is formed together with the value, from the same exponentials, and kept until it is asked for."""

    @staticmethod
    def forward(
        ctx: Any,
        unit_a: Tensor,
        unit_b: Tensor,
        temperature: float,
        negatives: Negatives,
        value: Closed,
        weight: Closed,
        wanted: bool,
    ) -> Tensor:
        pairs = len(unit_a)
        positive = (unit_a.double() * unit_b).sum(1).div_(temperature)
        # One factor on both sides: the scores are as symmetric as the cosines.
        scaled = torch.cat([unit_a, unit_b]).mul_(temperature**-0.5)
        gradient = torch.zeros_like(scaled) if wanted else None
        limits = torch.finfo(scaled.dtype)
        reach = 1 / temperature + math.log(2 * pairs)
        compute = _shared if reach < min(math.log(limits.max), -math.log(limits.tiny)) - 1 else _row_by_row
        log_xi = compute(scaled, positive, negatives == "all", weight, gradient)
        if gradient is not None:
            # Both of a pair are anchors, and each is the other's positive.
            pull = weight(log_xi).view(2, pairs).sum(0).to(scaled.dtype)
            mirrored = scaled.view(2, pairs, -1).flip(0).mul_(pull[:, None])
            gradient.sub_(mirrored.view_as(gradient)).mul_(temperature**-0.5 / (2 * pairs))
            ctx.save_for_backward(gradient)
        return value(log_xi).mean().to(scaled.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        # torch's once_differentiable lets a second derivative pass as zero where the incoming gradient is a constant.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this loss keeps a gradient that cannot be differentiated again: flatnce-dense and"
                " infonce-dense can be (create_graph=True)"
            )
        (gradient,) = ctx.saved_tensors
        return *(upstream * gradient).chunk(2), None, None, None, None, None


def _shared(rows: Tensor, positive: Tensor, within: bool, weight: Closed, gradient: Tensor | None) -> Tensor:
    """log xi of all anchors [2B], float64, from exponentials that two anchors share: no score may be too large for one.

    ``rows`` [2B, d] are the unit rows over the root of the temperature. Adds to ``gradient`` [2B, d] what the
    negatives give to 2B times the loss.
    """
    totals = rows.new_zeros(len(rows), dtype=torch.float64)
    tiles = list(_tiles(len(rows), within, _side(rows)))
    sizes = [(b - a) * (d - c) for a, b, c, d in tiles]
    keep = gradient is not None and sum(sizes) <= KEPT
    # One piece of memory that is written again and again is faster than fresh ones.
    space = rows.new_empty(sum(sizes) if keep else max(sizes))
    places = [0, *accumulate(sizes)] if keep else [0] * len(sizes)
    for tile, place in zip(tiles, places, strict=False):
        a, b, c, d = tile
        exponentials = _exponentials(rows, tile, space[place:])
        totals[a:b] += exponentials.sum(1)
        if a != c:
            totals[c:d] += exponentials.sum(0)
    log_xi = totals.log() - positive.repeat(2)
    if gradient is None:
        return log_xi
    share = (weight(log_xi) / totals).to(rows.dtype)
    shares = rows.new_empty(max(sizes))
    for tile, place, size in zip(tiles, places, sizes, strict=False):
        a, b, c, d = tile
        slope = space[place : place + size].view(b - a, d - c) if keep else _exponentials(rows, tile, space)
        slope.mul_(torch.add(share[a:b, None], share[c:d], out=shares[:size].view(b - a, d - c)))
        gradient[a:b].addmm_(slope, rows[c:d])
        if a != c:
            gradient[c:d].addmm_(slope.T, rows[a:b])
    return log_xi


def _tiles(count: int, within: bool, side: int) -> Iterator[tuple[int, int, int, int]]:
    """Rows from a to b and columns from c to d of every tile: the upper triangle, or view a against view b alone."""
    pairs = count // 2
    for a in range(0, count if within else pairs, side):
        b = min(a + side, count if within else pairs)
        for c in range(a if within else pairs, count, side):
            yield a, b, c, min(c + side, count)


def _exponentials(rows: Tensor, tile: tuple[int, int, int, int], space: Tensor) -> Tensor:
    """exp of the scores of a tile, 0 where both rows are of one pair; written to the beginning of ``space``."""
    a, b, c, d = tile
    exponentials = space[: (b - a) * (d - c)].view(b - a, d - c)
    torch.mm(rows[a:b], rows[c:d].T, out=exponentials).exp_()
    _fill_pairs(exponentials, a - c, len(rows) // 2, 0.0)
    return exponentials


def _fill_pairs(tile: Tensor, offset: int, pairs: int, value: float) -> None:
    """Fill where row and column, ``offset`` apart at the tile's corner, are one view or the two views of one image."""
    for shift in (-pairs, 0, pairs):
        if -len(tile) < offset + shift < tile.shape[1]:
            tile.diagonal(offset + shift).fill_(value)


def _row_by_row(rows: Tensor, positive: Tensor, within: bool, weight: Closed, gradient: Tensor | None) -> Tensor:
    """The same whatever the temperature: each anchor's own maximum is taken out, so that nothing is shared."""
    count, pairs = len(rows), len(rows) // 2
    at_once = max(1, _side(rows) ** 2 // count)
    found = []
    for view in (slice(0, pairs), slice(pairs, count)):
        c, d = (0, count) if within else (pairs - view.start, count + pairs - view.stop)
        for a in range(view.start, view.stop, at_once):
            b = min(a + at_once, view.stop)
            scores = rows[a:b] @ rows[c:d].T
            _fill_pairs(scores, a - c, pairs, -torch.inf)
            top = scores.amax(1, keepdim=True)
            exponentials = scores.sub_(top).exp_()
            total = exponentials.sum(1, dtype=torch.float64)
            log_xi = total.log() + top[:, 0] - positive[a - view.start : b - view.start]
            found.append(log_xi)
            if gradient is not None:
                slope = exponentials.mul_((weight(log_xi) / total).to(rows.dtype)[:, None])
                gradient[a:b].addmm_(slope, rows[c:d])
                gradient[c:d].addmm_(slope.mT, rows[a:b])
    return torch.cat(found)


def _side(rows: Tensor) -> int:
    return SIDE_ON_CPU if rows.device.type == "cpu" else SIDE
