"""FlatNCE and InfoNCE tile by tile, without the matrix of all scores in memory; value and gradient in closed form.

With unit rows z, scores s_ij = z_i . z_j / temperature, and for each anchor i the total t_i of exp(s_ij) over its
negatives, log xi_i = log t_i - s_i,positive. For a loss whose gradient is w_i times that of log xi_i

    dL / ds_ij = w_i exp(s_ij) / t_i at a negative,    -w_i at the positive.

Rows i and j are negatives of each other, so that one exponential serves two anchors: together exp(s_ij) (w_i / t_i +
w_j / t_j). No number near 1 is subtracted from 1: w_i keeps its accuracy for the easiest anchor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from harness_plugins.flatnce.losses import ContrastiveLoss, FlatNCE, InfoNCE, unit_rows

#: Rows and columns of a tile. On a CPU a tile and its gradient fit into the second-level cache.
SIDE_ON_CPU, SIDE = 512, 4096
#: Up to this many exponentials are stored for the gradient, 16 MB in float32; more are computed a second time.
MOST_STORED = 2**22

#: From log xi of every anchor [N] to the weight of each [N].
Weight = Callable[[Tensor], Tensor]


class TiledFlatNCE(FlatNCE):
    """FlatNCE in memory that grows linearly with the batch. It cannot be differentiated twice; flatnce-dense can.

    >>> TiledFlatNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(-1.3069)
    """

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        return mean_loss(self, view_a, view_b)


class TiledInfoNCE(InfoNCE):
    """InfoNCE in memory that grows linearly with the batch. It cannot be differentiated twice; infonce-dense can.

    >>> TiledInfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(0.2395)
    """

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        return mean_loss(self, view_a, view_b)


def mean_loss(loss: ContrastiveLoss, view_a: Tensor, view_b: Tensor) -> Tensor:
    """Mean over all anchors of ``loss.value(log xi)``, a scalar of the views' dtype.

    ``loss.weight`` must be the derivative of ``loss.value``. ``view_a`` and ``view_b`` [B, d] are those of the
    function ``losses.scores``. Half precisions are computed in float32, under autocast too. Raises ValueError as
    ``scores`` does, and RuntimeError for a graph of the gradient (``create_graph=True``).

    >>> mean_loss(FlatNCE(0.5, "cross"), torch.eye(2), torch.eye(2))  # log(exp(0)) - 2
    tensor(-2.)
    """
    wide = torch.promote_types(view_a.dtype, torch.float32)
    # Autocast would round the scores, which are exponents, to half precision.
    with torch.autocast(view_a.device.type, enabled=False):
        unit_a, unit_b = unit_rows(view_a.to(wide), view_b.to(wide))
        needs_gradient = torch.is_grad_enabled() and (unit_a.requires_grad or unit_b.requires_grad)
        mean: Tensor = _MeanLoss.apply(unit_a, unit_b, loss, needs_gradient)  # type: ignore[no-untyped-call]
        return mean.to(view_a.dtype)


class _MeanLoss(torch.autograd.Function):
    """The forward pass computes the gradient with the value, from the same exponentials, and saves it."""

    @staticmethod
    def forward(ctx: Any, unit_a: Tensor, unit_b: Tensor, loss: ContrastiveLoss, needs_gradient: bool) -> Tensor:
        pairs, temperature = len(unit_a), loss.temperature
        positive = (unit_a.double() * unit_b).sum(1).div_(temperature)
        # The same factor on both rows of a product: the scores are exactly as symmetric as the cosines.
        scaled = torch.cat([unit_a, unit_b]).mul_(temperature**-0.5)
        gradient = torch.zeros_like(scaled) if needs_gradient else None
        limits = torch.finfo(scaled.dtype)
        # No exponential, and no total of them, is above exp(largest) or below exp(-largest).
        largest = 1 / temperature + math.log(2 * pairs)
        by_tiles = largest < min(math.log(limits.max), -math.log(limits.tiny)) - 1
        compute = _log_xi_by_tiles if by_tiles else _log_xi_by_rows
        log_xi = compute(scaled, positive, loss.negatives == "all", loss.weight, gradient)
        if gradient is not None:
            # Both rows of a pair are anchors, and each is the positive of the other.
            pull = loss.weight(log_xi).view(2, pairs).sum(0).to(scaled.dtype)
            mirrored = scaled.view(2, pairs, -1).flip(0).mul_(pull[:, None])
            gradient.sub_(mirrored.view_as(gradient)).mul_(temperature**-0.5 / (2 * pairs))
            ctx.save_for_backward(gradient)
        return loss.value(log_xi).mean().to(scaled.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        # torch's once_differentiable gives zero as the second derivative where the incoming gradient is a constant.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this loss cannot be differentiated twice; use flatnce-dense or infonce-dense for create_graph=True"
            )
        (gradient,) = ctx.saved_tensors
        return *(upstream * gradient).chunk(2), None, None


def _log_xi_by_tiles(rows: Tensor, positive: Tensor, within: bool, weight: Weight, gradient: Tensor | None) -> Tensor:
    """log xi of all anchors [2B], float64. Two anchors share an exponential, so that no score may overflow it.

    ``rows`` [2B, d] are the unit rows over the root of the temperature. ``within``: rows of one view are negatives
    of each other. Adds the part of the negatives in the gradient of 2B times the loss to ``gradient`` [2B, d].
    """
    totals = rows.new_zeros(len(rows), dtype=torch.float64)
    tiles = list(_tiles(len(rows), within, _side(rows)))
    sizes = [(b - a) * (d - c) for a, b, c, d in tiles]
    stored = gradient is not None and sum(sizes) <= MOST_STORED
    # Writing to the same memory again and again is faster than to new memory.
    space = rows.new_empty(sum(sizes) if stored else max(sizes))
    places = [0, *accumulate(sizes)] if stored else [0] * len(sizes)
    for tile, place in zip(tiles, places, strict=False):
        a, b, c, d = tile
        exponentials = _exponentials(rows, tile, space[place:])
        totals[a:b] += exponentials.sum(1)
        if a != c:
            totals[c:d] += exponentials.sum(0)
    log_xi = totals.log() - positive.repeat(2)
    if gradient is None:
        return log_xi
    # w_i / t_i of the formula above, and memory for the sums of two of them.
    quotients = (weight(log_xi) / totals).to(rows.dtype)
    sums = rows.new_empty(max(sizes))
    for tile, place, size in zip(tiles, places, sizes, strict=False):
        a, b, c, d = tile
        slope = space[place : place + size].view(b - a, d - c) if stored else _exponentials(rows, tile, space)
        slope.mul_(torch.add(quotients[a:b, None], quotients[c:d], out=sums[:size].view(b - a, d - c)))
        gradient[a:b].addmm_(slope, rows[c:d])
        if a != c:
            gradient[c:d].addmm_(slope.T, rows[a:b])
    return log_xi


def _tiles(count: int, within: bool, side: int) -> Iterator[tuple[int, int, int, int]]:
    """(a, b, c, d) of every tile, its rows from a to b and columns from c to d.

    ``within``: the tiles of the upper triangle; otherwise those of the first view's rows and the second's columns.
    """
    pairs = count // 2
    for a in range(0, count if within else pairs, side):
        b = min(a + side, count if within else pairs)
        for c in range(a if within else pairs, count, side):
            yield a, b, c, min(c + side, count)


def _exponentials(rows: Tensor, tile: tuple[int, int, int, int], space: Tensor) -> Tensor:
    """exp of the scores of a tile, 0 for two rows of one pair; written to the beginning of ``space``."""
    a, b, c, d = tile
    exponentials = space[: (b - a) * (d - c)].view(b - a, d - c)
    torch.mm(rows[a:b], rows[c:d].T, out=exponentials).exp_()
    _fill_pairs(exponentials, a - c, len(rows) // 2, 0.0)
    return exponentials


def _fill_pairs(tile: Tensor, offset: int, pairs: int, value: float) -> None:
    """Fill the entries whose row and column are of one pair: the same row, or the two views of one image.

    ``offset`` is the row's number minus the column's at the tile's first entry.
    """
    for shift in (-pairs, 0, pairs):
        if -len(tile) < offset + shift < tile.shape[1]:
            tile.diagonal(offset + shift).fill_(value)


def _log_xi_by_rows(rows: Tensor, positive: Tensor, within: bool, weight: Weight, gradient: Tensor | None) -> Tensor:
    """``_log_xi_by_tiles`` for every temperature: each anchor's own maximum is subtracted, so nothing is shared."""
    count, pairs = len(rows), len(rows) // 2
    rows_at_once = max(1, _side(rows) ** 2 // count)
    parts = []
    for view in (slice(0, pairs), slice(pairs, count)):
        c, d = (0, count) if within else (pairs - view.start, count + pairs - view.stop)
        for a in range(view.start, view.stop, rows_at_once):
            b = min(a + rows_at_once, view.stop)
            scores = rows[a:b] @ rows[c:d].T
            _fill_pairs(scores, a - c, pairs, -torch.inf)
            top = scores.amax(1, keepdim=True)
            exponentials = scores.sub_(top).exp_()
            total = exponentials.sum(1, dtype=torch.float64)
            log_xi = total.log() + top[:, 0] - positive[a - view.start : b - view.start]
            parts.append(log_xi)
            if gradient is not None:
                slope = exponentials.mul_((weight(log_xi) / total).to(rows.dtype)[:, None])
                gradient[a:b].addmm_(slope, rows[c:d])
                gradient[c:d].addmm_(slope.mT, rows[a:b])
    return torch.cat(parts)


def _side(rows: Tensor) -> int:
    return SIDE_ON_CPU if rows.device.type == "cpu" else SIDE
