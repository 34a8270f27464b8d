"""Checks that build a plugin's methods and call them on a few rows, as their role promises."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import HarnessError, UsageError
from harness.running.execute import seed_everything
from harness.spec import Method, Scalar, Workload, resolve
from harness_plugins.authors.findings import Check, Note, Problem, Subject
from harness_plugins.authors.roles import ROWS, Protocol, lowest, protocol_of, strided, tensors_of

if TYPE_CHECKING:
    from harness_plugins.speed.gate import Fault

#: Largest relative difference that another layout in memory may make in float64.
LAYOUT = 1e-9
#: Largest size of inputs on which a method is compared with its reference.
SMALL = 64
#: Half of the line on which a value is differenced, and how far both slopes may be apart, relatively.
STEP, SLOPE = 1e-5, 1e-4


def builds(subject: Subject) -> Iterator[Problem | Note]:
    """Every method can be built with its defaults, each choice and each bound of its options."""
    for method in subject.methods.values():
        for settings in _settings(method):
            try:
                method.create(**settings)
            except ImportError as error:
                yield Note(f"method {method.name} was not built: {error}")
                break
            except Exception as error:  # noqa: BLE001  whatever it raises is what is reported
                told = ", ".join(f"{k} = {v!r}" for k, v in settings.items()) or "its defaults"
                yield Problem(
                    f"method {method.name} cannot be built with {told}: {_said(error)}",
                    "allow it, or declare the option with the choices and bounds that it has",
                    method.name,
                )


def _settings(method: Method) -> Iterator[dict[str, Scalar]]:
    yield {}
    for name, option in method.options.items():
        for value in option.choices:
            if not str(value).endswith("*"):  # Stands for many values, of which none is known.
                yield {name: value}
        for bound in (option.low, option.high):
            if bound is not None and type(option.default) in (int, float):
                yield {name: type(option.default)(bound)}


def protocol(subject: Subject) -> Iterator[Problem | Note]:
    """On every device and in float32 and float64 a method gives what its role promises."""
    for method, rules in _callable(subject):
        for device in subject.devices:
            for dtype in (torch.float32, torch.float64):
                try:
                    inputs, returned = _called(method, rules, device, dtype)
                    wrong = rules.promise(inputs, returned)
                except ImportError:
                    wrong = ""  # The check of the building tells it.
                except UsageError as error:
                    wrong = ""
                    if dtype == torch.float32:
                        yield Note(f"method {method.name} on {device} refuses the call of its role: {error}")
                except Exception as error:  # noqa: BLE001
                    wrong = f"raises {_said(error)}"
                if wrong:
                    yield Problem(
                        f"method {method.name} on {device} in {_name(dtype)} {wrong}",
                        f"keep the promise of the role {method.role} (docs/roles.md)",
                        method.name,
                    )
    for role in sorted({method.role for method in subject.methods.values()}):
        if protocol_of(role, subject.registry) is None:
            yield Note(f"the role {role} is not known and has no workload: its methods were built, never called")


def deterministic(subject: Subject) -> Iterator[Problem | Note]:
    """Built and called twice from one seed, a method gives the same bits."""
    for method, rules in _callable(subject):
        for device in subject.devices:
            first, second = (_attempt(method, rules, device) for _ in range(2))
            if first is not None and second is not None and not _same(first[1], second[1]):
                yield Problem(
                    f"method {method.name} on {device} gives another result the second time",
                    "draw from a generator that the caller seeds, and from nothing else",
                    method.name,
                )


def global_state(subject: Subject) -> Iterator[Problem | Note]:
    """Calling a method leaves the global random generators as they were."""
    for method, rules in _callable(subject):
        for device in subject.devices:
            try:
                built, inputs = _prepared(method, rules, device)
                # A module may make its weights, which torch draws from its own generator, when it is first called.
                rules.call(built, inputs)
                before = _global_states()
                rules.call(built, inputs)
            except Exception:  # noqa: BLE001  the check of the protocol reports it
                continue
            after = _global_states()
            changed = [name for name in before if not _same(before[name], after[name])]
            if changed:
                yield Problem(
                    f"method {method.name} draws from the global generator of {', '.join(changed)}",
                    "take a generator as an argument, or make one from a seed that is an option",
                    method.name,
                )


def inputs_kept(subject: Subject) -> Iterator[Problem | Note]:
    """What a method is called with is afterwards as it was."""
    for method, rules in _callable(subject):
        for device in subject.devices:
            try:
                built, inputs = _prepared(method, rules, device)
                before = [tensor.detach().clone() for tensor in tensors_of(inputs)]
                rules.call(built, inputs)
            except Exception:  # noqa: BLE001  the check of the protocol reports it
                continue
            if not _same(before, [tensor.detach() for tensor in tensors_of(inputs)]):
                yield Problem(
                    f"method {method.name} on {device} changes its inputs",
                    "write into a copy: an operation whose name ends in _ changes its argument",
                    method.name,
                )


def edges(subject: Subject) -> Iterator[Problem | Note]:
    """No row, one row, other layouts, half precision: right, or refused with a sentence that names the shape."""
    for method, rules in _callable(subject):
        for device in subject.devices:
            for label, wrong in _edges(method, rules, device):
                yield Problem(
                    f"method {method.name} on {device}, {label}: {wrong}",
                    "make it work, or raise a ValueError that names the argument and its shape (or its dtype)",
                    method.name,
                )


def _edges(method: Method, rules: Protocol, device: str) -> Iterator[tuple[str, str]]:
    if _attempt(method, rules, device) is None:
        return
    if rules.any_rows:
        for label, rows in (("no row", 0), ("one row", 1)):
            if wrong := _outcome(method, rules, device, torch.float32, rows, _names_shape):
                yield label, wrong
    if rules.any_dtype:
        for dtype in (torch.float16, torch.bfloat16):
            if wrong := _outcome(method, rules, device, dtype, ROWS, _names_dtype):
                yield _name(dtype), wrong
    try:
        plain = _called(method, rules, device, torch.float64)[1]
        apart = _called(method, rules, device, torch.float64, change=strided)[1]
    except Exception as error:  # noqa: BLE001
        yield "inputs not contiguous", f"raises {_said(error)}"
        return
    for one, other in zip(tensors_of(plain), tensors_of(apart), strict=True):
        if not torch.allclose(one, other, rtol=LAYOUT, atol=LAYOUT, equal_nan=True):
            yield "inputs not contiguous", "gives another result than for the same numbers without"


def _outcome(
    method: Method, rules: Protocol, device: str, dtype: torch.dtype, rows: int, clear: Callable[[Exception], bool]
) -> str:
    """What is wrong with the result or with the refusal; empty where nothing is."""
    try:
        inputs, returned = _called(method, rules, device, dtype, rows)
    except Exception as error:  # noqa: BLE001
        return "" if clear(error) else f"raises {_said(error)}"
    return rules.promise(inputs, returned)


def _names_shape(error: Exception) -> bool:
    return isinstance(error, (ValueError, HarnessError)) and bool(re.search(r"\[\s*\d|\brows?\b|shape", str(error)))


def _names_dtype(error: Exception) -> bool:
    asked = isinstance(error, (ValueError, TypeError, HarnessError)) and "float" in str(error)
    # What torch itself says where it has no kernel for a type.
    return asked or "not implemented for" in str(error)


def reference(subject: Subject) -> Iterator[Problem | Note]:
    """On its role's workloads, ordinary and extreme, value and gradients are those of the reference in float64."""
    for method in subject.methods.values():
        for workload in subject.registry.workloads.values():
            if workload.role != method.role:
                continue
            truth = subject.registry.methods[method.reference or method.name]
            for device in subject.devices:
                try:
                    faults = _faults(method, workload, torch.device(device), truth)
                except (UsageError, ImportError) as error:
                    yield Note(f"method {method.name} was not compared on {workload.name}: {error}")
                    continue
                theirs = _of_baseline(method, workload, torch.device(device), subject) if faults else {}
                for fault in faults:
                    beside = theirs.get((fault.check, fault.inputs), "")
                    yield Problem(
                        f"method {method.name} on {workload.name} on {device}, {fault.inputs} inputs: {fault.found}"
                        + (f"; so is the baseline's, {workload.baseline}: {beside}" if beside else ""),
                        _ADVICE.get(fault.check, "compare it with its reference, term by term, in float64"),
                        method.name,
                    )


def _of_baseline(
    method: Method, workload: Workload, device: torch.device, subject: Subject
) -> dict[tuple[str, str], str]:
    """What is wrong with the workload's baseline by the same rule: then it is the inputs that are hard."""
    methods = subject.registry.methods
    baseline = methods[workload.baseline]
    if baseline.name == method.name:
        return {}
    try:
        found = _faults(baseline, workload, device, methods[baseline.reference or baseline.name])
    except (UsageError, ImportError):
        return {}
    return {(fault.check, fault.inputs): fault.found for fault in reversed(found)}


def _faults(method: Method, workload: Workload, device: torch.device, truth: Method) -> list[Fault]:
    """What ``harness bench`` finds wrong, but for what it tells by the clock; on small inputs where they are legal."""
    from harness_plugins.speed.gate import Fault, examine

    try:
        found = examine(method, workload, _size(workload, SMALL), device, torch.float32, 0, truth)
    except Exception:  # noqa: BLE001  a size that the workload does not name may be none
        found = [Fault("raised", "realistic", "")]
    if found:
        found = examine(method, workload, _size(workload), device, torch.float32, 0, truth)
    return [fault for fault in found if fault.check != "repeated"]


def _size(workload: Workload, most: int = 2**31) -> dict[str, int]:
    return {name: min(*values, most) for name, values in workload.sizes.items()}


def gradient(subject: Subject) -> Iterator[Problem | Note]:
    """What autograd gives is the derivative of the value, by central differences in float64 along a random line."""
    for method in subject.methods.values():
        for workload in subject.registry.workloads.values():
            if workload.role != method.role or method.reference:
                continue
            try:
                found = _slopes(method, workload)
            except Exception as error:  # noqa: BLE001  the check of the reference reports it
                yield Note(f"method {method.name} was not differentiated on {workload.name}: {_said(error)}")
                continue
            if found and abs(found[0] - found[1]) > SLOPE * max(map(abs, found)) + found[2]:
                yield Problem(
                    f"method {method.name} on {workload.name}: its value changes by {found[1]:.6g} along a line, "
                    f"and its gradient says {found[0]:.6g}",
                    "correct the backward pass, or look for a detach() too many; torch.autograd.gradcheck tells where",
                    method.name,
                )


def _slopes(method: Method, workload: Workload) -> tuple[float, float, float] | None:
    """Slope by the gradient, slope by differences, and what rounding makes of the latter; None without a gradient."""
    generator = torch.Generator().manual_seed(0)
    drawn = resolve(workload.inputs)(generator, torch.device("cpu"), torch.float64, **_size(workload))
    call = resolve(workload.call)
    wanted = [i for i, tensor in enumerate(drawn) if tensor.requires_grad]
    value = call(method.create(), *drawn)
    if not wanted or not value.requires_grad:
        return None
    gradients = torch.autograd.grad(value, [drawn[i] for i in wanted], allow_unused=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(1)
    line = [torch.randn(drawn[i].shape, generator=generator, dtype=torch.float64) for i in wanted]
    slope = sum(float((g * v).sum()) for g, v in zip(gradients, line, strict=True))
    ends = []
    for sign in (1, -1):
        moved = [tensor.detach().clone() for tensor in drawn]
        for i, v in zip(wanted, line, strict=True):
            moved[i] = (moved[i] + sign * STEP * v).requires_grad_()
        ends.append(float(call(method.create(), *moved).detach()))
    rounding = 100 * torch.finfo(torch.float64).eps * max(map(abs, ends)) / STEP
    return slope, (ends[0] - ends[1]) / (2 * STEP), rounding


_ADVICE = {
    "gradient": "torch.autograd.gradcheck says which input's gradient is wrong; where it is right in float64, rewrite "
    "what cancels or overflows",
    "changed-input": "write into a copy: an operation whose name ends in _ changes its argument",
}


# Calling -----------------------------------------------------------------------------------------------------


def _callable(subject: Subject) -> Iterator[tuple[Method, Protocol]]:
    for method in subject.methods.values():
        if (rules := protocol_of(method.role, subject.registry)) is not None:
            yield method, rules


def _prepared(
    method: Method, rules: Protocol, device: str, dtype: torch.dtype = torch.float32, rows: int = ROWS
) -> tuple[Any, Sequence[Any]]:
    """A method built from a seeded start, and inputs; a module is set to evaluate, where nothing is dropped out."""
    seed_everything(0)
    built = method.create(**(lowest(method.options) if rules.trains else {}))
    if isinstance(built, nn.Module):
        built = built.to(device).eval()
    return built, rules.draw(torch.Generator().manual_seed(0), torch.device(device), dtype, rows)


def _called(
    method: Method,
    rules: Protocol,
    device: str,
    dtype: torch.dtype,
    rows: int = ROWS,
    change: Callable[[Sequence[Any]], Sequence[Any]] = lambda inputs: inputs,
) -> tuple[Sequence[Any], Any]:
    built, inputs = _prepared(method, rules, device, dtype, rows)
    inputs = change(inputs)
    return inputs, rules.call(built, inputs)


def _attempt(method: Method, rules: Protocol, device: str) -> tuple[Sequence[Any], Any] | None:
    """The ordinary call; None where it fails, which the check of the protocol reports."""
    try:
        return _called(method, rules, device, torch.float32)
    except Exception:  # noqa: BLE001
        return None


def _global_states() -> dict[str, list[Tensor]]:
    states = {
        "Python": [torch.tensor(random.getstate()[1])],
        "numpy": [torch.from_numpy(np.random.get_state(legacy=False)["state"]["key"].astype(np.int64))],
        "torch": [torch.get_rng_state()],
    }
    states["numpy"].append(torch.tensor(np.random.get_state(legacy=False)["state"]["pos"]))
    if torch.cuda.is_available():
        states["torch on cuda"] = [torch.cuda.get_rng_state()]
    return states


def _same(first: Any, second: Any) -> bool:
    """Whether two results hold the same bits, not-a-number in the same places."""
    pairs = list(zip(tensors_of(first), tensors_of(second), strict=True))
    return all(torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _has_methods(subject: Subject) -> bool:
    return bool(subject.methods)


CHECKS = (
    Check("builds", "every method is built, with each choice and bound of its options", builds, _has_methods),
    Check("protocol", "every method gives what its role promises, on every device here", protocol, _has_methods),
    Check(
        "reference", "value and gradients are those of the reference in float64", reference, _has_methods, rounding=True
    ),
    Check("gradient", "the gradient is the derivative of the value", gradient, _has_methods),
    Check("deterministic", "the same seed gives the same bits", deterministic, _has_methods),
    Check("global-state", "no global random generator is drawn from", global_state, _has_methods),
    Check("inputs-kept", "no input is changed", inputs_kept, _has_methods),
    Check(
        "edges",
        "no row, one row, inputs that are not contiguous and half precision are right, or refused clearly",
        edges,
        _has_methods,
    ),
)
