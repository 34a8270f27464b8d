"""The shape of an activation: monotone, convex, above ReLU, closest to it far out, and how heavy its left tail is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.running.run import Run

#: Relative differences up to this are rounding, not shape.
TOLERANCE = 1e-12
#: The shape is looked at up to here on either side: beyond, exp(x) leaves float64's range.
REACH = 700.0
#: Evenly spaced points on each side, as many by their logarithm, and the least magnitude of these.
POINTS, LEAST = 20_000, 1e-8
#: Where the left tail is compared with a power of x.
FAR, NEAR = -1e6, -20.0


def shape(f: Callable[[Tensor], Tensor], run: Run) -> dict[str, float]:
    """Count where ``f`` is not of squareplus's shape, over 80,001 sorted points, and measure it at 0 and far left.

    A value that is not finite counts as a violation of everything it takes part in. Raises UsageError for another
    dtype than float64: in a lower precision it is rounding that would be counted (see activation/rounding).
    """
    if run.dtype != torch.float64:
        raise UsageError(f"dtype {run.dtype}: the shape is looked at in float64")
    x = _points().to(run.device).requires_grad_()
    value = f(x)
    (slope,) = torch.autograd.grad(value, x, torch.ones_like(value), create_graph=True)
    second = _second_derivative(slope, x)
    x, value, slope = x.detach(), value.detach(), slope.detach()
    at_zero = len(x) // 2
    excess = value - x.clamp_min(0)
    rounding = TOLERANCE * x.abs().clamp_min(1)
    # Right of 0 the excess is lost beside x itself, so only a value below x counts; left of it 0 is too little.
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
    """Sorted, 0 in the middle."""
    even = torch.linspace(0, REACH, POINTS + 1, dtype=torch.float64)[1:]
    by_size = torch.logspace(torch.tensor(LEAST).log10().item(), 0, POINTS, dtype=torch.float64)
    right = torch.cat([even, by_size]).sort().values
    return torch.cat([-right.flip(0), right.new_zeros(1), right])


def _falls(found: Tensor) -> int:
    """How often a sequence falls by more than rounding."""
    allowed = TOLERANCE * found[:-1].abs()
    return int((~(found.diff() >= -allowed)).sum().item())


def _second_derivative(slope: Tensor, x: Tensor) -> Tensor:
    """0 where the slope does not depend on x, as ReLU's does not."""
    if not slope.requires_grad:
        return torch.zeros_like(x)
    (second,) = torch.autograd.grad(slope, x, torch.ones_like(slope), allow_unused=True)
    return torch.zeros_like(x) if second is None else second
