"""``harness ui`` and ``harness publish``: the MLflow view of the records."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from harness.cli.arguments import Json, Plugins, Results, registry
from harness.cli.output import people, print_json


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(publish)
    app.command()(ui)


def publish(
    context: typer.Context,
    suites: Annotated[
        list[str] | None, typer.Argument(metavar="[SUITE_OR_FILE]...", help="All recorded ones if left out.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TRACKING_URI", help="Another store, or a server.")] = None,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Make the MLflow runs of recorded suites; doing it again changes nothing."""
    from harness.judge import judged_suites, warn_of_unregistered
    from harness.planning.request import Request
    from harness_plugins.tracking.writer import publish as publish_suite

    found = registry(context, plugin)
    for name in suites or ():
        if not name.endswith(".toml"):
            found.suites[name]
    request = Request(suite="", results=results)
    published = {r.plan.suite.name: publish_suite(r, to) for r in judged_suites(found, suites or [], request)}
    if as_json:
        print_json({name: asdict(counts) for name, counts in published.items()})
    for name, counts in () if as_json else published.items():
        told = ", ".join(f"{count} {what}" for what, count in asdict(counts).items() if count)
        people().print(f"{name}: {told or 'no runs'}")
    if not suites:
        warn_of_unregistered(found, request)


def ui(
    suite: Annotated[str | None, typer.Argument(metavar="[SUITE]", help="The one that ran last if left out.")] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on localhost.")] = 5000,
    results: Results = None,
) -> None:
    """Serve the MLflow pages of the results on localhost, and print where a suite's runs are."""
    from harness.planning.request import results_folder
    from harness.records import RecordsFile
    from harness_plugins.tracking.server import experiment_url, serve

    folder = results_folder(results)
    if suite is None:
        records = RecordsFile(folder).load().by_id.values()
        suite = max(records, key=lambda r: r.finished).suite if records else None
    pages = {view: experiment_url(folder, suite, port, view) for view in ("methods", "claims", "seeds")}

    def ready() -> None:
        for view, url in pages.items():
            people().print(f"{view:<8} {url}", soft_wrap=True)
        people().print("Ctrl-C ends it")

    raise typer.Exit(serve(folder, port, ready))
