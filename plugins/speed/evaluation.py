"""One call of a method, copied at once: the scalar, the gradients, and the method's own output."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.spec import Code, resolve

Size = Mapping[str, int]
#: What gradients are multiplied with from above: a backward pass that takes it for 1 is found out.
UPSTREAM = 0.37
#: Seconds after which a result is looked at a second time.
WAIT = 0.05


@dataclass(frozen=True, slots=True)
class Result:
    """What one call gave, copied at once: the scalar, the gradients, and the method's own output where it is larger."""

    value: Tensor
    gradients: tuple[Tensor, ...]
    output: Tensor | None


def draw(code: Code, size: Size, device: torch.device, dtype: torch.dtype, seed: int) -> tuple[Tensor, ...]:
    """A workload's inputs. The generator is the CPU's, so that every device gets the same numbers."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(resolve(code)(generator, device, dtype, **size))


def in_float64(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The very numbers, rounded as they are, in float64."""
    return tuple(
        t.detach().to(torch.float64).requires_grad_(t.requires_grad) if t.is_floating_point() else t for t in tensors
    )


def synchronise(device: torch.device) -> None:
    """Wait for all that was asked of the device, on all of its streams."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize(device)


class Weighed:
    """A method whose output is kept and, where it has more than one number, multiplied with random weights.

    A workload adds up what a method gives; errors of single elements would cancel, and a backward pass would
    only ever see ones from above. One object for all calls of a method: a workload may keep something under it.
    """

    def __init__(self, method: Any, seed: int) -> None:
        self._method = method
        self._seed = seed
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
        """Let go of the output, which may be large."""
        self.output = self.copy = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)


def evaluate(call: Callable[..., Any], method: Any, tensors: Sequence[Tensor], wait: bool = False) -> Result:
    """Value and gradients, copied as soon as they are there. Raises Unfinished if they change afterwards.

    The output is that of a method which is Weighed, and None else.
    """
    kept = method if isinstance(method, Weighed) else None
    value = call(method, *tensors)
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise NoScalar(f"the call gave {shape}, not a scalar")
    copy = value.detach().clone()
    wanted = [t for t in tensors if t.requires_grad]
    gradients: Sequence[Tensor] = [torch.zeros_like(t) for t in wanted]
    if value.requires_grad and wanted:
        upstream = torch.full_like(value.detach(), UPSTREAM)
        gradients = torch.autograd.grad(value, wanted, upstream, allow_unused=True, materialize_grads=True)
    copies = tuple(g.detach().clone() for g in gradients)
    output = kept.copy if kept else None
    if wait:
        synchronise(value.device)
        time.sleep(WAIT)
        pairs = [(value.detach(), copy), *zip(gradients, copies, strict=True)]
        if kept and kept.output is not None and kept.copy is not None:
            pairs.append((kept.output.detach(), kept.copy))
        if not all(torch.equal(now, then) or _both_nan(now, then) for now, then in pairs):
            raise Unfinished
    if kept:
        kept.forget()
    return Result(copy, copies, output)


class Unfinished(Exception):
    """A result changed after it had been returned."""


class NoScalar(Exception):
    """A call gave something else than one number."""


def weighed(method: Any, seed: int) -> Any:
    """The method Weighed, if it is one that is called."""
    return Weighed(method, seed) if callable(method) else method


def _both_nan(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(), other.nan_to_num())


def off(found: Tensor, truth: Tensor, tolerance: float, slack: float) -> str | None:
    """What is wrong with a tensor, in words: the 2-norm of its error over that of the truth."""
    exact = truth.double().to(found.device)
    if not found.isfinite().all():
        return "is not finite" if exact.isfinite().all() else None
    error, size = float((found.double() - exact).norm()), float(exact.norm())
    if not error > tolerance * size + slack:
        return None
    return f"is off by {error / size if size else error:.2g} (relative; allowed {tolerance:.0e})"
