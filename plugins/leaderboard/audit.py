"""The tasks: where the human stands under an aggregate, which task decides that, and what resampled tasks say."""

from __future__ import annotations

from functools import partial
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

#: Systems whose ranks are logged: the best by the arithmetic mean, and the human.
LOGGED = 100
#: The last digit that is printed; less is not told from nothing.
LEAST_LEAD = 0.1

Metrics = dict[str, float]


def glue(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of GLUE."""
    return _typed(GLUE, aggregate, run)


def superglue(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of SuperGLUE."""
    return _typed(SUPERGLUE, aggregate, run)


def glue_2021(aggregate: Aggregate, run: Run) -> Metrics:
    """All of GLUE."""
    return _snapshot(GLUE, aggregate, run)


def superglue_2021(aggregate: Aggregate, run: Run) -> Metrics:
    """All of SuperGLUE."""
    return _snapshot(SUPERGLUE, aggregate, run)


def glue_resampled(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of GLUE, its tasks drawn with replacement."""
    return _resampled(GLUE, aggregate, run)


def superglue_resampled(aggregate: Aggregate, run: Run) -> Metrics:
    """The best of SuperGLUE, its tasks drawn with replacement."""
    return _resampled(SUPERGLUE, aggregate, run)


def own_table(aggregate: Aggregate, run: Run) -> Metrics:
    """A table of the user's. Raises DatasetError for what is wrong with it, with file, line and column."""
    if not run.options["table"]:
        raise UsageError("the option table names no file; give it the path of a CSV file in the suite")
    table = read_table(Path(run.options["table"]), run.options["metric_pairs"])
    return _ranked(aggregate, run, table, _complete(table, run.options["human"], run), run.options["human"])


def _typed(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    whole = typed_table(benchmark, run.options["metric_pairs"])
    table = _asked_for(whole, benchmark, run)
    mismatches = official_mismatches(typed_table(benchmark), benchmark)
    return {
        **_published(benchmark, aggregate, run, whole, table),
        "official_mismatches": len(mismatches),
        "unconfirmed_cells": unconfirmed_cells(table),
    }


def _snapshot(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    texts = run.data("leaderboards")
    whole = snapshot_table(benchmark, texts, run.options["metric_pairs"])
    mismatches = official_mismatches(snapshot_table(benchmark, texts), benchmark)
    return {
        **_published(benchmark, aggregate, run, whole, _asked_for(whole, benchmark, run)),
        "official_mismatches": len(mismatches),
    }


def _resampled(benchmark: Benchmark, aggregate: Aggregate, run: Run) -> Metrics:
    """How often the human is first. A task that is drawn brings all its columns; the same draws for every method."""
    table = _asked_for(typed_table(benchmark, run.options["metric_pairs"]), benchmark, run)
    tasks = list(dict.fromkeys(table.tasks))
    columns = [[i for i, task in enumerate(table.tasks) if task == name] for name in tasks]
    draws, first = run.options["resamples"], 0
    for draw in range(draws):
        drawn = [i for number in run.rng.integers(len(tasks), size=len(tasks)) for i in columns[number]]
        some = ScoreTable(
            table.name,
            table.systems,
            tuple(table.columns[i] for i in drawn),
            tuple(table.tasks[i] for i in drawn),
            table.scores[:, drawn],
        )
        some = some.with_systems(some.scored)
        if HUMAN in some.systems:
            first += _rank(aggregate, run, benchmark.correlations, some, HUMAN) == 1
        run.progress(draw + 1, draws)
    return {"share_human_first": first / draws}


def _asked_for(whole: ScoreTable, benchmark: Benchmark, run: Run) -> ScoreTable:
    """The rows and columns that the options stand for."""
    table = of_task_set(whole, benchmark, run.options["tasks"])
    if run.options.get("rows") == "paper":
        table = table.with_systems([later != "yes" for later in table.about["after_paper"]])
    return _complete(table, HUMAN, run)


def _complete(table: ScoreTable, human: str, run: Run) -> ScoreTable:
    """The systems that are ranked. Raises UsageError where the human is not one of them."""
    row = table.row(human)
    if run.options["incomplete"] == "keep":
        # Every system has some score in the file, but perhaps in none of the columns asked for.
        return table.with_systems(table.scored)
    if not table.complete[row]:
        tasks = ", ".join(c for c, score in zip(table.columns, table.scores[row], strict=True) if np.isnan(score))
        raise UsageError(
            f"{table.name}: {human} has no score on {tasks}, and incomplete = 'leave-out' leaves such systems out; "
            "'keep' ranks it by what it has, on fewer tasks than others"
        )
    complete = table.with_systems(table.complete)
    if len(complete.systems) < 2:
        raise UsageError(f"{table.name}: no system but {human} has a score on every task; incomplete = 'keep' does")
    return complete


def _values(aggregate: Aggregate, run: Run, correlations: tuple[str, ...], table: ScoreTable) -> Array:
    return values_of(aggregate, table, run.options["scale"], run.options.get("best", 100.0), correlations)


def _rank(aggregate: Aggregate, run: Run, correlations: tuple[str, ...], table: ScoreTable, system: str) -> int:
    return int(ranks(_values(aggregate, run, correlations, table))[table.row(system)])


def _published(benchmark: Benchmark, aggregate: Aggregate, run: Run, whole: ScoreTable, table: ScoreTable) -> Metrics:
    """What is asked of every published table: also the human's rank without each task of the benchmark."""
    found = _ranked(aggregate, run, whole, table, HUMAN, benchmark.correlations)
    rank = partial(_rank, aggregate, run, benchmark.correlations)
    whole_rank = int(found["human_rank"])
    without = {
        # Leaving out what is not there changes nothing.
        task: (rank_without(task, table, HUMAN, rank) if task in table.tasks else None) or whole_rank
        for task in benchmark.tasks
    }
    return {
        **found,
        **{metric_without(task): left for task, left in without.items()},
        "lag_over_lead": lag_over_lead(table, HUMAN),
    }


def _ranked(
    aggregate: Aggregate,
    run: Run,
    whole: ScoreTable,
    table: ScoreTable,
    human: str,
    correlations: tuple[str, ...] = (),
) -> Metrics:
    """What is asked of every table, and the rank of each system as the curve ``rank`` over the rows of ``whole``."""
    values = _values(aggregate, run, correlations, table)
    row, order = table.row(human), ranks(values)
    arithmetic = Arithmetic()(table.scores)
    rank = partial(_rank, aggregate, run, correlations)
    tasks = list(dict.fromkeys(table.tasks))
    without = [rank_without(task, table, human, rank) or int(order[row]) for task in tasks]
    best = set(np.argsort(-arithmetic, kind="stable")[:LOGGED].tolist()) | {row}
    for index in sorted(best, key=lambda i: whole.row(table.systems[i])):
        run.log(whole.row(table.systems[index]), rank=order[index])
    return {
        "human_rank": int(order[row]),
        "human_lead": lead(values, row),
        "human_first": int(order[row] == 1),
        "systems": len(table.systems),
        "columns": len(table.columns),
        "tau_to_arithmetic": tau(values, arithmetic),
        "best_rank_without_one": min(without),
        "worst_rank_without_one": max(without),
        "deciding_task": deciding_task(int(order[row]), without),
    }


def lag_over_lead(table: ScoreTable, human: str) -> float:
    """Points by which the best other system exceeds the human, over those by which the human exceeds it.

    The best other system is the one with the highest arithmetic mean; both sums are over the columns that both have,
    and the second is at least ``LEAST_LEAD``.
    """
    row = table.row(human)
    means = Arithmetic()(table.scores)
    means[row] = -np.inf
    surplus = table.scores[int(np.argmax(means))] - table.scores[row]
    surplus = surplus[~np.isnan(surplus)]
    return float(surplus.clip(min=0).sum() / max(-surplus.clip(max=0).sum(), LEAST_LEAD))
