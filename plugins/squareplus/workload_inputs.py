"""Long rows of numbers, on which activations are checked and timed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Inputs are uniform between minus and plus this, as in the published benchmark.
REACH = 12.0


def inputs(generator: torch.Generator, device: torch.device, dtype: torch.dtype, elements: int) -> tuple[Tensor]:
    """[elements], uniform on -12 to 12; drawn in float64 on the generator's device, then rounded."""
    return _rounded((2 * _uniform(generator, elements) - 1) * REACH, device, dtype)


def left_tail(generator: torch.Generator, device: torch.device, dtype: torch.dtype, elements: int) -> tuple[Tensor]:
    """[elements] between -12 and -2, where smooth activations are small and differences cancel."""
    return _rounded(-REACH + (REACH - 2) * _uniform(generator, elements), device, dtype)


def large(generator: torch.Generator, device: torch.device, dtype: torch.dtype, elements: int) -> tuple[Tensor]:
    """[elements] of either sign, magnitudes from 10 to 10,000 evenly on a log scale."""
    return _rounded(_signs(generator, elements) * 10 ** (1 + 3 * _uniform(generator, elements)), device, dtype)


def near_zero(generator: torch.Generator, device: torch.device, dtype: torch.dtype, elements: int) -> tuple[Tensor]:
    """[elements] of either sign, magnitudes from 1e-30 to 0.1 evenly on a log scale."""
    return _rounded(_signs(generator, elements) * 10 ** (-1 - 29 * _uniform(generator, elements)), device, dtype)


def _uniform(generator: torch.Generator, elements: int) -> Tensor:
    return torch.rand(elements, generator=generator, dtype=torch.float64, device=generator.device)


def _signs(generator: torch.Generator, elements: int) -> Tensor:
    return (_uniform(generator, elements) - 0.5).sign()


def _rounded(x: Tensor, device: torch.device, dtype: torch.dtype) -> tuple[Tensor]:
    return (x.to(device, dtype).requires_grad_(),)


def call(activation: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The scalar that is differentiated: the sum in float32 or wider, as a million values overflow float16."""
    value = activation(x)
    return value.sum(dtype=torch.promote_types(value.dtype, torch.float32))


def least_bytes(itemsize: int, elements: int) -> int:
    """Forward reads x and writes y; backward reads y and its gradient and writes the gradient of x."""
    return 5 * elements * itemsize


def least_flops(elements: int) -> int:
    """Additions, multiplications, divisions and roots of squareplus, one each.

    Forward: square, add b, root, add x, halve. Backward from y: square, add b / 4, divide, times the gradient.
    """
    return 9 * elements
