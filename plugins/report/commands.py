"""``harness report``: write a results folder, or two side by side, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.arguments import Json, Plugins
from harness.cli.arguments import registry as load_registry
from harness.cli.output import people, print_json
from harness.errors import UsageError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


# One parameter for each flag.
def report(
    context: typer.Context,
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RESULTS]...", help="Results folder (default: $HARNESS_RESULTS or ./results); two are compared."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="File to write.")] = Path(
        "report.html"
    ),
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="NAME_OR_FILE", help="Only this suite; a file where it is not registered."),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Show also the host, all packages, absolute paths and users' names."),
    ] = False,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Write one self-contained HTML file: verdicts, evidence, cost, environment."""
    from harness.planning.request import Request, results_folder
    from harness_plugins.report.report import comparison
    from harness_plugins.report.report import report as report_of
    from harness_plugins.report.templates import write

    if output.is_dir():
        raise UsageError(f"-o {output}: this is a folder; name a file, such as {output / 'report.html'}")
    registry = load_registry(context, plugin)
    folders = list(results or [results_folder()])
    if len(folders) > 2:
        raise UsageError(f"{len(folders)} results folders: name one to report, or two to compare")
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no results folder {folder}; 'harness suite NAME --results {folder}' makes one")
    requests = [Request(suite="", results=folder) for folder in folders]
    if len(requests) == 2:
        page = comparison(registry, (requests[0], requests[1]), suite or (), full)
    else:
        page = report_of(registry, requests[0], suite or (), full)
    write(page, output)
    size = len(page.encode())
    if as_json:
        print_json({"report": str(output), "bytes": size})
    else:
        people().print(f"{output} ({size / 1000:.0f} kB)", markup=False, soft_wrap=True)
