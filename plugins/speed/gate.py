"""Is it right? A method against the float64 reference: values, gradients, and tricks that only look fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.errors import UsageError
from harness.running.execute import explain
from harness.running.memory import ran_out
from harness.spec import Code, Method, Workload, resolve
from harness_plugins.speed.evaluation import (
    UPSTREAM,
    NoScalar,
    Result,
    Size,
    Unfinished,
    draw,
    evaluate,
    in_float64,
    off,
    weighed,
)
from harness_plugins.speed.repeats import skips_repeated_work
from harness_plugins.speed.second_order import second_order as second_order_fault

#: Realistic draws that are examined; a race uses the same ones.
DRAWS = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a method on a workload."""

    #: What was looked at: value, gradient, output, raised, changed-input, unfinished, repeated, second-order.
    check: str
    #: On which inputs: "realistic" or the name of an extreme.
    inputs: str
    #: What was found and what is allowed, in one sentence.
    found: str
    #: Whether the method gets no time for it.
    blocks: bool = True


class NotForThisWorkload(UsageError):
    """The workload refuses this method of its role on ordinary inputs, in its own words."""


#: What a number must be and how far from it is allowed.
Bound = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of a check: faults by method, and what the reference says of a plain call."""

    faults: dict[str, list[Fault]]
    #: For each realistic draw the value and then the 2-norm of each gradient; the draws are those of ``draw`` with
    #: the seeds that follow on the one given.
    truths: tuple[tuple[Bound, ...], ...]


def examine(
    method: Method,
    workload: Workload,
    size: Size,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
    reference: Method | None = None,
    *,
    second_order: bool = False,
) -> list[Fault]:
    """Everything wrong with a method at one size; empty for one that is right. ``reference`` is itself if left out.

    Raises NotForThisWorkload, and ImportError if the method's package is not installed.
    """
    found = examine_all([method], workload, size, device, dtype, seed, reference or method, second_order=second_order)
    return found.faults[method.name]


def examine_all(
    methods: Sequence[Method],
    workload: Workload,
    size: Size,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
    reference: Method,
    *,
    extremes: bool = True,
    second_order: bool = False,
    began: Callable[[str], None] = lambda name: None,
) -> Examined:
    """The faults of several methods that share a reference, whose results are computed once.

    Inputs: two realistic draws in the same memory, so that a method that knows an input by its address is found
    out, a third in fresh memory, and each extreme. ``began`` is told the name of what is computed next, the
    reference's under "": where the process ends, that was the cause.
    """
    faults: dict[str, list[Fault]] = {method.name: [] for method in methods}
    truths: list[tuple[Bound, ...]] = []
    built: dict[str, Any] = {}
    checked: dict[str, Any] = {}
    for method in methods:
        began(method.name)
        built[method.name] = method.create()
        checked[method.name] = weighed(built[method.name], seed)
    call = resolve(workload.call)
    kept: tuple[Tensor, ...] | None = None
    for number, (name, code) in enumerate(_input_sets(workload, extremes)):
        tensors = draw(code, size, device, dtype, seed + number)
        if number == 1 and kept is not None and _same_shapes(kept, tensors):
            # Behind autograd's back: not even the tensors' version counters change.
            for old, new in zip(kept, tensors, strict=True):
                old.data.copy_(new.data)
            tensors = kept
        kept = tensors
        began("")
        try:
            truth = evaluate(call, weighed(reference.create(), seed), in_float64(tensors))
            if number < DRAWS:
                truths.append(_plain_truth(call, reference, tensors, truth, workload, dtype))
        except UsageError as error:
            raise NotForThisWorkload(str(error)) from error
        for method in methods:
            if any(fault.blocks for fault in faults[method.name]):
                continue
            began(method.name)
            try:
                found = list(
                    _compare(call, checked[method.name], tensors, truth, workload, dtype, name, wait=number == 0)
                )
            except UsageError as error:
                if number == 0:
                    raise NotForThisWorkload(str(error)) from error
                found = [Fault("raised", name, str(error))]
            except Exception as error:
                if ran_out(error):
                    raise
                found = [Fault("raised", name, explain(error))]
            faults[method.name] += found
    for method in methods:
        if any(fault.blocks for fault in faults[method.name]):
            continue
        began(method.name)
        if skipped := skips_repeated_work(call, built[method.name], workload, size, device, dtype, seed):
            faults[method.name].append(Fault("repeated", "realistic", skipped))
        if second_order and (wrong := second_order_fault(call, method, reference, workload, size, device, dtype, seed)):
            faults[method.name].append(Fault("second-order", "realistic", wrong, blocks=False))
    return Examined(faults, tuple(truths))


def tolerance_in(workload: Workload, dtype: torch.dtype) -> float:
    """The workload's tolerance, which is for float32, as much larger or smaller as the spacing of numbers is."""
    return workload.tolerance * torch.finfo(dtype).eps / torch.finfo(torch.float32).eps


def _input_sets(workload: Workload, extremes: bool) -> Iterator[tuple[str, Code]]:
    yield from [("realistic", workload.inputs)] * DRAWS
    if extremes:
        yield from workload.extremes.items()


def _same_shapes(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return [t.shape for t in one] == [t.shape for t in other]


def _compare(
    call: Callable[..., Any],
    method: Any,
    tensors: Sequence[Tensor],
    truth: Result,
    workload: Workload,
    dtype: torch.dtype,
    name: str,
    wait: bool,
) -> Iterator[Fault]:
    before = [t.detach().clone() for t in tensors]
    try:
        result = evaluate(call, method, tensors, wait)
        # Inference may take another path than training.
        with torch.no_grad():
            inference = evaluate(call, method, tensors)
    except Unfinished:
        yield Fault("unfinished", name, "its result changed after it had been returned: work was left running")
        return
    except NoScalar as error:
        yield Fault("value", name, str(error))
        return
    if not all(torch.equal(t, b) for t, b in zip(tensors, before, strict=True)):
        yield Fault("changed-input", name, "it writes into its inputs")
    tolerance, finfo = tolerance_in(workload, dtype), torch.finfo(dtype)
    gradients = [g.double() for g in truth.gradients]
    slack = _slack(tensors, gradients, finfo)
    for what, found in (("value", result.value), ("value without gradients", inference.value)):
        if fault := off(found, truth.value, tolerance, slack):
            yield Fault("value", name, f"{what} {fault}")
    for output, what in ((result.output, "output"), (inference.output, "output without gradients")):
        if truth.output is None or output is None:
            continue
        if output.shape != truth.output.shape:
            yield Fault("output", name, f"{what} has the shape {list(output.shape)}, not {list(truth.output.shape)}")
        elif fault := off(output, truth.output, tolerance, finfo.tiny * math.sqrt(output.numel())):
            yield Fault("output", name, f"{what} {fault}")
    for position, (found, exact, floor) in enumerate(
        zip(result.gradients, gradients, _floors(gradients, finfo), strict=True)
    ):
        if fault := off(found, exact, tolerance, floor):
            yield Fault("gradient", name, f"gradient of input {position} {fault}")


def _slack(tensors: Sequence[Tensor], gradients: Sequence[Tensor], finfo: torch.finfo) -> float:
    """By how much a value may be off beside the tolerance; ``gradients`` are those of UPSTREAM times the value."""
    wanted = [t.detach().double() for t in tensors if t.requires_grad]
    # Rounding the inputs alone moves the value by so much.
    conditioning = sum(float((x * g).abs().sum()) for x, g in zip(wanted, gradients, strict=True)) / UPSTREAM
    # And log(1 + x) by so much where x is lost beside the 1. What is learned from is the gradient, which has no such
    # allowance.
    return float(4 * finfo.eps * (1 + conditioning) + finfo.tiny)


def _floors(gradients: Sequence[Tensor], finfo: torch.finfo) -> list[float]:
    """By how much the 2-norm of each gradient's error may stand above the tolerance."""
    largest = max((float(g.norm()) for g in gradients), default=0.0)
    return [finfo.eps * largest + finfo.tiny * math.sqrt(g.numel()) for g in gradients]


def _plain_truth(
    call: Callable[..., Any],
    reference: Method,
    tensors: Sequence[Tensor],
    truth: Result,
    workload: Workload,
    dtype: torch.dtype,
) -> tuple[Bound, ...]:
    """What a call that weighs nothing must give: while timed nothing else is known of a result."""
    if truth.output is not None:
        truth = evaluate(call, reference.create(), in_float64(tensors))
    finfo, tolerance = torch.finfo(dtype), tolerance_in(workload, dtype)
    gradients = [g.double() for g in truth.gradients]
    value, norms = float(truth.value), [float(g.norm()) for g in gradients]
    bounds = [(value, tolerance * abs(value) + _slack(tensors, gradients, finfo))]
    for norm, floor in zip(norms, _floors(gradients, finfo), strict=True):
        bounds.append((norm / UPSTREAM, (tolerance * norm + floor) / UPSTREAM))
    return tuple(bounds)
