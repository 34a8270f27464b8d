"""The check of unusual inputs: no row, one row, other memory layouts, half precision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import torch

from harness.errors import HarnessError
from harness.spec import Method, Role
from harness_plugins.authors.behaviour import has_methods
from harness_plugins.authors.findings import Check, Note, Problem, Subject
from harness_plugins.authors.results import problem_of_result, tensors_of
from harness_plugins.authors.role_calls import (
    ROWS,
    build_and_call,
    describe,
    dtype_name,
    methods_with_roles,
    non_contiguous,
)

#: Largest relative difference that another memory layout may make in float64.
LAYOUT_TOLERANCE = 1e-9


def edges(subject: Subject) -> Iterator[Problem | Note]:
    """Call every method on unusual inputs; it must be right, or refuse them and name their shape or dtype."""
    for method, role in methods_with_roles(subject):
        for device in subject.devices:
            try:
                build_and_call(method, role, device)
            except Exception:  # noqa: BLE001  the check "protocol" reports it
                continue
            for inputs, problem in _problems(method, role, device):
                yield Problem(
                    f"method {method.name} on {device}, {inputs}: {problem}",
                    "make it work, or raise a ValueError that names the argument and its shape (or its dtype)",
                    method.name,
                )


def _problems(method: Method, role: Role, device: str) -> Iterator[tuple[str, str]]:
    """What the unusual inputs are, and what is wrong with the result or with the refusal."""
    if role.any_rows:
        for inputs, rows in (("no row", 0), ("one row", 1)):
            if problem := _problem(method, role, device, torch.float32, rows, _names_shape):
                yield inputs, problem
    if role.half:
        for dtype in (torch.float16, torch.bfloat16):
            if problem := _problem(method, role, device, dtype, ROWS, _names_dtype):
                yield dtype_name(dtype), problem
    if problem := _layout_problem(method, role, device):
        yield "inputs not contiguous", problem


def _problem(
    method: Method,
    role: Role,
    device: str,
    dtype: torch.dtype,
    rows: int,
    is_clear: Callable[[Exception], bool],
) -> str:
    try:
        inputs, returned = build_and_call(method, role, device, dtype, rows)
    except Exception as error:  # noqa: BLE001
        return "" if is_clear(error) else f"raises {describe(error)}"
    return problem_of_result(role, inputs, returned)


def _names_shape(error: Exception) -> bool:
    return isinstance(error, (ValueError, HarnessError)) and bool(re.search(r"\[\s*\d|\brows?\b|shape", str(error)))


def _names_dtype(error: Exception) -> bool:
    is_refusal = isinstance(error, (ValueError, TypeError, HarnessError)) and "float" in str(error)
    # torch's own words where it has no kernel for a type.
    return is_refusal or "not implemented for" in str(error)


def _layout_problem(method: Method, role: Role, device: str) -> str:
    try:
        expected = build_and_call(method, role, device, torch.float64)[1]
        returned = build_and_call(method, role, device, torch.float64, change=non_contiguous)[1]
    except Exception as error:  # noqa: BLE001
        return f"raises {describe(error)}"
    pairs = zip(tensors_of(expected), tensors_of(returned), strict=True)
    if all(torch.allclose(a, b, rtol=LAYOUT_TOLERANCE, atol=LAYOUT_TOLERANCE, equal_nan=True) for a, b in pairs):
        return ""
    return "gives another result than for the same numbers laid out contiguously"


CHECKS = (
    Check(
        "edges",
        "no row, one row, inputs that are not contiguous and half precision work, or are refused clearly",
        edges,
        has_methods,
    ),
)
