"""A result beside the float64 reference's: how far apart they may be, and the faults where they are farther."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness_plugins.speed.evaluation import UPSTREAM, Result
from harness_plugins.speed.inputs import Inputs, differentiable

#: What a number must be, and how far from it is allowed.
Bound = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a method on a workload."""

    #: What was examined: value, gradient, output, raised, changed-input, unfinished, repeated, second-order.
    check: str
    #: On which inputs: "realistic" or the name of an extreme.
    inputs: str
    #: What is wrong and what is allowed, in one sentence. The JSON document has it under this name.
    found: str
    #: Whether the method gets no time for it.
    blocks: bool = True


@dataclass(frozen=True, slots=True)
class Allowance:
    """How far a result may be from the reference's: relative, and beside that in absolute numbers."""

    relative: float
    #: For the value.
    value: float
    #: For the 2-norm of each gradient's error.
    gradients: tuple[float, ...]
    #: For each number of an output.
    number: float


def allowance(truth: Result, tensors: Sequence[Tensor], inputs: Inputs) -> Allowance:
    """What is allowed on these tensors, where ``truth`` is the reference's result."""
    finfo = torch.finfo(inputs.dtype)
    gradients = [gradient.double() for gradient in truth.gradients]
    variables = [tensor.detach().double() for tensor in differentiable(tensors)]
    # Rounding the inputs alone moves the value by so much.
    conditioning = sum(float((x * g).abs().sum()) for x, g in zip(variables, gradients, strict=True)) / UPSTREAM
    # And log(1 + x) by so much where x is lost beside the 1. What is learned from is the gradient, which has no such
    # allowance.
    value = float(4 * finfo.eps * (1 + conditioning) + finfo.tiny)
    largest = max((float(g.norm()) for g in gradients), default=0.0)
    floors = tuple(finfo.eps * largest + finfo.tiny * math.sqrt(g.numel()) for g in gradients)
    return Allowance(inputs.tolerance, value, floors, finfo.tiny)


def compare(kind: str, result: Result, inference: Result, truth: Result, allowed: Allowance) -> Iterator[Fault]:
    """Faults of a result and of one without gradients, on inputs of this kind."""
    for what, value in (("value", result.value), ("value without gradients", inference.value)):
        if problem := error(value, truth.value, allowed.relative, allowed.value):
            yield Fault("value", kind, f"{what} {problem}")
    for what, output in (("output", result.output), ("output without gradients", inference.output)):
        if truth.output is None or output is None:
            continue
        floor = allowed.number * math.sqrt(output.numel())
        if output.shape != truth.output.shape:
            yield Fault("output", kind, f"{what} has the shape {list(output.shape)}, not {list(truth.output.shape)}")
        elif problem := error(output, truth.output, allowed.relative, floor):
            yield Fault("output", kind, f"{what} {problem}")
    gradients = zip(result.gradients, truth.gradients, allowed.gradients, strict=True)
    for position, (gradient, exact, floor) in enumerate(gradients):
        if problem := error(gradient, exact, allowed.relative, floor):
            yield Fault("gradient", kind, f"gradient of input {position} {problem}")


def bounds(truth: Result, allowed: Allowance) -> tuple[Bound, ...]:
    """What a call without an upstream gradient must return: its value, and the 2-norm of each gradient."""
    value = float(truth.value)
    norms = [float(gradient.double().norm()) for gradient in truth.gradients]
    of_norms = [
        (norm / UPSTREAM, (allowed.relative * norm + floor) / UPSTREAM)
        for norm, floor in zip(norms, allowed.gradients, strict=True)
    ]
    return ((value, allowed.relative * abs(value) + allowed.value), *of_norms)


def error(tensor: Tensor, truth: Tensor, relative: float, absolute: float) -> str | None:
    """What is wrong with a tensor, in words, by the 2-norm of its error; None where nothing is.

    >>> error(torch.tensor([1.0, 2.01]), torch.tensor([1.0, 2.0]), 1e-5, 0.0)
    'is off by 0.0045 (relative; allowed 1e-05)'
    """
    exact = truth.double().to(tensor.device)
    if not tensor.isfinite().all():
        return "is not finite" if exact.isfinite().all() else None
    distance, size = float((tensor.double() - exact).norm()), float(exact.norm())
    if not distance > relative * size + absolute:
        return None
    return f"is off by {distance / size if size else distance:.2g} (relative; allowed {relative:.0e})"
