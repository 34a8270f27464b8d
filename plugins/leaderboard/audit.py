"""The tasks: where the human stands under an aggregate, which task decides that, and what resampled tasks change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import UsageError
from harness_plugins.leaderboard.aggregates import Arithmetic
from harness_plugins.leaderboard.benchmarks import GLUE, SUPERGLUE, Benchmark, metric_without
from harness_plugins.leaderboard.published import (
    HUMAN,
    of_task_set,
    official_mismatches,
    snapshot_table,
    typed_table,
    unconfirmed_cells,
)
from harness_plugins.leaderboard.ranking import (
    Aggregate,
    Array,
    deciding_task,
    lead,
    rank_without,
    ranks,
    tau,
    values_of,
)
from harness_plugins.leaderboard.scores import ScoreTable, read_table

if TYPE_CHECKING:
    from harness.running.run import Run

#: At most so many systems have their rank logged: the best by the arithmetic mean, and the human.
LOGGED = 100
#: The last printed digit of a score: a smaller lead cannot be told from none.
LEAST_LEAD = 0.1

Metrics = dict[str, float]


def glue(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of GLUE."""
    return _audit_typed(GLUE, aggregate, run)


def superglue(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of SuperGLUE."""
    return _audit_typed(SUPERGLUE, aggregate, run)


def glue_2021(aggregate: Aggregate, run: Run) -> Metrics:
    """All of GLUE."""
    return _audit_snapshot(GLUE, aggregate, run)


def superglue_2021(aggregate: Aggregate, run: Run) -> Metrics:
    """All of SuperGLUE."""
    return _audit_snapshot(SUPERGLUE, aggregate, run)


def glue_resampled(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of GLUE, its tasks drawn with replacement."""
    return _resample(GLUE, aggregate, run)


def superglue_resampled(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of SuperGLUE, its tasks drawn with replacement."""
    return _resample(SUPERGLUE, aggregate, run)


def own_table(aggregate: Aggregate, run: Run) -> Metrics:
    """A table of the user's. Raises DatasetError, with file, line and column, for an error in the table."""
    path, human = run.options["table"], run.options["human"]
    if not path:
        raise UsageError("the option table names no file; give the path of a CSV file in the suite")
    whole = read_table(Path(path), run.options["metric_pairs"])
    return _standing(_Ranking(aggregate, run), whole, _comparable(whole, human, run), human)


@dataclass(frozen=True)
class _Ranking:
    """An aggregate, with the options of a run."""

    aggregate: Aggregate
    run: Run
    #: Tasks that are correlations.
    correlations: tuple[str, ...] = ()

    def values(self, table: ScoreTable) -> Array:
        options = self.run.options
        return values_of(self.aggregate, table, options["scale"], options.get("best", 100.0), self.correlations)

    def rank(self, table: ScoreTable, system: str) -> int:
        return int(ranks(self.values(table))[table.row(system)])


def _audit_typed(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    whole = typed_table(benchmark, run.options["metric_pairs"])
    table = _selected(whole, benchmark, run)
    return {
        **_published_standing(benchmark, _Ranking(aggregate, run, benchmark.correlations), whole, table),
        "official_mismatches": len(official_mismatches(typed_table(benchmark), benchmark)),
        "unconfirmed_cells": unconfirmed_cells(table),
    }


def _audit_snapshot(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    texts = run.data("leaderboards")
    whole = snapshot_table(benchmark, texts, run.options["metric_pairs"])
    table = _selected(whole, benchmark, run)
    return {
        **_published_standing(benchmark, _Ranking(aggregate, run, benchmark.correlations), whole, table),
        "official_mismatches": len(official_mismatches(snapshot_table(benchmark, texts), benchmark)),
    }


def _resample(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    """How often the human is first. A drawn task brings all its columns; every method sees the same draws."""
    ranking = _Ranking(aggregate, run, benchmark.correlations)
    table = _selected(typed_table(benchmark, run.options["metric_pairs"]), benchmark, run)
    tasks = list(dict.fromkeys(table.tasks))
    columns = [[i for i, task in enumerate(table.tasks) if task == name] for name in tasks]
    draws, first = run.options["resamples"], 0
    for draw in range(draws):
        drawn = [i for number in run.rng.integers(len(tasks), size=len(tasks)) for i in columns[number]]
        resampled = ScoreTable(
            table.name,
            table.systems,
            tuple(table.columns[i] for i in drawn),
            tuple(table.tasks[i] for i in drawn),
            table.scores[:, drawn],
        )
        resampled = resampled.with_systems(resampled.scored)
        if HUMAN in resampled.systems:
            first += ranking.rank(resampled, HUMAN) == 1
        run.progress(draw + 1, draws)
    return {"share_human_first": first / draws}


def _selected(whole: ScoreTable, benchmark: Benchmark, run: Run) -> ScoreTable:
    """The rows and columns that the options select."""
    table = of_task_set(whole, benchmark, run.options["tasks"])
    if run.options.get("rows") == "paper":
        table = table.with_systems([later != "yes" for later in table.about["after_paper"]])
    return _comparable(table, HUMAN, run)


def _comparable(table: ScoreTable, human: str, run: Run) -> ScoreTable:
    """The systems that are ranked. Raises UsageError where the human is not one of them."""
    row = table.row(human)
    if run.options["incomplete"] == "keep":
        # Every system has a score in the file, but perhaps none in the selected columns.
        return table.with_systems(table.scored)
    if not table.complete[row]:
        tasks = ", ".join(c for c, score in zip(table.columns, table.scores[row], strict=True) if np.isnan(score))
        raise UsageError(
            f"{table.name}: {human} has no score on {tasks}, and incomplete = 'leave-out' leaves such systems out; "
            "'keep' ranks it by its scores on fewer tasks"
        )
    complete = table.with_systems(table.complete)
    if len(complete.systems) < 2:
        raise UsageError(f"{table.name}: no system but {human} has a score on every task; use incomplete = 'keep'")
    return complete


def _published_standing(benchmark: Benchmark, ranking: _Ranking, whole: ScoreTable, table: ScoreTable) -> Metrics:
    """The metrics of every published table: the standing, and the human's rank without each task of the benchmark."""
    standing = _standing(ranking, whole, table, HUMAN)
    human_rank = int(standing["human_rank"])
    without = {
        # A task that is not in the table cannot change the rank.
        metric_without(task): (rank_without(task, table, HUMAN, ranking.rank) if task in table.tasks else None)
        or human_rank
        for task in benchmark.tasks
    }
    return {**standing, **without, "lag_over_lead": lag_over_lead(table, HUMAN)}


def _standing(ranking: _Ranking, whole: ScoreTable, table: ScoreTable, human: str) -> Metrics:
    """The metrics of every table.

    The rank of each system is logged as the curve ``rank``, whose steps are rows of ``whole``.
    """
    values = ranking.values(table)
    row, order = table.row(human), ranks(values)
    human_rank = int(order[row])
    arithmetic = Arithmetic()(table.scores)
    tasks = list(dict.fromkeys(table.tasks))
    without = [rank_without(task, table, human, ranking.rank) or human_rank for task in tasks]
    best = set(np.argsort(-arithmetic, kind="stable")[:LOGGED].tolist()) | {row}
    for index in sorted(best, key=lambda i: whole.row(table.systems[i])):
        ranking.run.log(whole.row(table.systems[index]), rank=order[index])
    return {
        "human_rank": human_rank,
        "human_lead": lead(values, row),
        "human_first": int(human_rank == 1),
        "systems": len(table.systems),
        "columns": len(table.columns),
        "tau_to_arithmetic": tau(values, arithmetic),
        "best_rank_without_one": min(without),
        "worst_rank_without_one": max(without),
        "deciding_task": deciding_task(human_rank, without),
    }


def lag_over_lead(table: ScoreTable, human: str) -> float:
    """Points by which the best other system exceeds the human, over those by which the human exceeds it.

    The best other system has the highest arithmetic mean. Both sums are over the columns that both have; the second is
    at least ``LEAST_LEAD``.
    """
    row = table.row(human)
    means = Arithmetic()(table.scores)
    means[row] = -np.inf
    surplus = table.scores[int(np.argmax(means))] - table.scores[row]
    surplus = surplus[~np.isnan(surplus)]
    return float(surplus.clip(min=0).sum() / max(-surplus.clip(max=0).sum(), LEAST_LEAD))
