"""The commands ``harness records check``, ``repair`` and ``merge``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.arguments import Json, Results
from harness.cli.output import people, print_json
from harness.errors import ExitCode
from harness.numbers import plural
from harness.planning.request import results_folder
from harness_plugins.upkeep import folders

records = typer.Typer(no_args_is_help=True, help="Check, repair and join results folders.")


@records.command()
def check(results: Results = None, as_json: Json = False) -> None:
    """Say what the records file holds and what in it cannot be read; exit code 1 where something cannot."""
    folder = results_folder(results)
    state = folders.examine(folder)
    _show(state, folder, as_json)
    raise typer.Exit(ExitCode.CELLS_FAILED if state.damaged or state.torn else ExitCode.OK)


@records.command()
def repair(results: Results = None, as_json: Json = False) -> None:
    """Drop what cannot be read, and keep the file as it was beside it."""
    folder = results_folder(results)
    state, copy = folders.repair(folder)
    if as_json:
        print_json({**asdict(state), "copy": str(copy) if copy else None})
        return
    _show(state, folder, as_json=False)
    told = f"dropped; the file as it was is {copy}" if copy else "nothing to repair"
    people().print(told, soft_wrap=True)


@records.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="FOLDER_OR_FILE...", help="Where records come from.")],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Bring other folders' records into the results folder; what is there stays as it is."""
    folder = results_folder(results)
    counts = folders.merge(folder, sources)
    if as_json:
        print_json({str(s): {"came": came, "known": known} for s, (came, known) in counts.items()})
        return
    for source, (came, known) in counts.items():
        people().print(f"{source}: {plural(came, 'record')} brought in, {known} here already", soft_wrap=True)


def _show(state: folders.State, folder: Path, as_json: bool) -> None:
    if as_json:
        print_json(asdict(state))
        return
    from rich.markup import escape

    out = people()
    out.print(
        f"{folder / 'records.jsonl'}: {plural(state.lines, 'line')}, {plural(state.cells, 'cell')}, {state.good} good"
    )
    for number, text in state.damaged:
        out.print(f"[red]damaged[/] line {number}: {escape(text)}...", soft_wrap=True)
    if state.torn:
        out.print("[yellow]torn[/] the last line, by a run that was killed; the next write removes it")
    if state.newer:
        out.print(f"[yellow]newer[/] {plural(state.newer, 'record')} of a newer harness, left alone")
