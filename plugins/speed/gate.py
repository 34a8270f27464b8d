"""Is it right? A method against the float64 reference: values, gradients, and tricks that only look fast."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from harness.errors import HarnessError, UsageError
from harness.execute import explain
from harness.memory import ran_out
from harness.spec import Code, Method, Workload, resolve

Size = Mapping[str, int]
#: What gradients are multiplied with from above: a backward pass that takes it for 1 is found out.
UPSTREAM = 0.37
#: Seconds after which a result is looked at a second time.
WAIT = 0.05
#: A repeated input is faster by so much only where work is skipped; caches of the processor give less.
SKIPPED = 3.0
#: Calls that are faster than this are too short to tell so.
SHORTEST = 20e-6
#: A second derivative that is off by more was not meant to be one.
SECOND_ORDER_TOLERANCE = 1e-2


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


@dataclass(frozen=True, slots=True)
class Result:
    """What one call gave, copied at once: the scalar, the gradients, and the method's own output where it is larger."""

    value: Tensor
    gradients: tuple[Tensor, ...]
    output: Tensor | None


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
    return found[method.name]


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
) -> dict[str, list[Fault]]:
    """The faults of several methods that share a reference, whose results are computed once.

    Inputs: two realistic draws in the same memory, so that a method that knows an input by its address is found
    out, a third in fresh memory, and each extreme. ``began`` is told the name of what is computed next, the
    reference's under "": where the process ends, that was the cause.
    """
    faults: dict[str, list[Fault]] = {method.name: [] for method in methods}
    built: dict[str, Any] = {}
    for method in methods:
        began(method.name)
        built[method.name] = method.create()
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
            truth = _evaluate(call, reference.create(), in_float64(tensors), seed)
        except UsageError as error:
            raise NotForThisWorkload(str(error)) from error
        for method in methods:
            if any(fault.blocks for fault in faults[method.name]):
                continue
            began(method.name)
            try:
                found = list(
                    _compare(call, built[method.name], tensors, truth, workload, dtype, name, seed, wait=number == 0)
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
        if skipped := _skips_repeated_work(call, built[method.name], workload, size, device, dtype, seed):
            faults[method.name].append(skipped)
        if second_order:
            faults[method.name] += _second_order(call, method, reference, workload, size, device, dtype, seed)
    return faults


def draw(code: Code, size: Size, device: torch.device, dtype: torch.dtype, seed: int) -> tuple[Tensor, ...]:
    """A workload's inputs. The generator is the CPU's, so that every device gets the same numbers."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(resolve(code)(generator, device, dtype, **size))


def in_float64(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The very numbers, rounded as they are, in float64."""
    return tuple(
        t.detach().to(torch.float64).requires_grad_(t.requires_grad) if t.is_floating_point() else t for t in tensors
    )


def tolerance_in(workload: Workload, dtype: torch.dtype) -> float:
    """The workload's tolerance, which is for float32, as much larger or smaller as the spacing of numbers is."""
    return workload.tolerance * torch.finfo(dtype).eps / torch.finfo(torch.float32).eps


def synchronise(device: torch.device) -> None:
    """Wait for all that was asked of the device, on all of its streams."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize(device)


class Weighed:
    """A method whose output is kept and, where it has more than one number, multiplied with random weights.

    A workload adds up what a method gives; errors of single elements would cancel, and a backward pass would
    only ever see ones from above.
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

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)


def _input_sets(workload: Workload, extremes: bool) -> Iterator[tuple[str, Code]]:
    yield from [("realistic", workload.inputs)] * 3
    if extremes:
        yield from workload.extremes.items()


def _same_shapes(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return [t.shape for t in one] == [t.shape for t in other]


def _evaluate(
    call: Callable[..., Any], method: Any, tensors: Sequence[Tensor], seed: int, wait: bool = False
) -> Result:
    """Value and gradients, copied as soon as they are there. Raises _Unfinished if they change afterwards."""
    weighed = Weighed(method, seed) if callable(method) else None
    value = call(weighed or method, *tensors)
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise _NoScalar(f"the call gave {shape}, not a scalar")
    copy = value.detach().clone()
    wanted = [t for t in tensors if t.requires_grad]
    gradients: Sequence[Tensor] = [torch.zeros_like(t) for t in wanted]
    if value.requires_grad and wanted:
        upstream = torch.full_like(value.detach(), UPSTREAM)
        gradients = torch.autograd.grad(value, wanted, upstream, allow_unused=True, materialize_grads=True)
    copies = tuple(g.detach().clone() for g in gradients)
    output = weighed.copy if weighed else None
    if wait:
        synchronise(value.device)
        time.sleep(WAIT)
        pairs = [(value.detach(), copy), *zip(gradients, copies, strict=True)]
        if weighed and weighed.output is not None and weighed.copy is not None:
            pairs.append((weighed.output.detach(), weighed.copy))
        if not all(torch.equal(now, then) or _both_nan(now, then) for now, then in pairs):
            raise _Unfinished
    return Result(copy, copies, output)


class _Unfinished(Exception):
    """A result changed after it had been returned."""


class _NoScalar(Exception):
    """A call gave something else than one number."""


def _both_nan(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(), other.nan_to_num())


def _compare(
    call: Callable[..., Any],
    method: Any,
    tensors: Sequence[Tensor],
    truth: Result,
    workload: Workload,
    dtype: torch.dtype,
    name: str,
    seed: int,
    wait: bool,
) -> Iterator[Fault]:
    before = [t.detach().clone() for t in tensors]
    try:
        result = _evaluate(call, method, tensors, seed, wait)
        # Inference may take another path than training.
        with torch.no_grad():
            inference = _evaluate(call, method, tensors, seed)
    except _Unfinished:
        yield Fault("unfinished", name, "its result changed after it had been returned: work was left running")
        return
    except _NoScalar as error:
        yield Fault("value", name, str(error))
        return
    if not all(torch.equal(t, b) for t, b in zip(tensors, before, strict=True)):
        yield Fault("changed-input", name, "it writes into its inputs")
    tolerance, finfo = tolerance_in(workload, dtype), torch.finfo(dtype)
    gradients = [g.double() for g in truth.gradients]
    wanted = [t.detach().double() for t in tensors if t.requires_grad]
    # Rounding the inputs alone moves the value by so much.
    conditioning = sum(float((x * g).abs().sum()) for x, g in zip(wanted, gradients, strict=True)) / UPSTREAM
    # And log(1 + x) by so much where x is lost beside the 1. What is learned from is the gradient, which has no such
    # allowance.
    slack = 4 * finfo.eps * (1 + conditioning)
    for what, found in (("value", result.value), ("value without gradients", inference.value)):
        if fault := _off(found, truth.value, tolerance, slack + finfo.tiny):
            yield Fault("value", name, f"{what} {fault}")
    for output, what in ((result.output, "output"), (inference.output, "output without gradients")):
        if truth.output is None or output is None:
            continue
        if output.shape != truth.output.shape:
            yield Fault("output", name, f"{what} has the shape {list(output.shape)}, not {list(truth.output.shape)}")
        elif fault := _off(output, truth.output, tolerance, finfo.tiny * math.sqrt(output.numel())):
            yield Fault("output", name, f"{what} {fault}")
    largest = max((float(g.norm()) for g in gradients), default=0.0)
    for position, (found, exact) in enumerate(zip(result.gradients, gradients, strict=True)):
        floor = finfo.eps * largest + finfo.tiny * math.sqrt(found.numel())
        if fault := _off(found, exact, tolerance, floor):
            yield Fault("gradient", name, f"gradient of input {position} {fault}")


def _off(found: Tensor, truth: Tensor, tolerance: float, slack: float) -> str | None:
    """What is wrong with a tensor, in words: the 2-norm of its error over that of the truth."""
    exact = truth.double().to(found.device)
    if not found.isfinite().all():
        return "is not finite" if exact.isfinite().all() else None
    error, size = float((found.double() - exact).norm()), float(exact.norm())
    if not error > tolerance * size + slack:
        return None
    return f"is off by {error / size if size else error:.2g} (relative; allowed {tolerance:.0e})"


def _skips_repeated_work(
    call: Callable[..., Any],
    method: Any,
    workload: Workload,
    size: Size,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
) -> Fault | None:
    """Whether an input that was just seen is much faster than a new one: a training run never has the same twice."""

    def seconds(tensors: Sequence[Tensor]) -> float:
        synchronise(device)
        begin = time.perf_counter()
        value = call(method, *tensors)
        if value.requires_grad:
            torch.autograd.grad(value, [t for t in tensors if t.requires_grad], allow_unused=True)
        synchronise(device)
        return time.perf_counter() - begin

    gains: list[float] = []
    for attempt in range(2):
        pairs = []
        for number in range(5):
            tensors = draw(workload.inputs, size, device, dtype, seed + 100 + 10 * attempt + number)
            pairs.append((seconds(tensors), seconds(tensors)))
            if pairs[-1][0] > 1 and number >= 2:
                break
        new, same = (median(times) for times in zip(*pairs, strict=True))
        gains.append(new / same if new > SHORTEST else 1.0)
        # Once may be the machine's doing.
        if gains[-1] < SKIPPED:
            return None
    found = f"a repeated input is {min(gains):.0f} times as fast as a new one: its work is skipped"
    return Fault("repeated", "realistic", found)


def _second_order(
    call: Callable[..., Any],
    method: Method,
    reference: Method,
    workload: Workload,
    size: Size,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
) -> list[Fault]:
    """Whether its gradient can be differentiated to a wrong result without a word. An error is a fine answer."""
    tensors = draw(workload.inputs, size, device, dtype, seed)
    try:
        truth = _second_derivatives(call, reference.create(), in_float64(tensors), seed)
    except (RuntimeError, NotImplementedError, HarnessError):
        return []
    try:
        found = _second_derivatives(call, method.create(), tensors, seed)
    except (RuntimeError, NotImplementedError, HarnessError):
        return []
    largest = max((float(t.norm()) for t in truth), default=0.0)
    for position, (mine, exact) in enumerate(zip(found, truth, strict=True)):
        if fault := _off(mine, exact, SECOND_ORDER_TOLERANCE, SECOND_ORDER_TOLERANCE * largest):
            text = f"second derivative at input {position} {fault}, and nothing says so (mark it once_differentiable)"
            return [Fault("second-order", "realistic", text, blocks=False)]
    return []


def _second_derivatives(
    call: Callable[..., Any], method: Any, tensors: Sequence[Tensor], seed: int
) -> tuple[Tensor, ...]:
    wanted = [t for t in tensors if t.requires_grad]
    value = call(Weighed(method, seed) if callable(method) else method, *tensors)
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
