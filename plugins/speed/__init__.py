"""Speed and memory of methods, checked and measured side by side: ``harness bench``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.spec import Role, Task, Workload
from harness_plugins.speed import tasks

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``bench``."""
    from harness_plugins.speed import command

    command.add_to(app)


@hookimpl
def harness_tasks_of_role(role: Role, workloads: Sequence[Workload]) -> list[Task]:
    """One race for each role that has a workload."""
    return tasks.races(role, workloads)


@hookimpl
def harness_claims() -> list[Path]:
    """What must hold before a race can be judged."""
    return [Path(__file__).with_name("claims.toml")]
