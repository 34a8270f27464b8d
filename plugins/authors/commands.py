"""The commands ``harness new plugin``, ``harness check`` and ``harness schema``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.arguments import Json, Plugins, all_plugins, complete_plugins, registry
from harness.cli.output import errors, people, print_json
from harness.errors import ExitCode
from harness.numbers import plural

if TYPE_CHECKING:
    from harness_plugins.authors.findings import Outcome

new = typer.Typer(no_args_is_help=True, help="Make the files of something new.")


class Kind(StrEnum):
    """Files that have a schema."""

    suite = "suite"
    claim = "claim"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(new, name="new")
    app.command()(check)
    app.command()(schema)


@new.callback()
def _new() -> None:
    """Keeps ``plugin`` a word of its own although it is the only one."""


@new.command("plugin")
def new_plugin(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The package's name, such as label_smoothing.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it.")] = Path(),
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Make an installable plugin: a method, a task, a workload, claims, a suite and tests, all of which run."""
    from harness_plugins.authors.new import make_plugin

    written = make_plugin(name, folder, registry(context, plugin))
    home = folder / name
    if as_json:
        print_json({"plugin": str(home), "files": [str(path) for path in written]})
        return
    out = people()
    for path in written:
        out.print(f"  {path}", soft_wrap=True)
    out.print(f"\nNext:\n  pip install -e {home}\n  harness suite {name}\n  harness check {name}", soft_wrap=True)
    out.print(f"{home / 'README.md'} says what to change, in which order.", soft_wrap=True)


def check(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="PLUGIN", help="An installed plugin, or a file or folder.", autocompletion=complete_plugins
        ),
    ],
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this one; may be given more than once.")
    ] = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Check whether a plugin keeps the rules; exit code 3 where one does not hold."""
    from harness_plugins.authors.checks import conformance, loaded, subject_of

    found, known_as = loaded(name, all_plugins(context, plugin))
    subject = subject_of(found, known_as)
    if as_json:
        outcomes = conformance(subject, only or ())
        print_json({"plugin": known_as, "checks": [asdict(outcome) for outcome in outcomes]})
    else:
        people().print(f"[bold]{known_as}[/] {subject.plugin.version} from {subject.plugin.origin}", soft_wrap=True)
        outcomes = conformance(subject, only or (), _print)
        broken = sum(outcome.state == "does not hold" for outcome in outcomes)
        held = sum(outcome.state == "holds" for outcome in outcomes)
        one = {True: "holds", False: "hold"}[held == 1]
        said = f"{plural(held, 'check')} {one}, {broken} {'does' if broken == 1 else 'do'} not"
        people().print(said if broken else f"all {held} checks hold")
    if any(outcome.state == "does not hold" for outcome in outcomes):
        raise typer.Exit(ExitCode.NOT_HELD)


_SIGNS = {
    "holds": "[green]holds[/]        ",
    "does not hold": "[bold red]does not hold[/]",
    "nothing to check": "-            ",
}


def _print(outcome: Outcome) -> None:
    from rich.markup import escape

    out = people()
    out.print(f"  {_SIGNS[outcome.state]} {outcome.check:14} {outcome.rule}", soft_wrap=True)
    for problem in outcome.problems:
        out.print(f"      [red]{escape(problem.found)}[/]\n        -> {escape(problem.advice)}", soft_wrap=True)
    for note in outcome.notes:
        out.print(f"      note: {escape(note)}", soft_wrap=True)


def schema(kind: Annotated[Kind, typer.Argument(help="Which files it describes.")]) -> None:
    """Print the JSON Schema of suite or claim files, which editors complete and check them by."""
    from harness_plugins.authors.schema import shipped

    sys.stdout.write(shipped(kind.value))
    sys.stdout.flush()
    file = f"{kind.value}.schema.json"
    errors().print(f"harness schema {kind.value} > {file}, and as first line of the TOML file: #:schema ./{file}")
