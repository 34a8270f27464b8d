"""One call of a method: its scalar, its gradients and its own output, copied as soon as they are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness_plugins.speed.inputs import differentiable

#: The upstream gradient, which multiplies all gradients: it exposes a backward pass that takes it for 1.
UPSTREAM = 0.37
#: Seconds after which a result is compared with its copy.
WAIT = 0.05


@dataclass(frozen=True, slots=True)
class Result:
    """Copies of what one call returned: the scalar, the gradients, and a weighted method's output."""

    value: Tensor
    gradients: tuple[Tensor, ...]
    output: Tensor | None


class Unfinished(Exception):
    """A result changed after it had been returned."""


class NoScalar(Exception):
    """A call returned something else than one number."""


class Weighted:
    """A method whose output, where it has more than one number, is multiplied by random weights.

    A workload adds up what a method returns: errors of single elements would cancel, and a backward pass would only
    ever see ones from above. All calls of a method use one object, as a workload may store something under it.
    """

    def __init__(self, method: Any, seed: int) -> None:
        self._method = method
        self._seed = seed
        #: The last output before the weights, and a copy made at once.
        self.output: Tensor | None = None
        self.copy: Tensor | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        output = self._method(*arguments, **options)
        if not isinstance(output, Tensor) or output.numel() < 2 or not output.is_floating_point():
            return output
        self.output, self.copy = output, output.detach().clone()
        generator = torch.Generator().manual_seed(self._seed)
        weights = 0.5 + torch.rand(output.shape, generator=generator, dtype=torch.float64)
        # Rounded as float32 numbers are, so that the reference has the same.
        return output * weights.float().to(output)

    def forget(self) -> None:
        """Release the output, which may be large."""
        self.output = self.copy = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)


def weighted(method: Any, seed: int) -> Any:
    """The method with weights, if it can be called."""
    return Weighted(method, seed) if callable(method) else method


def evaluate(call: Callable[..., Any], method: Any, tensors: Sequence[Tensor], wait: bool = False) -> Result:
    """Value and gradients of ``call(method, *tensors)``; the output is that of a Weighted method, else None.

    Raises NoScalar, and Unfinished if with ``wait`` the result changes after it was returned.
    """
    value = call(method, *tensors)
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise NoScalar(f"the call gave {shape}, not a scalar")
    copy = value.detach().clone()
    variables = differentiable(tensors)
    gradients: Sequence[Tensor] = [torch.zeros_like(t) for t in variables]
    if value.requires_grad and variables:
        upstream = torch.full_like(value.detach(), UPSTREAM)
        gradients = torch.autograd.grad(value, variables, upstream, allow_unused=True, materialize_grads=True)
    copies = tuple(g.detach().clone() for g in gradients)
    output = method.copy if isinstance(method, Weighted) else None
    if wait:
        pairs = [(value.detach(), copy), *zip(gradients, copies, strict=True)]
        if isinstance(method, Weighted) and method.output is not None and method.copy is not None:
            pairs.append((method.output.detach(), method.copy))
        _check_unchanged(pairs, value.device)
    if isinstance(method, Weighted):
        method.forget()
    return Result(copy, copies, output)


def _check_unchanged(pairs: Sequence[tuple[Tensor, Tensor]], device: torch.device) -> None:
    """Raise Unfinished if a tensor is not, a moment later, what its copy is."""
    synchronise(device)
    time.sleep(WAIT)
    if not all(torch.equal(now, then) or _equal_with_nan(now, then) for now, then in pairs):
        raise Unfinished


def synchronise(device: torch.device) -> None:
    """Wait for all work of the device, on all of its streams."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize(device)


def _equal_with_nan(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.isnan(), second.isnan()) and torch.equal(first.nan_to_num(), second.nan_to_num())
