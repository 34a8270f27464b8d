"""Whether differentiating a gradient gives a wrong result without an error. An error is a fine answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.spec import Method
from harness_plugins.speed.comparison import error
from harness_plugins.speed.evaluation import UPSTREAM, weighted
from harness_plugins.speed.inputs import Inputs, differentiable, in_float64

#: A second derivative that is off by more was not meant to be one.
SECOND_ORDER_TOLERANCE = 1e-2


def second_order_fault(method: Method, reference: Method, inputs: Inputs) -> str | None:
    """What is wrong with a method's second derivatives, in words; None where nothing is."""
    tensors = inputs.draw()
    try:
        truth = _second_derivatives(reference.create(), in_float64(tensors), inputs)
        derivatives = _second_derivatives(method.create(), tensors, inputs)
    except (RuntimeError, NotImplementedError, HarnessError):
        return None
    largest = max((float(t.norm()) for t in truth), default=0.0)
    for position, (derivative, exact) in enumerate(zip(derivatives, truth, strict=True)):
        if problem := error(derivative, exact, SECOND_ORDER_TOLERANCE, SECOND_ORDER_TOLERANCE * largest):
            return f"second derivative at input {position} {problem}, and nothing says so (mark it once_differentiable)"
    return None


def _second_derivatives(method: Any, tensors: Sequence[Tensor], inputs: Inputs) -> tuple[Tensor, ...]:
    variables = differentiable(tensors)
    value = inputs.call(weighted(method, inputs.seed), *tensors)
    # It requires a gradient itself: else a backward pass without a graph would be noticed here, though not by a
    # user whose inputs are the outputs of another layer.
    upstream = torch.full_like(value.detach(), UPSTREAM).requires_grad_()
    first = torch.autograd.grad(
        value, variables, upstream, create_graph=True, allow_unused=True, materialize_grads=True
    )
    generator = torch.Generator().manual_seed(inputs.seed)
    total = sum((g * torch.randn(g.shape, generator=generator, dtype=torch.float64).to(g)).sum() for g in first)
    assert isinstance(total, Tensor)
    # Through the whole graph, as a training step goes: a function that refuses stands beside the way to the inputs.
    total.backward()  # type: ignore[no-untyped-call]
    return tuple(torch.zeros_like(t) if t.grad is None else t.grad for t in variables)
