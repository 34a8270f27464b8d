"""Checks what papers claim about machine-learning techniques, on your own machine, with an interval and the cost.

Everything public stands here. Names are imported when they are first used, so that ``import harness`` is fast.
"""

from __future__ import annotations

import os
import sys


def _handle_signals() -> None:
    """In the process of the command, ``harness`` or ``python -m harness``, let a signal cause no traceback."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119  pathlib would be loaded before
    if name == "harness" or (name == "-m" and "harness" in sys.orig_argv):
        from harness.running.signals import install

        install(stays=True)


_handle_signals()

from typing import TYPE_CHECKING  # noqa: E402  what comes from here on may be interrupted

import lazy_loader  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.cell import Cell, Record, SuiteRun
    from harness.errors import ExitCode, HarnessError, UsageError
    from harness.files.claims import Claim
    from harness.hookspecs import hookimpl
    from harness.judge import SuiteResult, Verdict
    from harness.planning.plan import Plan
    from harness.planning.request import Request
    from harness.registry import Registry, load_registry
    from harness.results import load_results, run_suite, verdicts
    from harness.running.run import Run
    from harness.spec import (
        Dataset,
        Engine,
        Figure,
        Finding,
        Method,
        Metric,
        Option,
        Paper,
        Place,
        Role,
        Task,
        Workload,
    )

__all__ = ["Cell", "Claim", "Dataset", "Engine", "ExitCode", "Figure", "Finding", "HarnessError", "Method", "Metric"]
__all__ += ["Option", "Paper", "Place", "Plan", "Record", "Registry", "Request", "Role", "Run", "SuiteResult"]
__all__ += ["SuiteRun", "Task", "UsageError", "Verdict", "Workload", "claims", "hookimpl", "load_registry"]
__all__ += ["load_results", "methods", "run_suite", "suites", "tasks", "verdicts", "workloads"]

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cell": ["Cell", "Record", "SuiteRun"],
        "errors": ["ExitCode", "HarnessError", "UsageError"],
        "files.claims": ["Claim"],
        "hookspecs": ["hookimpl"],
        "judge": ["SuiteResult", "Verdict"],
        "planning.plan": ["Plan"],
        "planning.request": ["Request"],
        "registry": ["Registry", "load_registry"],
        "results": ["load_results", "run_suite", "verdicts"],
        "running.run": ["Run"],
        "option": ["Option"],
        "spec": [
            "Dataset",
            "Engine",
            "Figure",
            "Finding",
            "Method",
            "Metric",
            "Paper",
            "Place",
            "Role",
            "Task",
            "Workload",
        ],
    },
)


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
    from harness.files.claims import claims_of

    return claims_of(_registry()).by_id


def suites() -> Mapping[str, Path]:
    """The files of every suite by name."""
    return _registry().suites


def _registry() -> Registry:
    from harness.registry import load_registry

    return load_registry()
