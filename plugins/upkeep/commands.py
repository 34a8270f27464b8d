"""The commands ``harness records check``, ``repair``, ``merge`` and ``anonymise``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.arguments import Json, Plugins, Results, registry
from harness.cli.output import people, print_json
from harness.errors import ExitCode
from harness.numbers import plural
from harness.planning.request import results_folder

if TYPE_CHECKING:
    from harness_plugins.upkeep.folders import State

records = typer.Typer(no_args_is_help=True, help="Check, repair, join and anonymise results folders.")


@records.command()
def check(results: Results = None, as_json: Json = False) -> None:
    """Count the records and name all that cannot be read: lines, seals, other files. Exits with 1 if there is any."""
    from harness_plugins.upkeep import folders

    folder = results_folder(results)
    state = folders.examine(folder)
    if as_json:
        print_json(asdict(state))
    else:
        _print_state(state, folder)
    raise typer.Exit(ExitCode.CELLS_FAILED if state.is_damaged else ExitCode.OK)


@records.command()
def repair(results: Results = None, as_json: Json = False) -> None:
    """Drop what cannot be read; a copy of each file stays beside it."""
    from rich.markup import escape

    from harness_plugins.upkeep import folders

    folder = results_folder(results)
    state, copies = folders.repair(folder)
    if as_json:
        of_records = next((str(copy) for copy in copies if copy.name.startswith("records.jsonl")), None)
        print_json({**asdict(state), "copy": of_records, "copies": [str(copy) for copy in copies]})
        return
    _print_state(state, folder)
    message = f"dropped; what was there before is in {', '.join(map(str, copies))}" if copies else "nothing to repair"
    people().print(escape(message), soft_wrap=True)


@records.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="FOLDER_OR_FILE", help="Where the records come from.")],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Copy records of other folders into the results folder. Records there stay as they are."""
    from rich.markup import escape

    from harness_plugins.upkeep.merging import merge as merge_into

    folder = results_folder(results)
    counts = merge_into(folder, sources)
    if as_json:
        print_json({str(source): {"came": came, "known": known} for source, (came, known) in counts.items()})
        return
    for source, (came, known) in counts.items():
        people().print(escape(f"{source}: {plural(came, 'record')} copied, {known} already here"), soft_wrap=True)


@records.command()
def anonymise(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write; it must not exist.")],
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Write a copy to share: no host and user names, no absolute paths, only the packages that matter."""
    from rich.markup import escape

    from harness_plugins.upkeep.anonymising import anonymise as copy

    copied = copy(results_folder(results), target, registry(context, plugin))
    if as_json:
        print_json({"folder": str(target), **asdict(copied)})
        return
    environments = plural(copied.environments, "environment")
    counts = f"{plural(copied.records, 'record')}, {copied.rewritten} of them rewritten, and {environments}"
    people().print(escape(f"{target}: {counts}; read what is printed in them before you share it"), soft_wrap=True)


def _print_state(state: State, folder: Path) -> None:
    from rich.markup import escape

    out = people()
    counts = f"{plural(state.lines, 'line')}, {plural(state.cells, 'cell')}, {state.good} good"
    out.print(escape(f"{folder / 'records.jsonl'}: {counts}"), soft_wrap=True)
    for number, beginning in state.damaged:
        out.print(f"[red]damaged[/] line {number}: {escape(beginning)}...", soft_wrap=True)
    if state.torn:
        out.print("[yellow]torn[/] the last line: its run was killed; the next write removes it", soft_wrap=True)
    if state.damaged_seals:
        out.print(f"[red]damaged[/] lines of seals.jsonl: {', '.join(map(str, state.damaged_seals))}", soft_wrap=True)
    for name in state.damaged_environments:
        out.print(f"[red]damaged[/] environments/{escape(name)}", soft_wrap=True)
    for name in state.damaged_items:
        out.print(f"[red]damaged[/] items/{escape(name)}", soft_wrap=True)
    for digest in state.missing_items:
        out.print(f"[yellow]missing[/] items/{digest}.bin: nothing is known of other test items", soft_wrap=True)
    if state.newer:
        newer = plural(state.newer, "record")
        out.print(f"[yellow]newer[/] {newer} of a newer harness, left as they are", soft_wrap=True)
