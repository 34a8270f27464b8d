"""``harness leaderboard``: the ranks of every system of a table under every aggregate, at once and without records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from harness.cli.arguments import Json, Plugins, registry
from harness.cli.output import errors, people, print_json, table
from harness.numbers import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness_plugins.leaderboard.survey import Survey


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(leaderboard)


def leaderboard(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="TABLE.csv", help="A row is a system, a column is a task.")],
    of: Annotated[str | None, typer.Option("--of", metavar="ROW", help="The system to tell more about.")] = None,
    nonpositive: Annotated[
        Literal["refuse", "drop", "clip"],
        typer.Option(help="What geometric and harmonic means do with scores of 0 or less."),
    ] = "refuse",
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Rank the systems of your own table under every aggregate; two metrics of a task stand as 93.9/91.8."""
    from harness_plugins.leaderboard.scores import read_table
    from harness_plugins.leaderboard.survey import document, survey

    scores = read_table(file)
    if of is not None:
        scores.row(of)
    methods = {m.name: m for m in registry(context, plugin).methods.values() if m.role == "score-aggregate"}
    built = {
        name: m.create(**({"nonpositive": nonpositive} if "nonpositive" in m.options else {}))
        for name, m in methods.items()
    }
    found = survey(scores, built, of)
    if as_json:
        print_json(document(found))
        return
    _print_ranks(found)
    if found.missing:
        count = plural(found.missing, "score")
        people().print(f"{count} missing: each system is ranked by those it has, not all by the same tasks")
    if found.of:
        _print_one(found)
    for name, reason in found.refused.items():
        errors().print(f"{name} cannot be taken: {reason}", markup=False, soft_wrap=True)


def _print_ranks(found: Survey) -> None:
    from rich.markup import escape

    shown = _table("system", found.ranks)
    for row in found.order:
        style = "bold" if found.systems[row] == found.of else None
        shown.add_row(escape(found.systems[row]), *(str(r[row]) for r in found.ranks.values()), style=style)
    shown.add_section()
    shown.add_row("Kendall's tau to the first", *(f"{found.taus[next(iter(found.ranks)), n]:.2f}" for n in found.ranks))
    people().print(shown)


def _print_one(found: Survey) -> None:
    """What leaving out one task does to the rank of one system."""
    from rich.markup import escape

    assert found.of is not None
    shown = _table(f"{escape(found.of)} without", found.ranks)
    for task in found.tasks:
        ranks = [found.without[name][task] for name in found.ranks]
        shown.add_row(escape(task), *("" if rank is None else str(rank) for rank in ranks))
    people().print(shown)


def _table(first: str, methods: Mapping[str, Any]) -> Any:
    columns = [name.replace("-", "-\n") for name in methods]
    return table(first, *columns, right=columns)
