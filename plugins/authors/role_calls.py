"""How methods are built and called on the few rows that their role draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.registry import Registry
from harness.running.execute import seed_everything
from harness.spec import Method, Option, Role, Scalar, Workload, resolve
from harness_plugins.authors.findings import Subject

#: Rows of an ordinary batch.
ROWS = 6


def role_of(name: str, registry: Registry) -> Role | None:
    """The registered role of this name; else a role made from a workload of it; else None."""
    if name in registry.roles:
        return registry.roles[name]
    workload = next((w for w in registry.workloads.values() if w.role == name), None)
    return None if workload is None else _role_of_workload(workload)


def methods_with_roles(subject: Subject) -> Iterator[tuple[Method, Role]]:
    """The plugin's methods that can be called, each with its role."""
    for method in subject.methods.values():
        if (role := role_of(method.role, subject.registry)) is not None:
            yield method, role


def _role_of_workload(workload: Workload) -> Role:
    """A role whose inputs are those of the workload at its smallest size."""
    size = {name: min(values) for name, values in workload.sizes.items()}

    def inputs(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Any:
        assert rows == ROWS
        return resolve(workload.inputs)(generator, device, dtype, **size)

    def call(method: Any, tensors: Sequence[Any]) -> Any:
        return resolve(workload.call)(method, *tensors)

    return Role(name=workload.role, help="", signature="", inputs=inputs, call=call, any_rows=False)


def draw_inputs(role: Role, device: str, dtype: torch.dtype = torch.float32, rows: int = ROWS) -> Sequence[Any]:
    """The arguments of one call; the same numbers each time."""
    inputs: Sequence[Any] = resolve(role.inputs)(torch.Generator().manual_seed(0), torch.device(device), dtype, rows)
    return inputs


def build(method: Method, role: Role, device: str) -> Any:
    """Build the method after seeding all generators; set a module to evaluate, so that nothing is dropped out."""
    seed_everything(0)
    built = method.create(**(smallest(method.options) if role.trains else {}))
    return built.to(device).eval() if isinstance(built, nn.Module) else built


def call(role: Role, built: Any, inputs: Sequence[Any]) -> Any:
    """Call a built method as its role says."""
    return built(*inputs) if role.call is None else resolve(role.call)(built, inputs)


def build_and_call(
    method: Method,
    role: Role,
    device: str,
    dtype: torch.dtype = torch.float32,
    rows: int = ROWS,
    change: Callable[[Sequence[Any]], Sequence[Any]] | None = None,
) -> tuple[Sequence[Any], Any]:
    """Build the method, draw inputs, optionally change them, and call it; give the inputs and the result."""
    built = build(method, role, device)
    inputs = draw_inputs(role, device, dtype, rows)
    inputs = change(inputs) if change else inputs
    return inputs, call(role, built, inputs)


def smallest(options: Mapping[str, Option]) -> dict[str, Scalar]:
    """The lower bounds of the whole-number options whose lower bound is at least one.

    >>> smallest({"epochs": Option(100, low=1), "rate": Option(0.1, low=0)})
    {'epochs': 1}
    """
    return {
        name: int(option.low)
        for name, option in options.items()
        if type(option.default) is int and option.low is not None and option.low >= 1
    }


def non_contiguous(inputs: Sequence[Any]) -> list[Any]:
    """The same inputs in another memory layout: tensors and arrays by columns, or with gaps."""

    def relaid(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim():
            plain = value.detach()
            copy = plain.mT.contiguous().mT if value.dim() > 1 else torch.stack([plain, plain], dim=-1)[..., 0]
            return copy.requires_grad_(value.requires_grad)
        return np.asfortranarray(value) if isinstance(value, np.ndarray) else value

    return [relaid(value) for value in inputs]


def dtype_name(dtype: torch.dtype) -> str:
    """The dtype's name as people write it.

    >>> dtype_name(torch.float32)
    'float32'
    """
    return str(dtype).removeprefix("torch.")


def describe(error: Exception) -> str:
    """An exception on one line, not too long."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
