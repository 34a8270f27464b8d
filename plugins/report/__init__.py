"""The command ``report`` writes a results folder as one HTML file: verdicts, evidence, cost, environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """The command ``report``."""
    from harness_plugins.report import commands

    commands.add_to(app)
