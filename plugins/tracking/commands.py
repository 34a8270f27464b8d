"""``harness publish`` and ``harness ui``: write recorded suites into MLflow, and serve its pages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from harness.cli.arguments import Json, Plugins, Results
from harness.cli.arguments import registry as load_registry
from harness.cli.output import people, print_json


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(publish)
    app.command()(ui)


def publish(
    context: typer.Context,
    suites: Annotated[
        list[str] | None, typer.Argument(metavar="[SUITE_OR_FILE]...", help="All suites with records if left out.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TRACKING_URI", help="Another store, or a server's address.")
    ] = None,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Write the MLflow runs of recorded suites; doing it again changes nothing."""
    from harness.judge import judged_suites, warn_of_unregistered
    from harness.planning.request import Request
    from harness_plugins.tracking.suite_runs import seeds_note
    from harness_plugins.tracking.writer import publish as publish_suite

    registry = load_registry(context, plugin)
    for name in suites or ():
        if not name.endswith(".toml"):
            registry.suites[name]  # raises UnknownName for a claim's name, which judged_suites would take
    request = Request(suite="", results=results)
    results_of = {r.plan.suite.name: r for r in judged_suites(registry, suites or [], request)}
    published = {name: publish_suite(result, to) for name, result in results_of.items()}
    if as_json:
        print_json({name: asdict(counts) for name, counts in published.items()})
    else:
        for name, counts in published.items():
            changes = ", ".join(f"{count} {change}" for change, count in asdict(counts).items() if count)
            people().print(f"{name}: {changes or 'no runs'}", markup=False)
            if note := seeds_note(len(results_of[name].plan.scope)):
                people().print(f"  {note}", soft_wrap=True)
    if not suites:
        warn_of_unregistered(registry, request)


def ui(
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE]", help="The latest one with runs if left out.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on localhost.")] = 5000,
    results: Results = None,
) -> None:
    """Serve the MLflow pages of the results on localhost, and print the addresses of a suite's runs."""
    from harness.planning.request import results_folder
    from harness.records import RecordsFile
    from harness_plugins.tracking.server import experiment_url, published, serve

    folder = results_folder(results)
    if suite is None:
        suites = published(folder)
        records = [r for r in RecordsFile(folder).load().by_id.values() if r.suite in suites]
        suite = max(records, key=lambda r: r.finished).suite if records else None
    urls = {view: experiment_url(folder, suite, port, view) for view in ("methods", "claims", "seeds")}

    def show_urls() -> None:
        for view, url in urls.items():
            people().print(f"{view:<8} {url}", soft_wrap=True)
        people().print("Ctrl-C stops the server")

    raise typer.Exit(serve(folder, port, show_urls))
