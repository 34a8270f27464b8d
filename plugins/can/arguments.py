"""Checks of a refiner's arguments, probabilities and a prior: each refusal names the argument and the row."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import UsageError

#: Largest distance of a sum from one. Printed predictions have about four digits; half precision has three.
SUM_TOLERANCE = 1e-3


def check(probabilities: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Convert ``probabilities`` [N, C] and ``prior`` [C] to float64, the prior scaled to sum to exactly one.

    Raises UsageError naming the argument, its shape and the row if

    - a row of ``probabilities``, or the prior, is not finite, has a negative entry, or does not sum to one within
      ``SUM_TOLERANCE`` (or two units of a coarser dtype's rounding);
    - there are no rows or fewer than two classes;
    - ``prior`` has another length than C, or a zero: nothing can be corrected to the share of an impossible class.

    >>> check(torch.tensor([[0.5, 0.6]]), torch.tensor([0.5, 0.5]))
    Traceback (most recent call last):
    harness.errors.UsageError: probabilities of shape [1, 2]: row 0 sums to 1.1, each row must sum to 1
    """
    shape = list(probabilities.shape)
    if probabilities.dim() != 2 or shape[0] < 1 or shape[1] < 2:
        raise UsageError(f"probabilities of shape {shape}: [N, C] with at least 1 row and 2 classes is needed")
    if not probabilities.dtype.is_floating_point or not prior.dtype.is_floating_point:
        dtypes = f"{probabilities.dtype} and {prior.dtype}"
        raise UsageError(f"probabilities of shape {shape} and prior are {dtypes}: floating-point tensors are needed")
    if list(prior.shape) != shape[1:]:
        raise UsageError(f"prior of shape {list(prior.shape)}: [{shape[1]}] is needed for probabilities {shape}")
    rows, weights = probabilities.double(), prior.to(probabilities.device).double()
    _check_rows(rows, f"probabilities of shape {shape}", "row {}", "each row", probabilities.dtype)
    _check_rows(weights[None], f"prior of shape {list(prior.shape)}", "it", "it", prior.dtype)
    if (zeros := weights == 0).any():
        entry = int(zeros.nonzero()[0])
        raise UsageError(f"prior of shape {list(prior.shape)}: entry {entry} is 0, each class needs a share above 0")
    return rows, weights / weights.sum()


def _check_rows(rows: Tensor, argument: str, row: str, each: str, dtype: torch.dtype) -> None:
    sums = rows.sum(dim=1)
    not_one = (sums - 1).abs() > max(SUM_TOLERANCE, 2 * torch.finfo(dtype).eps)
    # Valid rows need one pass: a NaN would make the minimum NaN, an infinity would make a sum infinite.
    if not not_one.any() and rows.detach().amin() >= 0:
        return
    for invalid, problem in ((~rows.isfinite(), "not finite"), (rows < 0, "negative")):
        if invalid.any():
            i, j = (int(index) for index in invalid.nonzero()[0])
            place = f"{row.format(i)} has {rows[i, j].item():g} at class {j}"
            raise UsageError(f"{argument}: {place}, which is {problem}")
    i = int(not_one.nonzero()[0])
    raise UsageError(f"{argument}: {row.format(i)} sums to {sums[i].item():g}, {each} must sum to 1")
