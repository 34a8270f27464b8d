"""Alternating normalisation of unsure rows against sure ones: all rows at once, and row by row as published.

For each unsure row q alone, Y = [A; q] with the sure rows A [n, C], and then as often as asked for

    Y <- Y ** alpha;   Y <- Y / colsum(Y) * prior;   Y <- Y / rowsum(Y)

after which the last row of Y is the new q (kexue.fm/archives/8728; arXiv 2109.13449, algorithm 1).
A column that is zero in every row stays zero, where the published code divides zero by zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import UsageError

#: Bytes that the factors of one chunk of unsure rows may take: on a CPU about what its caches hold.
CHUNK_BYTES_ON_CPU, CHUNK_BYTES = 8 * 2**20, 256 * 2**20
#: Below this a power of a probability is taken as lost: above it float64 still has all its digits.
SMALLEST = 1e-290
#: Share of a sum that lost terms may have made.
LOST = 1e-16


def refine_by_factors(sure: Tensor, unsure: Tensor, prior: Tensor, alpha: float, iterations: int) -> Tensor:
    """The unsure rows [J, C] after alternating normalisation, by scalings of rows and columns: all at once.

    ``sure`` [n, C], ``unsure`` [J, C] and ``prior`` [C] are float64. After t steps every sure row is
    u_i A_ic^e v_c with e = alpha^t: powers, row sums and column sums keep that form. So a step is
    two matrix products for all J rows, V @ (A^e)^T for row sums and U @ A^e for column sums; the
    first step's column sums are the same for every row, and the last step needs no row sums of A. That is
    O(J C) for one step and O(J n C) for each further one, in chunks of J that bound the memory.

    Where powers leave float64's range the factors could lose what the rows themselves keep: rows for which
    that cannot be ruled out are recomputed with logarithms, one at a time.

    >>> row = refine_by_factors(torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[0.5, 0.5]]).double(),
    ...                         torch.tensor([0.5, 0.5]).double(), alpha=1.0, iterations=1)
    >>> row.tolist()
    [[0.75, 0.25]]
    """
    # With alpha = 1 every step has the same powers: one copy is enough.
    exponents = [alpha**step for step in range(1, iterations + 1)]
    by_exponent = {exponent: _Power.of(sure, exponent) for exponent in exponents}
    powers = [by_exponent[exponent] for exponent in exponents]
    room = CHUNK_BYTES_ON_CPU if sure.device.type == "cpu" else CHUNK_BYTES
    width = max(1, room // (8 * (len(sure) * (iterations > 1) + 4 * sure.shape[1])))
    refined = []
    for chunk in torch.split(unsure, width):
        rows, good = _scale(powers, chunk, prior, alpha)
        if not good.all():
            redone = [refine_by_logarithms(sure, row, prior, alpha, iterations) for row in chunk[~good]]
            rows = rows.index_copy(0, (~good).nonzero()[:, 0], torch.stack(redone))
        refined.append(rows)
    return torch.cat(refined) if refined else unsure


@dataclass(frozen=True, slots=True, eq=False)
class _Power:
    """The sure rows raised to one exponent, and what all chunks need of them."""

    #: [n, C].
    values: Tensor
    #: [C] each: the columns' sums, and how many of their entries are above 0.
    sums: Tensor
    counts: Tensor
    #: [n, C]: ones where a power was rounded to nothing or nearly so; None where none was.
    lost: Tensor | None

    @classmethod
    def of(cls, sure: Tensor, exponent: float) -> _Power:
        values = _raised(sure, exponent)
        lost = None
        if not values.detach().amin() >= SMALLEST:
            underflown = (values < SMALLEST) & (sure > 0)
            lost = underflown.double() if underflown.any() else None
        return cls(values, values.sum(dim=0), (values > 0).sum(dim=0), lost)


def _raised(values: Tensor, exponent: float) -> Tensor:
    return values if exponent == 1 else values**exponent


def _scale(powers: list[_Power], unsure: Tensor, prior: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """One chunk's new rows [J, C], and for each whether no rounding to zero can have touched it [J]."""
    rows = unsure
    good = torch.ones(len(unsure), dtype=torch.bool, device=unsure.device)
    # None stands for factors of one, before the first step has made any.
    row_scale: Tensor | None = None
    column_scale: Tensor | None = None
    least = greatest = unsure.new_zeros(())
    for step, power in enumerate(powers):
        gone = power.lost
        raised = _raised(rows, alpha)
        faint = (rows > 0) & (raised < SMALLEST)
        rows = raised
        # What may be missing from each column's sum, in units of SMALLEST.
        missing = rows.new_zeros(()) if gone is None else gone.sum(dim=0)
        if row_scale is None or column_scale is None:
            sums = power.sums.expand_as(rows)
        else:
            # A scale of zero is that of a class which no row has.
            nothing = column_scale == 0
            row_scale, column_scale = _raised(row_scale, alpha), _raised(column_scale, alpha)
            good = good & (greatest**-alpha > SMALLEST) & (least**-alpha < 1 / SMALLEST)
            good = good & (nothing | ((column_scale > SMALLEST) & (column_scale < 1 / SMALLEST))).all(dim=1)
            sums = column_scale * (row_scale @ power.values)
            # Each product of a scale and a power may have been rounded to zero as well.
            missing = column_scale * (power.counts if gone is None else row_scale @ gone + power.counts)
        sums = sums + rows
        good = good & (missing * SMALLEST <= LOST * sums).all(dim=1)
        factor = torch.where(sums > 0, prior / sums, torch.zeros_like(sums))
        rows = rows * factor
        totals = rows.sum(dim=1, keepdim=True)
        rows = rows / totals
        # What a row itself has lost must have been too little to show in any class, and in its column.
        small = (LOST * sums >= SMALLEST) & (factor * SMALLEST <= LOST * totals)
        good = good & rows.isfinite().all(dim=1) & (small | ~faint).all(dim=1)
        if step + 1 == len(powers):
            break
        column_scale = factor if column_scale is None else column_scale * factor
        inner = column_scale @ power.values.T
        least, greatest = inner.detach().aminmax(dim=1)
        if gone is None:
            good = good & (least * LOST >= rows.shape[1] * SMALLEST)
        else:
            absent = column_scale @ gone.T + rows.shape[1]
            good = good & (inner * LOST >= absent * SMALLEST).all(dim=1)
        # A sure row's own scale cancels when the row is made to sum to one.
        row_scale = inner.reciprocal_()
    return rows, good


def refine_by_logarithms(sure: Tensor, row: Tensor, prior: Tensor, alpha: float, iterations: int) -> Tensor:
    """One unsure row [C] after alternating normalisation, in logarithms: slow, and safe for every alpha.

    >>> one = refine_by_logarithms(torch.tensor([[0.0, 1.0]]).double(), torch.tensor([0.5, 0.5]).double(),
    ...                            torch.tensor([0.5, 0.5]).double(), alpha=1.0, iterations=1)
    >>> [round(p, 12) for p in one.tolist()]
    [0.75, 0.25]
    """
    logs = torch.cat([sure, row[None]]).log()
    for _ in range(iterations):
        logs = alpha * logs
        sums = logs.logsumexp(dim=0)
        logs = torch.where(sums.isfinite(), logs - sums + prior.log(), logs)
        logs = logs - logs.logsumexp(dim=1, keepdim=True)
    return logs[-1].exp()


def refine_by_loop(sure: Tensor, unsure: Tensor, prior: Tensor, alpha: float, iterations: int) -> Tensor:
    """The unsure rows [J, C] after alternating normalisation, one row at a time, as the article's code does it.

    >>> refine_by_loop(torch.tensor([[0.05, 0.95]]), torch.tensor([[0.5, 0.5]]), torch.tensor([0.5, 0.5]), 1.0, 1)
    tensor([[0.7250, 0.2750]])
    """
    # Copies, as views would keep whole matrices alive; made first, or each would split the room that a matrix left.
    refined = [torch.empty_like(row) for row in unsure]
    for row, copy in zip(unsure, refined, strict=True):
        copy.copy_(refine_stacked(torch.cat([sure, row[None]]), prior, alpha, iterations)[-1])
    return torch.stack(refined) if refined else unsure


def refine_stacked(stacked: Tensor, prior: Tensor, alpha: float, iterations: int, added: float = 0.0) -> Tensor:
    """All rows [N, C] after alternating normalisation of the whole of them.

    ``added`` is put on each row's sum, as the authors' code does with 1e-10.
    Raises UsageError if a row's powers are all too small for the dtype.
    """
    for _ in range(iterations):
        stacked = stacked**alpha
        sums = stacked.sum(dim=0)
        stacked = torch.where(sums > 0, stacked / sums, torch.zeros_like(stacked)) * prior
        totals = stacked.sum(dim=1, keepdim=True) + added
        if (totals <= 0).any():
            at = int((totals[:, 0] <= 0).nonzero()[0])
            raise UsageError(f"alpha = {alpha:g}: row {at} of {list(stacked.shape)} is rounded to nothing but zeros")
        stacked = stacked / totals
    return stacked
