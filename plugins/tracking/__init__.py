"""MLflow as a view of the records: written beside a running suite, rebuilt by ``publish``, opened by ``ui``.

Nothing here imports MLflow until a suite starts or a command needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_watchers() -> list[object]:
    """Writes each run of a suite into MLflow."""
    from harness_plugins.tracking.writer import MlflowWatcher

    return [MlflowWatcher()]


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``publish`` and ``ui``."""
    from harness_plugins.tracking import commands

    commands.add_to(app)
