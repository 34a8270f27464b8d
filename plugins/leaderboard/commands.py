"""``harness leaderboard``: the rank of every system of a table under every aggregate, at once and without records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from harness.cli.arguments import Json, Plugins, registry
from harness.cli.output import errors, people, print_json, table
from harness.numbers import number, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness_plugins.leaderboard.survey import Survey


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(leaderboard)


# One parameter for each flag.
def leaderboard(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="TABLE.csv", help="A row is a system, a column is a task.")],
    of: Annotated[
        str | None, typer.Option("--of", metavar="ROW", help="Show one system's ranks without each task.")
    ] = None,
    nonpositive: Annotated[
        Literal["refuse", "drop", "clip"],
        typer.Option(help="What geometric and harmonic means do with scores of 0 or less."),
    ] = "refuse",
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Rank the systems of your own table under every aggregate. Write two metrics of a task as 93.9/91.8."""
    from harness_plugins.leaderboard.scores import read_table
    from harness_plugins.leaderboard.survey import document, survey

    scores = read_table(file)
    if of is not None:
        scores.row(of)
    methods = [m for m in registry(context, plugin).methods.values() if m.role == "score-aggregate"]
    options = {"nonpositive": nonpositive}
    aggregates = {m.name: m.create(**(options if "nonpositive" in m.options else {})) for m in methods}
    result = survey(scores, aggregates, of)
    if as_json:
        print_json(document(result))
        return
    _print_ranks(result)
    if result.missing:
        count = plural(result.missing, "score")
        people().print(
            f"{count} missing: each system is ranked by its own scores, not all by the same tasks", soft_wrap=True
        )
    if result.of is not None:
        _print_ranks_without(result, result.of)
    for name, reason in result.refused.items():
        errors().print(f"{name} left out: {reason}", markup=False, soft_wrap=True)


def _print_ranks(result: Survey) -> None:
    from rich.markup import escape

    rows = _table("system", result.ranks)
    for row in result.order:
        style = "bold" if result.systems[row] == result.of else None
        rows.add_row(escape(result.systems[row]), *(str(ranks[row]) for ranks in result.ranks.values()), style=style)
    rows.add_section()
    first = next(iter(result.ranks))
    rows.add_row("Kendall's tau to the first", *(number(result.taus[first, name], 2) for name in result.ranks))
    people().print(rows)


def _print_ranks_without(result: Survey, system: str) -> None:
    """Print the ranks of one system when each task is left out."""
    from rich.markup import escape

    rows = _table(f"{escape(system)} without", result.ranks)
    for task in result.tasks:
        ranks = [result.rank_without[name][task] for name in result.ranks]
        rows.add_row(escape(task), *("" if rank is None else str(rank) for rank in ranks))
    people().print(rows)


def _table(first: str, aggregates: Iterable[str]) -> Any:
    columns = [name.replace("-", "-\n") for name in aggregates]
    return table(first, *columns, right=columns)
