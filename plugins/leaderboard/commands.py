"""``harness leaderboard``: the rank of every system of a table under every aggregate, at once and without records."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli.arguments import Json, Plugins, registry
from harness.cli.output import errors, people, print_json, table
from harness.numbers import number, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from harness_plugins.leaderboard.survey import Survey


_log = logging.getLogger(__name__)


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
    _warn_of_dropped(result)
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


def _warn_of_dropped(result: Survey) -> None:
    """Warn of each set of dropped scores, once for all aggregates that drop the same."""
    names: dict[str, list[str]] = {}
    for name, systems in result.dropped.items():
        names.setdefault("; ".join(f"{s} on {', '.join(columns)}" for s, columns in systems.items()), []).append(name)
    for scores, aggregates in names.items():
        _log.warning(
            "%s: scores of 0 or less are dropped, so a system is ranked by fewer tasks than the others: %s",
            ", ".join(aggregates),
            scores,
        )


def _print_ranks(result: Survey) -> None:
    labels = [result.systems[row] for row in result.order]
    columns = {name: [str(ranks[row]) for row in result.order] for name, ranks in result.ranks.items()}
    first = next(iter(result.ranks))
    taus = {name: number(result.taus[first, name], 2) for name in columns}
    for names in _column_groups(["system", "Kendall's tau", *labels], columns):
        rows = _table("system", names)
        for label, *cells in zip(labels, *(columns[name] for name in names), strict=True):
            rows.add_row(_escape(label), *cells, style="bold" if label == result.of else None)
        rows.add_section()
        rows.add_row("Kendall's tau", *(taus[name] for name in names))
        people().print(rows)
    people().print(f"Kendall's tau says how alike the orders by {first} and by each aggregate are.", soft_wrap=True)


def _print_ranks_without(result: Survey, system: str) -> None:
    """Print the ranks of one system when each task is left out."""
    head = f"{system} without"
    for names in _column_groups([head, *result.tasks], result.ranks):
        rows = _table(_escape(head), names)
        for task in result.tasks:
            ranks = [result.rank_without[name][task] for name in names]
            rows.add_row(_escape(task), *("" if rank is None else str(rank) for rank in ranks))
        people().print(rows)


def _column_groups(labels: Iterable[str], columns: Iterable[str]) -> list[list[str]]:
    """The columns in groups, each of which fits on the screen beside the labels."""
    from rich.cells import cell_len

    # Three characters between two columns. Labels fold where they take more than half of the screen.
    width = people().width
    room = max(width - max(map(cell_len, labels)) - 4, width // 2)
    groups: list[list[str]] = []
    used = room
    for name in columns:
        # No number is wider than a part of its column's head.
        needed = max(map(len, name.split("-"))) + 4
        if used + needed > room:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += needed
    return groups


def _table(first: str, aggregates: Iterable[str]) -> Table:
    """An empty table, whose heads break at hyphens."""
    heads = [name.replace("-", "-\n") for name in aggregates]
    return table(first, *heads, right=heads)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
