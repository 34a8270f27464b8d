"""Checks that build a plugin's methods and call them on a few rows: promises, repeatability, side effects."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import UsageError
from harness.spec import Method, Role, Scalar
from harness_plugins.authors.findings import Check, Note, Problem, Subject
from harness_plugins.authors.results import problem_of_result, same_bits, tensors_of
from harness_plugins.authors.role_calls import (
    build,
    build_and_call,
    call,
    describe,
    draw_inputs,
    dtype_name,
    methods_with_roles,
    role_of,
)


def builds(subject: Subject) -> Iterator[Problem | Note]:
    """Build every method with its defaults, and with each choice and each bound of its options."""
    for method in subject.methods.values():
        for options in _option_values(method):
            try:
                method.create(**options)
            except ImportError as error:
                yield Note(f"method {method.name} was not built: {error}")
                break
            except Exception as error:  # noqa: BLE001  whatever it raises is reported
                values = ", ".join(f"{name} = {value!r}" for name, value in options.items()) or "its defaults"
                yield Problem(
                    f"method {method.name} cannot be built with {values}: {describe(error)}",
                    "accept these values, or declare the option with the choices and bounds that the code accepts",
                    method.name,
                )


def _option_values(method: Method) -> Iterator[dict[str, Scalar]]:
    yield {}
    for name, option in method.options.items():
        for value in option.choices:
            # A choice that ends in * stands for many values, none of which is known.
            if not str(value).endswith("*"):
                yield {name: value}
        for bound in (option.low, option.high):
            if bound is not None and type(option.default) in (int, float):
                yield {name: type(option.default)(bound)}


def protocol(subject: Subject) -> Iterator[Problem | Note]:
    """Call every method on every device in float32 and float64; its result must be what the role promises."""
    for role in subject.roles.values():
        try:
            draw_inputs(role, "cpu")
        except Exception as error:  # noqa: BLE001
            message = f"role {role.name}: its inputs cannot be drawn: {describe(error)}"
            yield Problem(message, "correct the code that Role(inputs=...) names")
    for method, role in methods_with_roles(subject):
        for device in subject.devices:
            for dtype in (torch.float32, torch.float64):
                yield from _protocol_problems(method, role, device, dtype)
    for name in sorted({method.role for method in subject.methods.values()}):
        if role_of(name, subject.registry) is None:
            yield Note(f"no plugin registers the role {name} or a workload of it: its methods were built, not called")


def _protocol_problems(method: Method, role: Role, device: str, dtype: torch.dtype) -> Iterator[Problem | Note]:
    problem = ""
    try:
        problem = problem_of_result(role, *build_and_call(method, role, device, dtype))
    except ImportError:
        pass  # The check "builds" reports it.
    except UsageError as error:
        if dtype == torch.float32:
            yield Note(f"method {method.name} on {device} refuses the call of its role: {error}")
    except Exception as error:  # noqa: BLE001
        problem = f"raises {describe(error)}"
    if problem:
        yield Problem(
            f"method {method.name} on {device} in {dtype_name(dtype)} {problem}",
            f"return what the role {role.name} promises: 'harness list roles' and docs/roles.md",
            method.name,
        )


def deterministic(subject: Subject) -> Iterator[Problem | Note]:
    """Build and call every method twice from the same seed; both results must have the same bits."""
    for method, role in methods_with_roles(subject):
        for device in subject.devices:
            try:
                first, second = (build_and_call(method, role, device)[1] for _ in range(2))
            except Exception:  # noqa: BLE001  the check "protocol" reports it
                continue
            if not same_bits(first, second):
                yield Problem(
                    f"method {method.name} on {device} gives another result the second time",
                    "draw only from a generator that the caller seeds",
                    method.name,
                )


def global_state(subject: Subject) -> Iterator[Problem | Note]:
    """Call every method; the global random generators must stay as they were."""
    for method, role in methods_with_roles(subject):
        for device in subject.devices:
            try:
                built, inputs = build(method, role, device), draw_inputs(role, device)
                # A module may draw its weights from torch's global generator when it is first called.
                call(role, built, inputs)
                before = _global_states()
                call(role, built, inputs)
            except Exception:  # noqa: BLE001  the check "protocol" reports it
                continue
            after = _global_states()
            changed = [name for name in before if not same_bits(before[name], after[name])]
            if changed:
                yield Problem(
                    f"method {method.name} draws from the global generator of {', '.join(changed)}",
                    "take a generator as an argument, or make one from a seed that is an option",
                    method.name,
                )


def inputs_kept(subject: Subject) -> Iterator[Problem | Note]:
    """Call every method; its inputs must stay as they were."""
    for method, role in methods_with_roles(subject):
        for device in subject.devices:
            try:
                built, inputs = build(method, role, device), draw_inputs(role, device)
                before = [tensor.detach().clone() for tensor in tensors_of(inputs)]
                call(role, built, inputs)
            except Exception:  # noqa: BLE001  the check "protocol" reports it
                continue
            if not same_bits(before, [tensor.detach() for tensor in tensors_of(inputs)]):
                yield Problem(
                    f"method {method.name} on {device} changes its inputs",
                    "write into a copy: an operation whose name ends in _ changes its argument",
                    method.name,
                )


def _global_states() -> dict[str, Sequence[Tensor]]:
    numpy_state: Any = np.random.get_state(legacy=False)["state"]
    states: dict[str, Sequence[Tensor]] = {
        "Python": [torch.tensor(random.getstate()[1])],
        "numpy": [torch.from_numpy(numpy_state["key"].astype(np.int64)), torch.tensor(numpy_state["pos"])],
        "torch": [torch.get_rng_state()],
    }
    if torch.cuda.is_available():
        states["torch on cuda"] = [torch.cuda.get_rng_state()]
    return states


def has_methods(subject: Subject) -> bool:
    """Whether the plugin brings methods."""
    return bool(subject.methods)


def has_calls(subject: Subject) -> bool:
    """Whether the plugin brings methods, or says how they are called."""
    return bool(subject.methods or subject.roles)


CHECKS = (
    Check("builds", "every method can be built with each choice and bound of its options", builds, has_methods),
    Check("protocol", "every method returns what its role promises, on every device here", protocol, has_calls),
    Check("deterministic", "the same seed gives the same bits", deterministic, has_methods),
    Check("global-state", "no method draws from a global random generator", global_state, has_methods),
    Check("inputs-kept", "no method changes its inputs", inputs_kept, has_methods),
)
