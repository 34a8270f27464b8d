"""Repeat what was recorded: ``harness rerun``, and what on this machine threatens that results repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.spec import Finding

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """Add the command ``rerun``."""
    from harness_plugins.rerun import commands

    commands.add_to(app)


@hookimpl
def harness_doctor() -> Sequence[Finding]:
    """Report what threatens that results or times repeat on this machine."""
    from harness_plugins.rerun import threats

    return threats.findings()
