"""Speed and memory of methods, checked and measured side by side: ``harness bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``bench``."""
    from harness_plugins.speed import command

    command.add_to(app)
