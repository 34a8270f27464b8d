"""MLflow shows the records: runs are written beside a running suite, or by ``publish``; ``ui`` opens them.

Nothing here imports MLflow until a suite starts or a command needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_watchers() -> list[object]:
    """The watcher that writes a running suite into MLflow."""
    from harness_plugins.tracking.writer import MlflowWatcher

    return [MlflowWatcher()]


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """The commands ``publish`` and ``ui``."""
    from harness_plugins.tracking import commands

    commands.add_to(app)
