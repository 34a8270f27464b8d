"""The inputs of a workload: drawn at one size, on one device, in one type of numbers, from one seed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.spec import Code, Workload, resolve


@dataclass(frozen=True)
class Inputs:
    """What the draws of a workload's inputs have in common; each draw has a number."""

    workload: Workload
    size: Mapping[str, int]
    device: torch.device
    dtype: torch.dtype
    seed: int = 0

    @property
    def call(self) -> Callable[..., Any]:
        """``call(method, *tensors)``: the scalar that is differentiated."""
        return resolve(self.workload.call)

    @property
    def tolerance(self) -> float:
        """The workload's tolerance, which is for float32, scaled by the spacing of numbers in this type."""
        return self.workload.tolerance * torch.finfo(self.dtype).eps / torch.finfo(torch.float32).eps

    def draw(self, number: int = 0, code: Code | None = None) -> tuple[Tensor, ...]:
        """The draw of this number: realistic inputs, or those of other ``code``, an extreme's.

        The generator is the CPU's, so that every device gets the same numbers.
        """
        generator = torch.Generator().manual_seed(self.seed + number)
        inputs = resolve(self.workload.inputs if code is None else code)
        return tuple(inputs(generator, self.device, self.dtype, **self.size))


def smallest_size(workload: Workload) -> dict[str, int]:
    """The first value of each dimension.

    >>> workload = dict(name="w", role="r", inputs=abs, call=abs, bytes=abs, flops=abs, baseline="b")
    >>> smallest_size(Workload(sizes={"n": [10, 20], "d": [3]}, **workload))
    {'n': 10, 'd': 3}
    """
    return {name: values[0] for name, values in workload.sizes.items()}


def differentiable(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that require a gradient."""
    return [tensor for tensor in tensors if tensor.requires_grad]


def in_float64(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same numbers, rounded as they are, in float64."""
    return tuple(
        t.detach().to(torch.float64).requires_grad_(t.requires_grad) if t.is_floating_point() else t for t in tensors
    )


def shapes(tensors: Sequence[Tensor]) -> list[torch.Size]:
    """The tensors' shapes."""
    return [tensor.shape for tensor in tensors]
