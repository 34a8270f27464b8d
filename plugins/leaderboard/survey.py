"""One table under many aggregates: ranks, how alike the orders are, and how one system's rank depends on the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import UsageError
from harness_plugins.leaderboard.ranking import (
    DIGITS,
    Aggregate,
    Array,
    dropped_tasks,
    rank_without,
    ranks,
    tau,
    values_of,
    without_dropped,
)
from harness_plugins.leaderboard.scores import ScoreTable


@dataclass(frozen=True)
class Survey:
    """A table under many aggregates. Mappings by aggregate lack those that refused the table."""

    systems: tuple[str, ...]
    tasks: tuple[str, ...]
    #: Number of scores that are missing for an aggregate: those the table lacks, and those that an aggregate drops.
    missing: int
    #: The columns on which an aggregate drops a system's score, by aggregate and system.
    dropped: Mapping[str, Mapping[str, tuple[str, ...]]]
    #: Value of each system, in the order of ``systems``; higher is better.
    values: Mapping[str, Array]
    ranks: Mapping[str, tuple[int, ...]]
    #: Kendall's tau-b between two aggregates.
    taus: Mapping[tuple[str, str], float]
    #: Why an aggregate refused the table.
    refused: Mapping[str, str]
    #: The system that ``rank_without`` is about.
    of: str | None
    #: Its rank when a task is left out, by aggregate and task; None where it has no rank then.
    rank_without: Mapping[str, Mapping[str, int | None]]

    @property
    def order(self) -> list[int]:
        """Numbers of the systems, from the first to the last rank under the first aggregate."""
        first = next(iter(self.ranks.values()))
        return sorted(range(len(self.systems)), key=lambda row: first[row])


def survey(table: ScoreTable, aggregates: Mapping[str, Aggregate], of: str | None = None) -> Survey:
    """Rank a table's systems under every aggregate. Raises UsageError where all of them refuse the table.

    >>> from harness_plugins.leaderboard.aggregates import Arithmetic, Harmonic
    >>> from harness_plugins.leaderboard.scores import parse_table
    >>> table = parse_table("system,a,b\\nX,90,10\\nY,45,44\\n", "t.csv")
    >>> survey(table, {"arithmetic": Arithmetic(), "harmonic": Harmonic()}).ranks
    {'arithmetic': (1, 2), 'harmonic': (2, 1)}
    """
    values: dict[str, Array] = {}
    refused = {}
    #: The table as each aggregate sees it.
    seen: dict[str, ScoreTable] = {}
    for name, aggregate in aggregates.items():
        try:
            values[name] = values_of(aggregate, table)
        except UsageError as error:
            refused[name] = str(error)
        else:
            seen[name] = without_dropped(aggregate, table)
    if not values:
        raise UsageError(f"{table.name}: no aggregate fits; {next(iter(refused.values()), 'there is none')}")
    tasks = tuple(dict.fromkeys(table.tasks))
    ranks_without: dict[str, dict[str, int | None]] = {}
    for name in values if of is not None else ():
        ranks_without[name] = {task: _rank_without(task, seen[name], str(of), aggregates[name]) for task in tasks}
    return Survey(
        systems=table.systems,
        tasks=tasks,
        missing=int(np.any([np.isnan(t.scores) for t in seen.values()], axis=0).sum()),
        dropped={name: lost for name, t in seen.items() if (lost := dropped_tasks(table, t))},
        values=values,
        ranks={name: tuple(ranks(v).tolist()) for name, v in values.items()},
        taus={(a, b): tau(values[a], values[b]) for a in values for b in values},
        refused=refused,
        of=of,
        rank_without=ranks_without,
    )


def _rank_without(task: str, table: ScoreTable, system: str, aggregate: Aggregate) -> int | None:
    def rank(rest: ScoreTable, name: str) -> int:
        return int(ranks(values_of(aggregate, rest))[rest.row(name)])

    return rank_without(task, table, system, rank)


def document(result: Survey) -> dict[str, Any]:
    """A survey as plain JSON types. Values are rounded to the decimals by which equal ranks are decided."""
    values = {name: np.round(v, DIGITS).tolist() for name, v in result.values.items()}
    return {
        "systems": list(result.systems),
        "tasks": list(result.tasks),
        "missing": result.missing,
        "dropped": {name: {s: list(columns) for s, columns in d.items()} for name, d in result.dropped.items()},
        "values": {name: dict(zip(result.systems, v, strict=True)) for name, v in values.items()},
        "ranks": {name: dict(zip(result.systems, r, strict=True)) for name, r in result.ranks.items()},
        "kendall_tau": {a: {b: result.taus[a, b] for b in values} for a in values},
        "refused": dict(result.refused),
        "of": result.of,
        "rank_without": {name: dict(tasks) for name, tasks in result.rank_without.items()},
    }
