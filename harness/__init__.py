"""Checks what papers claim about machine-learning techniques, on your own machine, with an interval and the cost.

Everything public stands here. Names are imported when they are first used, so that ``import harness`` is fast.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.cell import Cell
    from harness.claims import Claim
    from harness.errors import ExitCode, HarnessError, UsageError
    from harness.hookspecs import hookimpl
    from harness.judge import Verdict
    from harness.plan import Session
    from harness.records import Record
    from harness.registry import Registry, load_registry
    from harness.request import Request
    from harness.results import load_results, verdicts
    from harness.run import Run
    from harness.session import SuiteResult, run_suite
    from harness.spec import Dataset, Engine, Figure, Finding, Method, Metric, Option, Paper, Place, Task, Workload

_HOME = {
    "Cell": "cell",
    "Claim": "claims",
    "Dataset": "spec",
    "Engine": "spec",
    "ExitCode": "errors",
    "Figure": "spec",
    "Finding": "spec",
    "HarnessError": "errors",
    "Method": "spec",
    "Metric": "spec",
    "Option": "spec",
    "Paper": "spec",
    "Place": "spec",
    "Record": "records",
    "Registry": "registry",
    "Request": "request",
    "Run": "run",
    "Session": "plan",
    "SuiteResult": "session",
    "Task": "spec",
    "UsageError": "errors",
    "Verdict": "judge",
    "Workload": "spec",
    "hookimpl": "hookspecs",
    "load_registry": "registry",
    "load_results": "results",
    "run_suite": "session",
    "verdicts": "results",
}
__all__ = [
    "Cell",
    "Claim",
    "Dataset",
    "Engine",
    "ExitCode",
    "Figure",
    "Finding",
    "HarnessError",
    "Method",
    "Metric",
    "Option",
    "Paper",
    "Place",
    "Record",
    "Registry",
    "Request",
    "Run",
    "Session",
    "SuiteResult",
    "Task",
    "UsageError",
    "Verdict",
    "Workload",
    "claims",
    "hookimpl",
    "load_registry",
    "load_results",
    "methods",
    "run_suite",
    "suites",
    "tasks",
    "verdicts",
    "workloads",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"harness.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def methods() -> Mapping[str, Method]:
    """Every method of the installed plugins by name.

    >>> round(float(methods()["infonce"].create(temperature=0.5).temperature), 2)
    0.5
    """
    return _registry().methods


def tasks() -> Mapping[str, Task]:
    """Every task of the installed plugins by name."""
    return _registry().tasks


def workloads() -> Mapping[str, Workload]:
    """Every workload of the installed plugins by name."""
    return _registry().workloads


def claims() -> Mapping[str, Claim]:
    """Every claim of the installed plugins by id."""
    return _registry().claims


def suites() -> Mapping[str, Path]:
    """The files of every suite by name."""
    return _registry().suites


def _registry() -> Registry:
    from harness.registry import load_registry

    return load_registry()
