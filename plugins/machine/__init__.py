"""What this machine has: ``harness data`` for data sets, ``harness doctor`` for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``data`` and ``doctor``."""
    from harness_plugins.machine import data, doctor

    app.command()(data.data)
    app.command()(doctor.doctor)
