"""For plugin authors: ``harness new``, ``harness check`` and ``harness schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """The commands ``new plugin``, ``check`` and ``schema``."""
    from harness_plugins.authors import commands

    commands.add_to(app)
