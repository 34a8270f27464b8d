"""Rounding errors of an activation: at every number of the half precisions, at 65,000 numbers of float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.running.run import Run

Activation = Callable[[Tensor], Tensor]

#: A result with a larger relative error counts as lost.
LOST = 0.01
#: Distance of float32 inputs in bit patterns: a prime, so that all mantissas come about equally often.
STRIDE = 65_521


def rounding(f: Activation, run: Run) -> dict[str, float]:
    """Errors of ``f`` and of its derivative by autograd in ``run.dtype``, against float64, over all finite inputs.

    The truth is ``f.truth``, a form that is exact in float64, or f itself in float64 where it has none. Errors are
    relative to the truth and at most 1; NaN and infinity count as 1. A truth below the dtype's smallest normal
    number may be rounded to 0. Inputs are as dense as the dtype's numbers, so that a share is the probability for a
    random bit pattern. Raises UsageError for float64.
    """
    x = every_input(run.dtype).to(run.device)
    value, slope = _with_slope(f, x)
    true_value, true_slope = _with_slope(getattr(f, "truth", f), x.double())
    value_error = relative_error(value, true_value)
    slope_error = relative_error(slope, true_slope)
    lost = value_error > LOST
    largest = torch.finfo(run.dtype).max
    _log_by_size(run, x, value_error, slope_error)
    return {
        "value_error": value_error.max().item(),
        "slope_error": slope_error.max().item(),
        "value_lost_share": lost.double().mean().item(),
        "slope_lost_share": (slope_error > LOST).double().mean().item(),
        "overflow_share": (~(value.isfinite() & slope.isfinite())).double().mean().item(),
        "sound_up_to": x[lost].abs().min().item() if lost.any() else largest,
    }


def every_input(dtype: torch.dtype) -> Tensor:
    """Finite numbers of ``dtype``, [N]: all of float16 and bfloat16, one in 65,521 of float32.

    Raises UsageError for other dtypes.

    >>> len(every_input(torch.float16)), every_input(torch.float32).abs().max() > 3e38
    (63488, tensor(True))
    """
    if dtype in (torch.float16, torch.bfloat16):
        patterns = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    elif dtype == torch.float32:
        patterns = torch.arange(-(2**31), 2**31, STRIDE).to(torch.int32)
    else:
        raise UsageError(f"dtype {dtype}: errors are measured against float64; float32, float16 or bfloat16 is needed")
    numbers = patterns.view(dtype)
    return numbers[numbers.isfinite()]


def relative_error(computed: Tensor, true: Tensor) -> Tensor:
    """Relative error of each entry of ``computed`` [N] against ``true`` [N] (float64): [N], at most 1.

    >>> relative_error(torch.tensor([1.1, torch.inf, 0.0]), torch.tensor([1.0, 1.0, 1e-60]).double())
    tensor([0.1000, 1.0000, 0.0000], dtype=torch.float64)
    """
    tiny = torch.finfo(computed.dtype).tiny
    error = (computed.double() - true).abs() / true.abs().clamp_min(tiny)
    # A processor may keep numbers below the smallest normal one or flush them to 0.
    error = torch.where(true.abs() < tiny, error - 1, error)
    return error.nan_to_num(nan=1.0, posinf=1.0).clamp(0, 1)


def _with_slope(f: Activation, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    value = f(x)
    (slope,) = torch.autograd.grad(value, x, torch.ones_like(value))
    return value.detach(), slope


def _log_by_size(run: Run, x: Tensor, value_error: Tensor, slope_error: Tensor) -> None:
    """Curves of the largest error for x from -2^(n+1) to -2^n, over n."""
    power = torch.frexp(x.float())[1] - 1
    for n in range(math.frexp(torch.finfo(run.dtype).max)[1]):
        of_size = (power == n) & (x < 0)
        run.log(n, value_error=value_error[of_size].max().item(), slope_error=slope_error[of_size].max().item())
