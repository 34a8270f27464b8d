"""Every hook a plugin may implement. Whoever extends the harness reads this file and `spec.py`, no other.

A plugin is a module (or a package's ``__init__``) with functions of these names marked ``@harness.hookimpl``::

    import harness

    @harness.hookimpl
    def harness_methods():
        return [harness.Method(name="label-smoothing", role="classification-loss", build="my_plugin.loss:Smoothed")]

It may state ``HARNESS_HOOKS = 2``, the version of the hooks that it was written for, so that a harness with other
hooks can say so. It is found through the entry-point group ``harness.plugins`` or named with ``-p MODULE_OR_PATH``.
An implementation may leave out arguments it does not need. The module must import fast: neither torch nor
mlflow at import time, since ``harness list`` imports every plugin; name code as ``"module:attribute"`` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import typer
    from rich.console import Console

    from harness.cell import Cell, Record, SuiteRun
    from harness.spec import Dataset, Engine, Figure, Finding, Method, Role, Task, Workload

#: The name pluggy knows this project by.
PROJECT = "harness"
#: Raised when a hook is added or changes. A plugin states the one it was written for as ``HARNESS_HOOKS``.
HOOKS_VERSION = 2
#: Plugins written for an older version than this are refused.
OLDEST_HOOKS = 1
#: Marks a function in a plugin as an implementation of one of the hooks below.
hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)


def hook_names() -> set[str]:
    """Names of all hooks.

    >>> "harness_methods" in hook_names()
    True
    """
    return {name for name, value in globals().items() if hasattr(value, f"{PROJECT}_spec")}


# What a plugin brings ---------------------------------------------------------------------------------------


@_hookspec
def harness_roles() -> Sequence[Role]:  # type: ignore[empty-body]
    """What methods and tasks agree on: how a method is called, and what it returns."""


@_hookspec
def harness_methods() -> Sequence[Method]:  # type: ignore[empty-body]
    """Techniques and the baselines they are compared with."""


@_hookspec
def harness_tasks() -> Sequence[Task]:  # type: ignore[empty-body]
    """Data and protocol that call a method of one role and return metrics."""


@_hookspec
def harness_tasks_of_role(role: Role, workloads: Sequence[Workload]) -> Sequence[Task]:  # type: ignore[empty-body]
    """Tasks for every method of a role, whoever brings the role: races, for example.

    Called once for each registered role, with its workloads, when all plugins are loaded.
    """


@_hookspec
def harness_workloads() -> Sequence[Workload]:  # type: ignore[empty-body]
    """Inputs of a given size on which methods of one role are timed and checked."""


@_hookspec
def harness_datasets() -> Sequence[Dataset]:  # type: ignore[empty-body]
    """Data sets, each with its licence, digests and the places it may come from."""


@_hookspec
def harness_figures() -> Sequence[Figure]:  # type: ignore[empty-body]
    """Pictures of what was recorded, beyond those that every suite gets."""


@_hookspec
def harness_claims() -> Sequence[Path]:  # type: ignore[empty-body]
    """TOML files of claims (see docs/claims.md)."""


@_hookspec
def harness_suites() -> Sequence[Path]:  # type: ignore[empty-body]
    """TOML files of suites, or folders that hold some. A suite goes by its file's stem."""


@_hookspec
def harness_engines() -> Sequence[Engine]:  # type: ignore[empty-body]
    """Ways to turn cells into records, chosen by ``--engine NAME``."""


@_hookspec
def harness_watchers(console: Console | None) -> Sequence[object]:  # type: ignore[empty-body]
    """Objects that implement the life-cycle hooks below. Called once for each run of a suite.

    ``console`` is where a person watches the run; None where nobody does.
    """


@_hookspec
def harness_doctor() -> Sequence[Finding]:  # type: ignore[empty-body]
    """Findings about this machine for ``harness doctor``. Called only by that command."""


@_hookspec
def harness_commands(app: typer.Typer) -> None:
    """Adds commands to the command line. Called for installed plugins, before the arguments are read."""


# What a plugin may watch ------------------------------------------------------------------------------------
# All of these run in the parent process. An exception in one becomes a warning and never costs a result.


@_hookspec
def harness_suite_started(run: SuiteRun) -> None:
    """A suite's cells are about to run: ``run.todo``.

    Called again with further cells when ``--until-decided`` adds seeds.
    """


@_hookspec
def harness_cell_started(run: SuiteRun, cell: Cell) -> None:
    """A worker has taken this cell."""


@_hookspec
def harness_cell_progress(run: SuiteRun, cell: Cell, fraction: float) -> None:
    """A running cell has come this far, from 0 to 1."""


@_hookspec
def harness_cell_finished(run: SuiteRun, cell: Cell, record: Record) -> None:
    """A cell has ended, well or badly, and its record is safely on disk."""


@_hookspec
def harness_suite_finished(run: SuiteRun, result: Any) -> None:
    """All cells have ended or the run was interrupted. ``result`` is a ``harness.SuiteResult`` with the verdicts."""
