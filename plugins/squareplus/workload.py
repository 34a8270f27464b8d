"""What an activation is checked and timed on: one long row of numbers, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: The least traffic is counted for float32, whatever dtype is timed.
ITEM_BYTES = 4
#: Inputs lie evenly between minus and plus this, as in the published benchmark.
REACH = 12.0


def inputs(generator: torch.Generator, device: torch.device, dtype: torch.dtype, elements: int) -> tuple[Tensor]:
    """[elements], uniform on -12 to 12; drawn in float64 on the generator's device, then rounded."""
    drawn = torch.rand(elements, generator=generator, dtype=torch.float64, device=generator.device)
    return (((2 * drawn - 1) * REACH).to(device, dtype).requires_grad_(),)


def call(activation: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The scalar that is differentiated."""
    return activation(x).sum()


def least_bytes(elements: int) -> int:
    """Forward reads x and writes y; backward reads y and y's gradient and writes that of x."""
    return 5 * elements * ITEM_BYTES


def least_flops(elements: int) -> int:
    """Additions, multiplications, divisions and roots of squareplus, one each.

    Forward: square, add b, root, add x, halve. Backward from y: square, add b / 4, divide, times the gradient.
    """
    return 9 * elements
