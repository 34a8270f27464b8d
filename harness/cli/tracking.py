"""``harness ui`` and ``harness publish``: the MLflow view of the records."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import Json, Plugins, Results


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(publish)
    app.command()(ui)


def publish(
    context: typer.Context,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TRACKING_URI", help="Another MLflow store or server.")
    ] = None,
    as_json: Json = False,
    plugin: Plugins = None,
    results: Results = None,
) -> None:
    """Make the MLflow runs of every recorded suite from the records; twice changes nothing."""


def ui(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on localhost.")] = 5000,
    results: Results = None,
) -> None:
    """Open the MLflow page of the results on localhost, at the suite that ran last."""
