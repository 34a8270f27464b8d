"""What a refiner accepts: probabilities and a prior, checked once, with a sentence on what is wrong with them."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import UsageError

#: How far a sum may be from one. Written-out predictions have about four digits; half precision has three.
SUM_TOLERANCE = 1e-3


def check(probabilities: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Give ``probabilities`` [N, C] and ``prior`` [C] in float64, the prior's sum made exactly one.

    Raises UsageError naming the argument, its shape and the row if a row of ``probabilities`` (or the prior)
    is not finite, has a negative entry or does not sum to one within ``SUM_TOLERANCE`` (or within two units
    of a coarser dtype's rounding), if there is no row, if there are fewer than two classes, if ``prior`` has
    another length than C, or if it has a zero: a class that cannot occur has no share to correct to.

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
        at = int(zeros.nonzero()[0])
        raise UsageError(f"prior of shape {list(prior.shape)}: entry {at} is 0, each class needs a share above 0")
    return rows, weights / weights.sum()


def _check_rows(rows: Tensor, argument: str, row: str, each: str, dtype: torch.dtype) -> None:
    sums = rows.sum(dim=1)
    off = (sums - 1).abs() > max(SUM_TOLERANCE, 2 * torch.finfo(dtype).eps)
    # What is not a number is the least, and what is infinite has such a sum: nothing is wrong.
    if not off.any() and rows.detach().amin() >= 0:
        return
    for wrong, told in ((~rows.isfinite(), "not finite"), (rows < 0, "negative")):
        if wrong.any():
            i, j = (int(index) for index in wrong.nonzero()[0])
            where = row.format(i) + " has "
            raise UsageError(f"{argument}: {where}{rows[i, j].item():g} at class {j}, which is {told}")
    i = int(off.nonzero()[0])
    raise UsageError(f"{argument}: {row.format(i)} sums to {sums[i].item():g}, {each} must sum to 1")
