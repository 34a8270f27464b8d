"""Checks of arguments: each refusal names the argument, its shape and the first invalid row."""

from __future__ import annotations

import torch
from torch import Tensor


def rows_of(x: Tensor, name: str = "x", width: int | None = None) -> Tensor:
    """``x`` [N, ...] as a matrix [N, D] of finite numbers, in its own dtype and on its own device.

    Raises TypeError if it is not a floating tensor, and ValueError if it has no rows, if the rows do not have ``width``
    numbers, or if a row contains NaN or infinity.

    >>> rows_of(torch.zeros(3, 1, 2, 2)).shape
    torch.Size([3, 4])
    >>> rows_of(torch.tensor([[0.0], [torch.inf]]))
    Traceback (most recent call last):
    ValueError: x of shape [2, 1]: row 1 holds inf; finite numbers are needed
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = f"{x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{name} is {kind}: a floating-point tensor [N, ...] is needed")
    shape = list(x.shape)
    if x.dim() < 2 or not x.numel():
        raise ValueError(f"{name} of shape {shape}: at least one row and one column are needed, [N, ...]")
    rows = x.flatten(1)
    if width is not None and rows.shape[1] != width:
        raise ValueError(f"{name} of shape {shape}: rows of {width} numbers are needed, as in fit")
    _refuse(rows, ~torch.isfinite(rows), name, shape, "finite numbers are needed")
    return rows


def require_unit_interval(x: Tensor, name: str = "x") -> None:
    """Raise ValueError unless every entry of ``x`` [N, ...] lies in [0, 1].

    >>> require_unit_interval(torch.tensor([[0.5], [1.5]]))
    Traceback (most recent call last):
    ValueError: x of shape [2, 1]: row 1 holds 1.5; values in [0, 1] are needed
    """
    rows = x.flatten(1)
    _refuse(rows, ~((rows >= 0) & (rows <= 1)), name, list(x.shape), "values in [0, 1] are needed")


def require_binary(x: Tensor, name: str = "x") -> None:
    """Raise ValueError unless every entry of ``x`` [N, ...] is 0 or 1: a Bernoulli variable has no other values.

    >>> require_binary(torch.tensor([[0.0], [0.25]]))
    Traceback (most recent call last):
    ValueError: x of shape [2, 1]: row 1 holds 0.25; 0 or 1 is needed, because grey pixels have no probability here
    """
    rows = x.flatten(1)
    requirement = "0 or 1 is needed, because grey pixels have no probability here"
    _refuse(rows, (rows != 0) & (rows != 1), name, list(x.shape), requirement)


def require_several(x: Tensor, least: int, reason: str, name: str = "x") -> None:
    """Raise ValueError unless ``x`` [N, ...] has at least ``least`` rows.

    >>> require_several(torch.zeros(1, 4), 2, "the variance of one row is not defined")
    Traceback (most recent call last):
    ValueError: x of shape [1, 4]: at least 2 rows are needed, because the variance of one row is not defined
    """
    if len(x) < least:
        raise ValueError(f"{name} of shape {list(x.shape)}: at least {least} rows are needed, because {reason}")


def require_positive(value: float, name: str) -> None:
    """Raise ValueError unless ``value`` is above 0.

    >>> require_positive(0, "k_eval")
    Traceback (most recent call last):
    ValueError: k_eval = 0: a value above 0 is needed
    """
    if not value > 0:
        raise ValueError(f"{name} = {value}: a value above 0 is needed")


def _refuse(rows: Tensor, invalid: Tensor, name: str, shape: list[int], requirement: str) -> None:
    if invalid.any():
        row = int(invalid.any(dim=1).nonzero()[0])
        value = rows[row][invalid[row]][0].item()
        raise ValueError(f"{name} of shape {shape}: row {row} holds {value:g}; {requirement}")
