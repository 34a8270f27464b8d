"""Whether a gradient can be differentiated to a wrong result without a word. An error is a fine answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.spec import Method, Workload
from harness_plugins.speed.evaluation import UPSTREAM, Size, draw, in_float64, off, weighed

#: A second derivative that is off by more was not meant to be one.
SECOND_ORDER_TOLERANCE = 1e-2


def second_order(
    call: Callable[..., Any],
    method: Method,
    reference: Method,
    workload: Workload,
    size: Size,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
) -> str | None:
    """What is wrong with its second derivatives at the workload's inputs, in words; None where nothing is."""
    tensors = draw(workload.inputs, size, device, dtype, seed)
    try:
        truth = _second_derivatives(call, reference.create(), in_float64(tensors), seed)
    except (RuntimeError, NotImplementedError, HarnessError):
        return None
    try:
        found = _second_derivatives(call, method.create(), tensors, seed)
    except (RuntimeError, NotImplementedError, HarnessError):
        return None
    largest = max((float(t.norm()) for t in truth), default=0.0)
    for position, (mine, exact) in enumerate(zip(found, truth, strict=True)):
        if fault := off(mine, exact, SECOND_ORDER_TOLERANCE, SECOND_ORDER_TOLERANCE * largest):
            return f"second derivative at input {position} {fault}, and nothing says so (mark it once_differentiable)"
    return None


def _second_derivatives(
    call: Callable[..., Any], method: Any, tensors: Sequence[Tensor], seed: int
) -> tuple[Tensor, ...]:
    wanted = [t for t in tensors if t.requires_grad]
    value = call(weighed(method, seed), *tensors)
    # It requires a gradient itself: else a backward pass without a graph would be noticed here, though not by a
    # user whose inputs are the outputs of another layer.
    upstream = torch.full_like(value.detach(), UPSTREAM).requires_grad_()
    first = torch.autograd.grad(value, wanted, upstream, create_graph=True, allow_unused=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(seed)
    total = sum((g * torch.randn(g.shape, generator=generator, dtype=torch.float64).to(g)).sum() for g in first)
    assert isinstance(total, Tensor)
    # Through the whole graph, as a training step goes: a function that refuses stands beside the way to the inputs.
    total.backward()  # type: ignore[no-untyped-call]
    return tuple(torch.zeros_like(t) if t.grad is None else t.grad for t in wanted)
