"""Multi-label losses on scores: the multi-label cross-entropy ZLPR in several forms, and its rivals.

For one row of scores s with positive labels P and negative labels N (kexue.fm/archives/7359; arXiv 2208.02955, ZLPR),

    log(1 + sum_{N} e^s) + log(1 + sum_{P} e^-s),        predict s > 0.

A score of minus infinity is no label at all. Functions give the loss of each row, [N], from logits [N, C] and targets
[N, C], bool or 0 and 1; ``MultilabelLoss`` is their mean over rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def zlpr(logits: Tensor, target: Tensor) -> Tensor:
    """The loss from dense targets, exact at every finite score.

    ``target`` may also hold soft labels y in [0, 1] (kexue.fm/archives/9064): log(1 + sum (1-y) e^s) plus
    log(1 + sum y e^-s).

    >>> zlpr(torch.tensor([[2.0, -1.0, 0.0]]), torch.tensor([[True, False, False]]))
    tensor([0.9889])
    """
    if target.dtype == torch.bool:
        return _with_zero(logits.masked_fill(target, -torch.inf)) + _with_zero(
            (-logits).masked_fill(~target, -torch.inf)
        )
    # For an entry that is no label, s = -inf, -s + log 0 would be inf - inf.
    possible = logits > -torch.inf
    negative = (logits + torch.log1p(-target)).masked_fill(~possible | (target == 1), -torch.inf)
    weight = torch.where(possible & (target > 0), target, torch.ones_like(target))
    positive = (torch.log(weight) - logits).masked_fill(~possible | (target == 0), -torch.inf)
    return _with_zero(negative) + _with_zero(positive)


def zlpr_published(logits: Tensor, target: Tensor) -> Tensor:
    """The loss as first published: labels of the other kind are shifted by 1e12 instead of left out."""
    signed = torch.where(target, -logits, logits)
    shift = target.to(logits.dtype) * 1e12
    return _with_zero(signed - shift) + _with_zero(signed - (1e12 - shift))


def zlpr_sparse_published(logits: Tensor, row: Tensor, column: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The sparse form (kexue.fm/archives/8888): the negatives' sum is that of all labels less that of the positives.

    Positives are indices ``row`` [M] and ``column`` [M]. 1 - e^(b-a), with a the log of the sum of all and b that of
    the positives, is clamped to ``epsilon`` from below. Where that happens the value is too large, and the gradient is
    that of the sum of all labels, positives included.
    """
    positive = logits[row, column]
    of_all = _with_zero(logits)
    of_positives = _by_row(positive, row, len(logits), zero=False)
    remaining = torch.clamp(1 - torch.exp(of_positives - of_all), epsilon, 1)
    return of_all + torch.log(remaining) + _by_row(-positive, row, len(logits), zero=True)


def zlpr_sparse_safe(logits: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The sparse form without a subtraction: positives are removed before the sum, so nothing cancels."""
    positive = logits[row, column]
    removed = torch.full_like(positive, -torch.inf).detach()
    return _with_zero(logits.index_put((row, column), removed)) + _by_row(-positive, row, len(logits), zero=True)


def multilabel_softmax(logits: Tensor, target: Tensor) -> Tensor:
    """log(1 + sum over pairs of e^(negative - positive)): the loss without a zero score for the threshold.

    With exactly one positive it is the softmax cross-entropy.
    """
    negative = torch.logsumexp(logits.masked_fill(target, -torch.inf), dim=-1)
    positive = torch.logsumexp((-logits).masked_fill(~target, -torch.inf), dim=-1)
    return F.softplus(negative + positive)


def binary(logits: Tensor, target: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy, mean over the labels of a row, with the positives' part times ``positive_weight``."""
    of_label = torch.where(target, positive_weight * F.softplus(-logits), F.softplus(logits))
    return of_label.mean(dim=-1)


@dataclass(frozen=True)
class MultilabelLoss:
    """A loss by the name of its form: logits [N, C] and target [N, C] to the mean over rows, a scalar.

    Raises ValueError if shapes differ or a target is not allowed.

    >>> loss = MultilabelLoss("zlpr")
    >>> loss(torch.zeros(2, 3), torch.tensor([[True, False, False], [False, False, False]]))
    tensor(1.5890)
    """

    form: str
    epsilon: float = 1e-7
    positive_weight: float = 1.0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        if len(logits) == 0:
            raise ValueError(f"logits {tuple(logits.shape)}: at least one row is needed for a mean over rows")
        return self.rows(logits, target).mean()

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, [N]."""
        target = _checked(logits, target, soft=self.form == "zlpr")
        if self.form == "zlpr":
            return zlpr(logits, target)
        if self.form == "published":
            return zlpr_published(logits, target)
        if self.form == "softmax":
            return multilabel_softmax(logits, target)
        if self.form == "binary":
            return binary(logits, target, self.positive_weight)
        return self.sparse_rows(logits, *target.nonzero().T)

    def sparse_rows(self, logits: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The loss of each row [N] with the positives as indices [M], for sparse forms."""
        if self.form == "sparse-published":
            return zlpr_sparse_published(logits, row, column, self.epsilon)
        if self.form == "sparse-safe":
            return zlpr_sparse_safe(logits, row, column)
        raise ValueError(f"form = {self.form!r} takes no indices: sparse-published and sparse-safe do")

    @property
    def sparse(self) -> bool:
        """Whether positives are given as indices."""
        return self.form.startswith("sparse")


def _checked(logits: Tensor, target: Tensor, soft: bool) -> Tensor:
    if logits.dim() != 2 or logits.shape != target.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and target {tuple(target.shape)}: both [N, C] are needed")
    if target.dtype == torch.bool:
        return target
    if not soft:
        if len(wrong := ((target != 0) & (target != 1)).nonzero()):
            row, column = wrong[0].tolist()
            value = target[row, column].item()
            raise ValueError(f"target[{row}, {column}] = {value}: this loss takes 0 and 1, zlpr takes soft labels")
        return target == 1
    if len(wrong := (~((target >= 0) & (target <= 1))).nonzero()):
        row, column = wrong[0].tolist()
        value = target[row, column].item()
        raise ValueError(f"target[{row}, {column}] = {value}: a label from 0 to 1 is needed")
    return target.to(logits.dtype)


def _with_zero(scores: Tensor) -> Tensor:
    """log(1 + sum e^scores) over the last dimension."""
    return torch.logsumexp(F.pad(scores, (1, 0)), dim=-1)


def _by_row(values: Tensor, row: Tensor, rows: int, zero: bool) -> Tensor:
    """log sum e^values of each row [rows] from values [M] with their rows; ``zero`` adds a score of 0 to each row.

    A row without values gives -inf, or 0 with ``zero``.
    """
    top = torch.full((rows,), 0.0 if zero else -torch.inf, dtype=values.dtype, device=values.device)
    top = top.scatter_reduce(0, row, values.detach(), "amax")
    shift = top.clamp_min(torch.finfo(values.dtype).min)
    start = torch.exp(-shift) if zero else torch.zeros_like(shift)
    return torch.log(start.scatter_add(0, row, torch.exp(values - shift[row]))) + shift


#: The forms by the names they are registered under.
zlpr_loss, published_loss, sparse_published_loss, sparse_safe_loss, softmax_loss, binary_loss = (
    partial(MultilabelLoss, form)
    for form in ("zlpr", "published", "sparse-published", "sparse-safe", "softmax", "binary")
)
