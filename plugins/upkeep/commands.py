"""The commands ``harness records check``, ``repair`` and ``merge``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.arguments import Json, Results
from harness.cli.output import people, print_json
from harness.errors import ExitCode
from harness.numbers import plural
from harness.planning.request import results_folder

if TYPE_CHECKING:
    from harness_plugins.upkeep.folders import State

records = typer.Typer(no_args_is_help=True, help="Check, repair and join results folders.")


@records.command()
def check(results: Results = None, as_json: Json = False) -> None:
    """Count the records and name each line that cannot be read. Exits with 1 if there is one."""
    from harness_plugins.upkeep import folders

    folder = results_folder(results)
    state = folders.examine(folder)
    if as_json:
        print_json(asdict(state))
    else:
        _print_state(state, folder)
    raise typer.Exit(ExitCode.CELLS_FAILED if state.damaged or state.torn else ExitCode.OK)


@records.command()
def repair(results: Results = None, as_json: Json = False) -> None:
    """Drop lines that cannot be read; a copy of the file stays beside it."""
    from harness_plugins.upkeep import folders

    folder = results_folder(results)
    state, copy = folders.repair(folder)
    if as_json:
        print_json({**asdict(state), "copy": str(copy) if copy else None})
        return
    _print_state(state, folder)
    message = f"dropped; a copy of the file before is {copy}" if copy else "nothing to repair"
    people().print(message, soft_wrap=True)


@records.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="FOLDER_OR_FILE", help="Where the records come from.")],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Copy records of other folders into the results folder. Records there stay as they are."""
    from harness_plugins.upkeep import folders

    folder = results_folder(results)
    counts = folders.merge(folder, sources)
    if as_json:
        print_json({str(source): {"came": came, "known": known} for source, (came, known) in counts.items()})
        return
    for source, (came, known) in counts.items():
        people().print(f"{source}: {plural(came, 'record')} copied, {known} already here", soft_wrap=True)


def _print_state(state: State, folder: Path) -> None:
    from rich.markup import escape

    out = people()
    counts = f"{plural(state.lines, 'line')}, {plural(state.cells, 'cell')}, {state.good} good"
    out.print(f"{folder / 'records.jsonl'}: {counts}", soft_wrap=True)
    for number, beginning in state.damaged:
        out.print(f"[red]damaged[/] line {number}: {escape(beginning)}...", soft_wrap=True)
    if state.torn:
        out.print("[yellow]torn[/] the last line: its run was killed; the next write removes it", soft_wrap=True)
    if state.newer:
        newer = plural(state.newer, "record")
        out.print(f"[yellow]newer[/] {newer} of a newer harness, left as they are", soft_wrap=True)
