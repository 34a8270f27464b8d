"""The tasks: where the human stands under an aggregate, which task decides that, and what resampled tasks change."""

from __future__ import annotations

import logging
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
    Scale,
    deciding_task,
    dropped_tasks,
    lead,
    rank_without,
    ranks,
    tau,
    tau_without,
    values_of,
    without_dropped,
)
from harness_plugins.leaderboard.scores import ScoreTable, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.running.run import Run

_log = logging.getLogger(__name__)

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


def glue_subsets(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of GLUE, under every choice of its tasks."""
    return _every_choice(GLUE, aggregate, run)


def superglue_subsets(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of SuperGLUE, under every choice of its tasks."""
    return _every_choice(SUPERGLUE, aggregate, run)


def own_table(aggregate: Aggregate, run: Run) -> Metrics:
    """A table of the user's. Raises DatasetError, with file, line and column, for an error in the table."""
    path, human = run.options["table"], run.options["human"]
    if not path:
        raise UsageError("the option table names no file; give the path of a CSV file in the suite")
    whole = read_table(Path(path), run.options["metric_pairs"])
    ranking = _Ranking(aggregate, run)
    return _standing(ranking, whole, _comparable(whole, human, ranking), human)


@dataclass(frozen=True)
class _Ranking:
    """An aggregate, with the options of a run."""

    aggregate: Aggregate
    run: Run
    #: Tasks that are correlations.
    correlations: tuple[str, ...] = ()

    def values(self, table: ScoreTable) -> Array:
        return values_of(self.aggregate, table, *self._scale)

    def without_dropped(self, table: ScoreTable) -> ScoreTable:
        return without_dropped(self.aggregate, table, *self._scale)

    @property
    def _scale(self) -> tuple[Scale, float, tuple[str, ...]]:
        options = self.run.options
        return options["scale"], options.get("best", 100.0), self.correlations

    def rank(self, table: ScoreTable, system: str) -> int:
        return int(ranks(self.values(table))[table.row(system)])


def _audit_typed(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    whole = typed_table(benchmark, run.options["metric_pairs"])
    ranking = _Ranking(aggregate, run, benchmark.correlations)
    table = _selected(whole, benchmark, ranking)
    return {
        **_published_standing(benchmark, ranking, whole, table),
        "official_mismatches": len(official_mismatches(typed_table(benchmark), benchmark)),
        "unconfirmed_cells": unconfirmed_cells(table),
    }


def _audit_snapshot(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    texts = run.data("leaderboards")
    whole = snapshot_table(benchmark, texts, run.options["metric_pairs"])
    ranking = _Ranking(aggregate, run, benchmark.correlations)
    table = _selected(whole, benchmark, ranking)
    return {
        **_published_standing(benchmark, ranking, whole, table),
        "official_mismatches": len(official_mismatches(snapshot_table(benchmark, texts), benchmark)),
    }


def _resample(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    """How often the human is first. A drawn task brings all its columns; every method sees the same draws."""
    ranking = _Ranking(aggregate, run, benchmark.correlations)
    table = _selected(typed_table(benchmark, run.options["metric_pairs"]), benchmark, ranking)
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


def _every_choice(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    """The share of all choices of one task or more in which the human is first. A task brings all its columns."""
    ranking = _Ranking(aggregate, run, benchmark.correlations)
    table = _selected(typed_table(benchmark, run.options["metric_pairs"]), benchmark, ranking)
    tasks = list(dict.fromkeys(table.tasks))
    choices, first = 2 ** len(tasks) - 1, 0
    for choice in range(1, choices + 1):
        chosen = {task for bit, task in enumerate(tasks) if choice >> bit & 1}
        part = table.with_columns([task in chosen for task in table.tasks])
        part = part.with_systems(part.scored)
        if HUMAN in part.systems:
            first += ranking.rank(part, HUMAN) == 1
        run.progress(choice, choices)
    return {"share_human_first": first / choices}


def _selected(whole: ScoreTable, benchmark: Benchmark, ranking: _Ranking) -> ScoreTable:
    """The rows and columns that the options select, without the scores that the aggregate drops."""
    run = ranking.run
    table = of_task_set(whole, benchmark, run.options["tasks"])
    if run.options.get("rows") == "paper":
        table = table.with_systems([later != "yes" for later in table.about["after_paper"]])
    return _comparable(table, HUMAN, ranking)


def _comparable(whole: ScoreTable, human: str, ranking: _Ranking) -> ScoreTable:
    """The systems that are ranked, with the scores that the aggregate drops missing.

    Raises UsageError where the human is not one of them. A warning names the systems with dropped scores.
    """
    table = ranking.without_dropped(whole)
    row, keep = table.row(human), ranking.run.options["incomplete"] == "keep"
    if dropped := dropped_tasks(whole, table):
        _log.warning("%s", _about_dropped(table.name, dropped, keep))
    if keep:
        if not table.scored[row]:
            raise UsageError(f"{table.name}: {human} has no score on any of the tasks{_because(human, dropped)}")
        # Every system has a score in the file, but perhaps none in the selected columns.
        return table.with_systems(table.scored)
    if not table.complete[row]:
        tasks = ", ".join(c for c, score in zip(table.columns, table.scores[row], strict=True) if np.isnan(score))
        raise UsageError(
            f"{table.name}: {human} has no score on {tasks}{_because(human, dropped)}, and incomplete = 'leave-out' "
            "leaves such systems out; 'keep' ranks it by its scores on fewer tasks"
        )
    complete = table.with_systems(table.complete)
    if len(complete.systems) < 2:
        raise UsageError(f"{table.name}: no system but {human} has a score on every task; use incomplete = 'keep'")
    return complete


def _because(human: str, dropped: Mapping[str, tuple[str, ...]]) -> str:
    return " (nonpositive = 'drop' drops scores of 0 or less)" if human in dropped else ""


def _about_dropped(name: str, dropped: Mapping[str, tuple[str, ...]], keep: bool) -> str:
    systems = "; ".join(f"{system} on {', '.join(columns)}" for system, columns in dropped.items())
    effect = "is ranked by its scores on fewer tasks than the others" if keep else "is left out"
    return f"{name}: a score of 0 or less is dropped, and its system {effect}: {systems}"


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
    arithmetic = Arithmetic()
    tasks = [task for task in benchmark.tasks if task in table.tasks]
    one_less = np.median([tau_without(task, table, arithmetic) for task in tasks])
    return {
        **standing,
        **without,
        "lag_over_lead": lag_over_lead(table, HUMAN),
        "tau_above_leave_one_out": standing["tau_to_arithmetic"] - float(one_less),
    }


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
        "missing": int(np.isnan(table.scores).sum()),
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
