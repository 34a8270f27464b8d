"""Repeating what was recorded: ``harness rerun``, and what on this machine stands in its way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.spec import Finding

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``rerun``."""
    from harness_plugins.rerun import commands

    commands.add_to(app)


@hookimpl
def harness_doctor() -> Sequence[Finding]:
    """What threatens that results or times can be repeated here."""
    from harness_plugins.rerun.threats import findings

    return findings()
