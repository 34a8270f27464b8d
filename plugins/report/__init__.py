"""One HTML file of a results folder: verdicts, evidence, cost, environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``report``."""
    from harness_plugins.report import commands

    commands.add_to(app)
