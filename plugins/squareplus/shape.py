"""The shape of an activation: monotone, convex, above ReLU, nearest to ReLU far from 0; and its left tail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.running.run import Run

#: Relative differences up to this are rounding errors, not shape.
TOLERANCE = 1e-12
#: Largest |x| of the points; beyond it exp(x) leaves the range of float64.
REACH = 700.0
#: Number of evenly spaced points on each side, and of log-spaced points; least magnitude of the latter.
POINTS, LEAST = 20_000, 1e-8
#: The points x at which the left tail is measured.
FAR, NEAR = -1e6, -20.0


def shape(f: Callable[[Tensor], Tensor], run: Run) -> dict[str, float]:
    """Count the points, of 80,001, where ``f`` is not of squareplus's shape, and measure f at 0 and in the left tail.

    A value that is not finite violates every property that it is part of. Raises UsageError for other dtypes than
    float64: a lower precision would count rounding errors (see activation/rounding).
    """
    if run.dtype != torch.float64:
        raise UsageError(f"dtype {run.dtype}: the shape is measured in float64")
    x = _points().to(run.device).requires_grad_()
    value = f(x)
    (slope,) = torch.autograd.grad(value, x, torch.ones_like(value), create_graph=True)
    second = _second_derivative(slope, x)
    x, value, slope = x.detach(), value.detach(), slope.detach()
    at_zero = len(x) // 2
    excess = value - x.clamp_min(0)
    rounding = TOLERANCE * x.abs().clamp_min(1)
    # For x > 0 the excess may be rounded away beside x, so only a value below x counts; for x <= 0 it must be above 0.
    above = torch.where(x > 0, excess >= -rounding, value > 0)
    peak = excess <= excess[at_zero] + rounding
    far = f(torch.tensor([FAR, NEAR], dtype=x.dtype, device=x.device))
    return {
        "monotone_violations": _falls(value),
        "convex_violations": _falls(slope),
        "above_relu_violations": (~above).sum().item(),
        "peak_violations": (~peak).sum().item(),
        "value_at_zero": value[at_zero].item(),
        "curvature_at_zero": second[at_zero].item(),
        "tail_coefficient": far[0].item() * abs(FAR),
        "left_value": far[1].item(),
    }


def _points() -> Tensor:
    """Sorted points with 0 in the middle."""
    even = torch.linspace(0, REACH, POINTS + 1, dtype=torch.float64)[1:]
    by_size = torch.logspace(torch.tensor(LEAST).log10().item(), 0, POINTS, dtype=torch.float64)
    right = torch.cat([even, by_size]).sort().values
    return torch.cat([-right.flip(0), right.new_zeros(1), right])


def _falls(sequence: Tensor) -> int:
    """How often a sequence falls by more than rounding."""
    allowed = TOLERANCE * sequence[:-1].abs()
    return int((~(sequence.diff() >= -allowed)).sum().item())


def _second_derivative(slope: Tensor, x: Tensor) -> Tensor:
    """Derivative of ``slope``; 0 where it does not depend on x, as for ReLU."""
    if not slope.requires_grad:
        return torch.zeros_like(x)
    (second,) = torch.autograd.grad(slope, x, torch.ones_like(slope), allow_unused=True)
    return torch.zeros_like(x) if second is None else second
