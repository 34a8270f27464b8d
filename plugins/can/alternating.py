"""Alternating normalisation of unsure rows with sure ones: all rows at once, and row by row as published.

For each unsure row q alone, start with Y = [A; q], where A [n, C] are the sure rows, and repeat ``iterations`` times

    Y <- Y ** alpha;   Y <- Y / colsum(Y) * prior;   Y <- Y / rowsum(Y)

The last row of Y is then the new q (kexue.fm/archives/8728; arXiv 2109.13449, algorithm 1).
A column that is zero in every row stays zero, where the published code divides zero by zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import UsageError

#: Bytes that the factors of one chunk of unsure rows may take: on a CPU about the size of its caches.
CHUNK_BYTES_ON_CPU, CHUNK_BYTES = 8 * 2**20, 256 * 2**20
#: A power of a probability below this counts as lost; above it float64 still has all its digits.
SMALLEST = 1e-290
#: Largest share of a sum that lost terms may have had.
LOST = 1e-16


def refine_by_factors(sure: Tensor, unsure: Tensor, prior: Tensor, alpha: float, iterations: int) -> Tensor:
    """The unsure rows [J, C] after alternating normalisation, all at once, from factors of rows and columns.

    ``sure`` [n, C], ``unsure`` [J, C] and ``prior`` [C] are float64. After t steps every sure row has the form
    u_i A_ic^e v_c with e = alpha^t, because powers, row sums and column sums preserve it. So one step for all J rows
    is two matrix products: V @ (A^e)^T gives row sums and U @ A^e gives column sums. The first step's column sums are
    the same for every unsure row, and the last step needs no row sums of A. The cost is O(J C) for one step and
    O(J n C) for each further one, in chunks of J that bound the memory.

    Where powers leave the range of float64, the factors can lose numbers that the rows themselves keep. A row for
    which that cannot be ruled out is recomputed alone, with logarithms.

    >>> row = refine_by_factors(torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[0.5, 0.5]]).double(),
    ...                         torch.tensor([0.5, 0.5]).double(), alpha=1.0, iterations=1)
    >>> row.tolist()
    [[0.75, 0.25]]
    """
    # With alpha = 1 every step has the same powers: one copy is enough.
    exponents = [alpha**step for step in range(1, iterations + 1)]
    by_exponent = {exponent: _Power.of(sure, exponent) for exponent in exponents}
    powers = [by_exponent[exponent] for exponent in exponents]
    chunk_bytes = CHUNK_BYTES_ON_CPU if sure.device.type == "cpu" else CHUNK_BYTES
    row_bytes = 8 * (len(sure) * (iterations > 1) + 4 * sure.shape[1])
    refined = []
    for chunk in torch.split(unsure, max(1, chunk_bytes // row_bytes)):
        rows, exact = _scale(powers, chunk, prior, alpha)
        if not exact.all():
            recomputed = [refine_by_logarithms(sure, row, prior, alpha, iterations) for row in chunk[~exact]]
            rows = rows.index_copy(0, (~exact).nonzero()[:, 0], torch.stack(recomputed))
        refined.append(rows)
    return torch.cat(refined) if refined else unsure


@dataclass(frozen=True, slots=True, eq=False)
class _Power:
    """The sure rows raised to one exponent, with the column sums that every chunk needs."""

    #: [n, C].
    values: Tensor
    #: [C] each: the columns' sums, and their numbers of entries above 0.
    sums: Tensor
    counts: Tensor
    #: [n, C]: 1 where a power is below SMALLEST although the probability is not 0; None where there is no such power.
    lost: Tensor | None

    @classmethod
    def of(cls, sure: Tensor, exponent: float) -> _Power:
        values = _power(sure, exponent)
        lost = None
        if not values.detach().amin() >= SMALLEST:
            underflows = (values < SMALLEST) & (sure > 0)
            lost = underflows.double() if underflows.any() else None
        return cls(values, values.sum(dim=0), (values > 0).sum(dim=0), lost)


def _power(values: Tensor, exponent: float) -> Tensor:
    return values if exponent == 1 else values**exponent


def _scale(powers: list[_Power], unsure: Tensor, prior: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """The new rows [J, C] of one chunk, and whether each is free of losses by rounding to zero [J]."""
    rows = unsure
    exact = torch.ones(len(unsure), dtype=torch.bool, device=unsure.device)
    # None before the first step: all factors are one.
    row_scale: Tensor | None = None
    column_scale: Tensor | None = None
    least = greatest = unsure.new_zeros(())
    for step, power in enumerate(powers):
        lost = power.lost
        raised = _power(rows, alpha)
        underflows = (rows > 0) & (raised < SMALLEST)
        rows = raised
        # Upper bound of the terms that each column's sum lacks, in units of SMALLEST.
        missing = rows.new_zeros(()) if lost is None else lost.sum(dim=0)
        if row_scale is None or column_scale is None:
            sums = power.sums.expand_as(rows)
        else:
            # The scale of a class is zero if no row has that class.
            empty = column_scale == 0
            row_scale, column_scale = _power(row_scale, alpha), _power(column_scale, alpha)
            exact = exact & (greatest**-alpha > SMALLEST) & (least**-alpha < 1 / SMALLEST)
            exact = exact & (empty | ((column_scale > SMALLEST) & (column_scale < 1 / SMALLEST))).all(dim=1)
            sums = column_scale * (row_scale @ power.values)
            # Each product of a scale and a power may have been rounded to zero as well.
            missing = column_scale * (power.counts if lost is None else row_scale @ lost + power.counts)
        sums = sums + rows
        exact = exact & (missing * SMALLEST <= LOST * sums).all(dim=1)
        factor = torch.where(sums > 0, prior / sums, torch.zeros_like(sums))
        rows = rows * factor
        totals = rows.sum(dim=1, keepdim=True)
        rows = rows / totals
        # A loss in the row itself must be too small to matter in its column and in every class of the new row.
        negligible = (LOST * sums >= SMALLEST) & (factor * SMALLEST <= LOST * totals)
        exact = exact & rows.isfinite().all(dim=1) & (negligible | ~underflows).all(dim=1)
        if step + 1 == len(powers):
            break
        column_scale = factor if column_scale is None else column_scale * factor
        row_sums = column_scale @ power.values.T
        least, greatest = row_sums.detach().aminmax(dim=1)
        if lost is None:
            exact = exact & (least * LOST >= rows.shape[1] * SMALLEST)
        else:
            absent = column_scale @ lost.T + rows.shape[1]
            exact = exact & (row_sums * LOST >= absent * SMALLEST).all(dim=1)
        # A sure row's own scale cancels when the row is made to sum to one.
        row_scale = row_sums.reciprocal_()
    return rows, exact


def refine_by_logarithms(sure: Tensor, row: Tensor, prior: Tensor, alpha: float, iterations: int) -> Tensor:
    """One unsure row [C] after alternating normalisation, in logarithms: slow, and safe for every alpha.

    >>> row = refine_by_logarithms(torch.tensor([[0.0, 1.0]]).double(), torch.tensor([0.5, 0.5]).double(),
    ...                            torch.tensor([0.5, 0.5]).double(), alpha=1.0, iterations=1)
    >>> [round(p, 12) for p in row.tolist()]
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
    """The unsure rows [J, C] after alternating normalisation, one row at a time, as in the article's code.

    >>> refine_by_loop(torch.tensor([[0.05, 0.95]]), torch.tensor([[0.5, 0.5]]), torch.tensor([0.5, 0.5]), 1.0, 1)
    tensor([[0.7250, 0.2750]])
    """
    # Copies, because views would keep whole matrices alive. They are allocated before the loop, because each would
    # otherwise take a part of the memory that a freed matrix left, and the next matrix would not fit there.
    refined = [torch.empty_like(row) for row in unsure]
    for row, copy in zip(unsure, refined, strict=True):
        copy.copy_(refine_stacked(torch.cat([sure, row[None]]), prior, alpha, iterations)[-1])
    return torch.stack(refined) if refined else unsure


def refine_stacked(stacked: Tensor, prior: Tensor, alpha: float, iterations: int, added: float = 0.0) -> Tensor:
    """All rows [N, C] of one matrix after alternating normalisation.

    ``added`` is added to each row's sum; the authors' code adds 1e-10.
    Raises UsageError if all powers of a row are too small for the dtype.
    """
    for _ in range(iterations):
        stacked = stacked**alpha
        sums = stacked.sum(dim=0)
        stacked = torch.where(sums > 0, stacked / sums, torch.zeros_like(stacked)) * prior
        totals = stacked.sum(dim=1, keepdim=True) + added
        if (totals <= 0).any():
            row = int((totals[:, 0] <= 0).nonzero()[0])
            raise UsageError(f"alpha = {alpha:g}: row {row} of {list(stacked.shape)} is rounded to zeros")
        stacked = stacked / totals
    return stacked
