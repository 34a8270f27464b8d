"""Checks that compute: a method's value and gradients against its reference, and its gradient against its value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError

from harness.errors import UsageError
from harness.spec import Method, Workload, resolve
from harness_plugins.authors.behaviour import has_methods
from harness_plugins.authors.findings import Check, Note, Problem, Subject
from harness_plugins.authors.role_calls import describe

if TYPE_CHECKING:
    from harness_plugins.speed.gate import Fault

#: Largest size of inputs on which a method is compared with its reference first, to save time.
SMALL = 64
#: Step of the central difference, and the largest relative difference of both slopes.
STEP, SLOPE_TOLERANCE = 1e-5, 1e-4

#: Advice by the kind of fault.
_ADVICE = {
    "gradient": "torch.autograd.gradcheck shows which input's gradient is wrong; if it is right in float64, rewrite "
    "what cancels or overflows",
    "changed-input": "write into a copy: an operation whose name ends in _ changes its argument",
}


def reference(subject: Subject) -> Iterator[Problem | Note]:
    """Compare value and gradients with the reference in float64, on the role's workloads and their extreme inputs."""
    for method, workload in _pairs(subject):
        for device in subject.devices:
            yield from _reference_problems(method, workload, device, subject)


def _pairs(subject: Subject) -> Iterator[tuple[Method, Workload]]:
    """The plugin's methods with each workload of their role, whoever brings it."""
    for method in subject.methods.values():
        for workload in subject.registry.workloads.values():
            if workload.role == method.role:
                yield method, workload


def _reference_problems(method: Method, workload: Workload, device: str, subject: Subject) -> Iterator[Problem | Note]:
    try:
        faults = _faults(method, workload, torch.device(device), subject)
    except (UsageError, ImportError) as error:
        yield Note(f"method {method.name} was not compared on {workload.name}: {error}")
        return
    baseline_faults = _faults_of_baseline(method, workload, torch.device(device), subject) if faults else {}
    for fault in faults:
        message = f"method {method.name} on {workload.name} on {device}, {fault.inputs} inputs: {fault.found}"
        # If the baseline has the same fault, the inputs are hard.
        if same := baseline_faults.get((fault.check, fault.inputs)):
            message += f"; the same holds for the baseline {workload.baseline}: {same}"
        advice = _ADVICE.get(fault.check, "compare it with its reference, term by term, in float64")
        yield Problem(message, advice, method.name)


def _faults_of_baseline(
    method: Method, workload: Workload, device: torch.device, subject: Subject
) -> dict[tuple[str, str], str]:
    baseline = subject.registry.methods[workload.baseline]
    if baseline.name == method.name:
        return {}
    try:
        faults = _faults(baseline, workload, device, subject)
    except (UsageError, ImportError):
        return {}
    return {(fault.check, fault.inputs): fault.found for fault in reversed(faults)}


def _faults(method: Method, workload: Workload, device: torch.device, subject: Subject) -> list[Fault]:
    """The faults that ``harness bench`` finds, without those that depend on the clock."""
    from harness_plugins.speed.gate import examine

    truth = subject.registry.methods[method.reference or method.name]
    try:
        if not examine(method, workload, _size(workload, SMALL), device, torch.float32, 0, truth):
            return []
    except Exception:  # noqa: BLE001  the workload may not allow smaller sizes than it names
        pass
    faults = examine(method, workload, _size(workload), device, torch.float32, 0, truth)
    return [fault for fault in faults if fault.check != "repeated"]


def _size(workload: Workload, most: int = 2**31) -> dict[str, int]:
    """The workload's smallest size, with no dimension above ``most``."""
    return {name: min(*values, most) for name, values in workload.sizes.items()}


def gradient(subject: Subject) -> Iterator[Problem | Note]:
    """Compare the gradient in float64 with differences of the value, along a random line through the inputs."""
    for method, workload in _pairs(subject):
        if method.reference:
            continue  # The check "reference" compares its gradients.
        try:
            problem = _gradient_problem(method, workload)
        except Exception as error:  # noqa: BLE001  the check "reference" reports it
            yield Note(f"method {method.name} was not differentiated on {workload.name}: {describe(error)}")
            continue
        if problem:
            yield Problem(
                f"method {method.name} on {workload.name}: its gradient is not the derivative of its value: {problem}",
                "correct the backward pass, or look for a detach() too many; torch.autograd.gradcheck shows where",
                method.name,
            )


def _gradient_problem(method: Method, workload: Workload) -> str:
    """The message of torch's gradcheck; empty if the gradient is right or no input has one.

    One number moves all inputs along a random line, and gradcheck differentiates with respect to this number. On a
    mismatch it computes the whole Jacobian, which would take minutes for the inputs of a workload.
    """
    drawn = resolve(workload.inputs)(
        torch.Generator().manual_seed(0), torch.device("cpu"), torch.float64, **_size(workload)
    )
    generator = torch.Generator().manual_seed(1)
    directions = {
        i: torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        for i, tensor in enumerate(drawn)
        if tensor.requires_grad
    }
    if not directions:
        return ""
    code = resolve(workload.call)

    def value_at(distance: Tensor) -> Tensor:
        moved = [t.detach() + distance * directions[i] if i in directions else t for i, t in enumerate(drawn)]
        value: Tensor = code(method.create(), *moved)
        return value

    start = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = value_at(start)
    if not value.requires_grad:
        return ""
    # Largest error that rounding the two values makes in their slope.
    rounding = 100 * torch.finfo(torch.float64).eps * abs(float(value.detach())) / STEP
    try:
        torch.autograd.gradcheck(
            value_at,
            (start,),
            eps=STEP,
            atol=rounding,
            rtol=SLOPE_TOLERANCE,
            check_undefined_grad=False,
            fast_mode=True,
        )
    except GradcheckError as error:
        return " ".join(str(error).partition("The above")[0].split())[:200]
    return ""


CHECKS = (
    Check("reference", "value and gradients match the reference in float64", reference, has_methods, rounding=True),
    Check("gradient", "the gradient is the derivative of the value", gradient, has_methods),
)
