"""``harness report``: one HTML file that shows what a results folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.arguments import Json, Plugins, registry
from harness.cli.output import people, print_json
from harness.errors import UsageError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    context: typer.Context,
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RESULTS]...", help="Results folder (default: $HARNESS_RESULTS or ./results); two are compared."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="Where to write it.")] = Path(
        "report.html"
    ),
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="NAME_OR_FILE", help="Only this suite; a file for one that is not registered."),
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Judge so many seeds.")] = None,
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Judge as a run with --until-decided does.")
    ] = False,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Write one self-contained HTML file: verdicts, evidence, cost, environment."""
    from harness.planning.request import Request, results_folder
    from harness_plugins.report.report import comparison, write
    from harness_plugins.report.report import report as make

    if output.is_dir():
        raise UsageError(f"-o {output}: that is a folder; a file's name is needed, as {output / 'report.html'}")
    found = registry(context, plugin)
    folders = list(results or [results_folder()])
    if len(folders) > 2:
        raise UsageError(f"{len(folders)} results folders: one is reported, two are put side by side")
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no results folder {folder}; 'harness suite NAME --results {folder}' makes one")
    requests = [Request(suite="", seeds=seeds, until_decided=until_decided, results=folder) for folder in folders]
    if len(requests) == 2:
        text = comparison(found, (requests[0], requests[1]), suite or ())
    else:
        text = make(found, requests[0], suite or ())
    write(text, output)
    told = {"report": str(output), "bytes": len(text.encode())}
    if as_json:
        print_json(told)
    else:
        people().print(f"{output} ({len(text.encode()) / 1000:.0f} kB)", soft_wrap=True)
