"""The commands ``harness new plugin``, ``harness check`` and ``harness schema``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.arguments import Json, Plugins, all_plugins, complete_plugins, registry
from harness.cli.output import errors, people, print_json
from harness.errors import ExitCode
from harness.numbers import plural

if TYPE_CHECKING:
    from harness_plugins.authors.findings import Outcome

new = typer.Typer(no_args_is_help=True, help="Create the files of something new.")


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
    """Make ``plugin`` a subcommand although it is the only one."""


@new.command("plugin")
def new_plugin(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The package's name, such as label_smoothing.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create the package in.")] = Path(),
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Create an installable plugin that works: a method, a task, a workload, claims, a suite and tests."""
    from harness_plugins.authors.new import make_plugin

    paths = make_plugin(name, folder, registry(context, plugin))
    home = folder / name
    if as_json:
        print_json({"plugin": str(home), "files": [str(path) for path in paths]})
        return
    out = people()
    for path in paths:
        out.print(f"  {path}", markup=False, soft_wrap=True)
    # The brackets name an extra.
    steps = (f"pip install -e '{home}[test]'", f"harness suite {name}", f"harness check {name}")
    out.print("\nNext:", *(f"  {step}" for step in steps), sep="\n", soft_wrap=True, markup=False)
    out.print(f"{home / 'README.md'} lists what to change, and in which order.", markup=False, soft_wrap=True)


def check(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="PLUGIN", help="An installed plugin, a file or a folder.", autocompletion=complete_plugins
        ),
    ],
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check; may be given more than once.")
    ] = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Check that a plugin follows the rules; exit code 3 if it does not."""
    from harness_plugins.authors.checks import load_plugin, run_checks, subject_of

    loaded, plugin_name = load_plugin(name, all_plugins(context, plugin))
    subject = subject_of(loaded, plugin_name)
    if as_json:
        outcomes = run_checks(subject, only or ())
        print_json({"plugin": plugin_name, "checks": [_as_json(outcome) for outcome in outcomes]})
    else:
        head = f"{plugin_name} {subject.plugin.version} from {subject.plugin.origin}"
        people().print(head, markup=False, soft_wrap=True)
        outcomes = run_checks(subject, only or (), _print)
        people().print(_summary(outcomes))
    if any(outcome.problems for outcome in outcomes):
        raise typer.Exit(ExitCode.NOT_HELD)


def _as_json(outcome: Outcome) -> dict[str, Any]:
    problems = [{"found": p.message, "advice": p.advice, "method": p.method} for p in outcome.problems]
    return {
        "check": outcome.check,
        "rule": outcome.rule,
        "state": outcome.state,
        "problems": problems,
        "notes": list(outcome.notes),
    }


def _summary(outcomes: list[Outcome]) -> str:
    passed = sum(outcome.state == "holds" for outcome in outcomes)
    failed = sum(outcome.state == "does not hold" for outcome in outcomes)
    return f"{plural(passed, 'check')} passed, {failed} failed" if failed else f"all {passed} checks passed"


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
        out.print(f"      [red]{escape(problem.message)}[/]\n        -> {escape(problem.advice)}", soft_wrap=True)
    for note in outcome.notes:
        out.print(f"      note: {escape(note)}", soft_wrap=True)


def schema(kind: Annotated[Kind, typer.Argument(help="The kind of file that it describes.")]) -> None:
    """Print the JSON Schema of suite or claim files, with which editors complete and check them."""
    from harness_plugins.authors.schema import shipped

    sys.stdout.write(shipped(kind.value))
    sys.stdout.flush()
    file = f"{kind.value}.schema.json"
    errors().print(
        f"To use it: harness schema {kind.value} > {file}; then write #:schema ./{file} as the TOML file's first line."
    )
