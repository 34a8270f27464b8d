"""What there is: ``harness list`` and ``harness show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``list`` and ``show``."""
    from harness_plugins.catalogue import commands

    app.command("list")(commands.list_)
    app.command()(commands.show)
