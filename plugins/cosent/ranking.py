"""CoSENT's loss in O(N log N) time and O(N) memory: value and gradient in closed form from sorted labels.

For N scores c_i (cosines, say) with labels y_i, only whose order counts,

    L = log(1 + S),    S = sum over all y_i > y_j of exp(scale (c_j - c_i)) = sum_i exp(-scale c_i) A_i,

where A_i sums exp(scale c_j) over the lower labels y_j < y_i (CoSENT, kexue.fm/archives/8847). With B_j the sum of
exp(-scale c_i) over the higher labels y_i > y_j,

    dL / dc_k = scale / (1 + S) (exp(scale c_k) B_k - exp(-scale c_k) A_k).

A and B are running sums over the scores in the order of their labels, read where a group of equal labels begins and
ends. They add positive numbers only, so each keeps its relative accuracy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from harness_plugins.running_sums import running_sum

#: Largest scale * (greatest score - least score) that is computed with exponentials: if they are centred, products of
#: two and sums of N^2 stay far from both ends of float64's range. Beyond it, sums are kept as logarithms: slower.
WIDEST = 600.0


def ranking_loss(score: Tensor, label: Tensor, scale: float = 20.0) -> Tensor:
    """log(1 + sum over label_i > label_j of exp(scale (score_j - score_i))), a scalar of the scores' dtype.

    ``score`` [N] is floating, ``label`` [N] of any real dtype: binary, graded, continuous, with ties. Equal labels are
    not compared: the loss is 0 if all are equal or N < 2. Computed in float64 for every dtype, so that a small loss is
    not rounded to 0 and a float32 gradient is right to a rounding or two. A score that is not finite makes loss and
    gradient NaN. Labels and scores decide which code runs, so on a GPU the call waits for a few numbers.

    Can be differentiated once: asking for a graph of the gradient (``create_graph=True``) raises RuntimeError. Raises
    ValueError for other shapes, a score that is not floating-point, a NaN label, and a scale that is not positive.

    >>> ranking_loss(torch.tensor([0.9, 0.2, 0.4]), torch.tensor([1, 0, 0]))  # log(1 + exp(-14) + exp(-10))
    tensor(4.6230e-05)
    >>> ranking_loss(torch.tensor([0.9, 0.2, 0.4]), torch.tensor([5.0, 1.0, 3.0]))  # plus exp(-4): 0.2 is below 0.4
    tensor(0.0182)
    """
    if score.dim() != 1 or label.shape != score.shape:
        raise ValueError(f"score {list(score.shape)} and label {list(label.shape)}: both must be [N]")
    if not scale > 0:
        raise ValueError(f"scale = {scale}: a number above 0 is needed")
    if not score.is_floating_point():
        raise ValueError(f"score {list(score.shape)} has dtype {score.dtype}: a floating-point tensor is needed")
    if label.is_complex():
        raise ValueError(f"label {list(label.shape)} has dtype {label.dtype}: labels must have an order")
    needs_gradient = torch.is_grad_enabled() and score.requires_grad
    return _RankingLoss.apply(score, label, scale, needs_gradient)  # type: ignore[no-any-return,no-untyped-call]


class _RankingLoss(torch.autograd.Function):
    """Computes the gradient together with the value, from the same sums, and keeps it for the backward pass."""

    @staticmethod
    def forward(ctx: Any, score: Tensor, label: Tensor, scale: float, needs_gradient: bool) -> Tensor:
        value, gradient = _value_and_gradient(score, label, scale, needs_gradient)
        if gradient is not None:
            # Not in half precision: small numbers would be lost before a gradient scaler could save them.
            ctx.save_for_backward(gradient.to(torch.promote_types(score.dtype, torch.float32)))
        return value.to(score.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        # torch's once_differentiable would give a second derivative of zero if the incoming gradient is a constant.
        if torch.is_grad_enabled():
            raise RuntimeError("ranking_loss keeps a gradient that cannot be differentiated again (create_graph=True)")
        (gradient,) = ctx.saved_tensors
        return (upstream * gradient).to(upstream.dtype), None, None, None


def _value_and_gradient(
    score: Tensor, label: Tensor, scale: float, needs_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """L and, if needed, dL / dc [N], both float64."""
    if label.dtype in (torch.bool, torch.float16, torch.bfloat16):
        label = label.float()
    wide = score.to(torch.float64, copy=True)
    if not len(wide):
        return wide.new_zeros(()), wide
    lowest, highest = label.aminmax()
    if lowest != lowest:
        row = int(label.isnan().nonzero()[0])
        raise ValueError(f"label {list(label.shape)}: row {row} is NaN, which is neither above nor below another")
    least, greatest = (end.item() for end in wide.aminmax())
    if not math.isfinite(greatest - least):
        return wide.new_full((), math.nan), wide.fill_(math.nan)
    scaled = wide.sub_((least + greatest) / 2).mul_(scale)
    if (greatest - least) * scale > WIDEST:
        value, gradient = _in_logarithms(scaled, label, needs_gradient)
    else:
        below, above = label == lowest, label == highest
        if torch.equal(below, above.logical_not()):
            value, gradient = _two_groups(scaled, below.double(), above.double())
        else:
            value, gradient = _many_groups(scaled, label, needs_gradient)
    return value, None if gradient is None else gradient.mul_(scale)


def _two_groups(scaled: Tensor, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
    """Binary labels, each group given as ones among zeros: without sorting, as S is a product of two sums."""
    exponentials = scaled.mul_(below - above).exp_()
    lower, higher = exponentials.dot(below).item(), exponentials.dot(above).item()
    share = 1 / (1 + lower * higher)
    gradient = exponentials.mul_(below.mul_(higher * share).sub_(above, alpha=lower * share))
    return gradient.new_full((), math.log1p(lower * higher)), gradient


def _many_groups(scaled: Tensor, label: Tensor, needs_gradient: bool) -> tuple[Tensor, Tensor | None]:
    """Any labels: running sums in the order of the labels give the sums over lower and over higher groups."""
    order, groups = _sorted_groups(label)
    upward = scaled.index_select(0, order).exp_()
    downward = upward.reciprocal()
    lower = groups.before(running_sum(upward), 0.0)
    total = downward.dot(lower)
    if not needs_gradient:
        return total.log1p(), None
    higher = groups.after(running_sum(downward.flip(0)), 0.0)
    gradient = upward.mul_(higher).sub_(downward.mul_(lower)).div_(1 + total)
    return total.log1p(), _unsorted(gradient, order)


def _in_logarithms(scaled: Tensor, label: Tensor, needs_gradient: bool) -> tuple[Tensor, Tensor | None]:
    """The same with sums kept as logarithms, for exponentials that do not fit into float64."""
    order, groups = _sorted_groups(label)
    ordered = scaled.index_select(0, order)
    lower = groups.before(ordered.logcumsumexp(0), -torch.inf) - ordered
    value = -F.logsigmoid(-torch.logsumexp(lower, dim=0))
    if not needs_gradient:
        return value, None
    higher = groups.after((-ordered).flip(0).logcumsumexp(0), -torch.inf) + ordered
    return value, _unsorted((higher - value).exp_() - (lower - value).exp_(), order)


@dataclass(frozen=True, slots=True)
class _Groups:
    """The G groups of equal labels among N sorted ones: the group of each row [N]; begin and end of each group [G]."""

    of_row: Tensor
    begin: Tensor
    end: Tensor

    def before(self, running: Tensor, nothing: float) -> Tensor:
        """For each row, the ``running`` sum [N] before its group begins; ``nothing`` for the first group."""
        return _prepend(nothing, running).index_select(0, self.begin).index_select(0, self.of_row)

    def after(self, running: Tensor, nothing: float) -> Tensor:
        """The same for a sum that runs from the last row to the first: the sum after the row's group."""
        return _prepend(nothing, running).index_select(0, len(running) - self.end).index_select(0, self.of_row)


def _sorted_groups(label: Tensor) -> tuple[Tensor, _Groups]:
    """The row numbers [N] that sort the labels, and the groups of equal labels in that order."""
    # numpy sorts with vector instructions: on a CPU up to ten times as fast as torch.
    order = torch.from_numpy(label.numpy().argsort()) if label.device.type == "cpu" else label.argsort()
    _, of_row, size = torch.unique_consecutive(label.index_select(0, order), return_inverse=True, return_counts=True)
    end = size.cumsum(0)
    return order, _Groups(of_row, end - size, end)


def _prepend(first: float, rest: Tensor) -> Tensor:
    return torch.cat([rest.new_full((1,), first), rest])


def _unsorted(values: Tensor, order: Tensor) -> Tensor:
    return torch.empty_like(values).scatter_(0, order, values)
