"""One table under many aggregates: ranks, how alike the orders are, and what single tasks do to one system's rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import UsageError
from harness_plugins.leaderboard.ranking import Aggregate, Array, rank_without, ranks, tau, values_of
from harness_plugins.leaderboard.scores import ScoreTable


@dataclass(frozen=True)
class Survey:
    """What the aggregates make of a table. Everything by aggregate leaves out those that refused it."""

    systems: tuple[str, ...]
    tasks: tuple[str, ...]
    #: Cells without a score.
    missing: int
    #: Aggregate of each system, in the order of ``systems``; higher is better.
    values: Mapping[str, Array]
    ranks: Mapping[str, tuple[int, ...]]
    #: Kendall's tau-b between two aggregates.
    taus: Mapping[tuple[str, str], float]
    #: Why an aggregate could not be taken.
    refused: Mapping[str, str]
    #: The system that ``without`` is about.
    of: str | None
    #: Its rank when a task is left out, by aggregate and task; None where no rank is left to tell.
    without: Mapping[str, Mapping[str, int | None]]

    @property
    def order(self) -> list[int]:
        """Rows from the first to the last rank under the first aggregate."""
        first = next(iter(self.ranks.values()))
        return sorted(range(len(self.systems)), key=lambda row: first[row])


def survey(table: ScoreTable, aggregates: Mapping[str, Aggregate], of: str | None = None) -> Survey:
    """Put a table under every aggregate. Raises UsageError where every one of them refuses it.

    >>> from harness_plugins.leaderboard.aggregates import Arithmetic, Harmonic
    >>> from harness_plugins.leaderboard.scores import parse_table
    >>> table = parse_table("system,a,b\\nX,90,10\\nY,45,44\\n", "t.csv")
    >>> survey(table, {"arithmetic": Arithmetic(), "harmonic": Harmonic()}).ranks
    {'arithmetic': (1, 2), 'harmonic': (2, 1)}
    """
    values: dict[str, Array] = {}
    refused = {}
    for name, aggregate in aggregates.items():
        try:
            values[name] = values_of(aggregate, table)
        except UsageError as error:
            refused[name] = str(error)
    if not values:
        raise UsageError(f"{table.name}: no aggregate can be taken; {next(iter(refused.values()), 'there is none')}")
    tasks = tuple(dict.fromkeys(table.tasks))
    without: dict[str, dict[str, int | None]] = {}
    for name in values if of is not None else ():
        without[name] = {task: _rank_without(task, table, str(of), aggregates[name]) for task in tasks}
    return Survey(
        systems=table.systems,
        tasks=tasks,
        missing=int(np.isnan(table.scores).sum()),
        values=values,
        ranks={name: tuple(ranks(found).tolist()) for name, found in values.items()},
        taus={(a, b): tau(values[a], values[b]) for a in values for b in values},
        refused=refused,
        of=of,
        without=without,
    )


def _rank_without(task: str, table: ScoreTable, system: str, aggregate: Aggregate) -> int | None:
    def rank(some: ScoreTable, name: str) -> int:
        return int(ranks(values_of(aggregate, some))[some.row(name)])

    return rank_without(task, table, system, rank)


def document(found: Survey) -> dict[str, Any]:
    """A survey as plain JSON types.

    Values are rounded to nine digits, within which equal ranks are told.
    """
    return {
        "systems": list(found.systems),
        "tasks": list(found.tasks),
        "missing": found.missing,
        "values": {
            name: dict(zip(found.systems, np.round(v, 9).tolist(), strict=True)) for name, v in found.values.items()
        },
        "ranks": {name: dict(zip(found.systems, r, strict=True)) for name, r in found.ranks.items()},
        "kendall_tau": {a: {b: found.taus[a, b] for b in found.values} for a in found.values},
        "refused": dict(found.refused),
        "of": found.of,
        "rank_without": {name: dict(tasks) for name, tasks in found.without.items()},
    }
