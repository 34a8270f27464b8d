"""``harness records``: check, repair, join and anonymise results folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """Add the group of commands ``records``."""
    from harness_plugins.upkeep.commands import records

    app.add_typer(records, name="records")
