"""A suite on the terminal: ``harness suite`` and ``harness claims``, progress, plans, estimates and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer
    from rich.console import Console


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``suite`` and ``claims``."""
    from harness_plugins.terminal import commands

    app.command()(commands.suite)
    app.command()(commands.claims)


@hookimpl
def harness_watchers(console: Console | None) -> list[object]:
    """A progress bar, where somebody watches."""
    if console is None:
        return []
    from harness_plugins.terminal.progress import ProgressWatcher

    return [ProgressWatcher(console)]
