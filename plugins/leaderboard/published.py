"""The published tables: the ones typed into this plugin, the larger snapshots, and the official score of a row."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness_plugins.leaderboard.benchmarks import BENCHMARKS, Benchmark
from harness_plugins.leaderboard.scores import Pairs, ScoreTable, parse_table, read_table

#: Columns of the typed tables that hold no scores.
ABOUT = ("score", "after_paper", "unconfirmed", "source")
#: Cells and official scores are printed to 0.1: a mean of cells may be off by 0.05, and the printed score by as much.
ROUNDING = 0.1
#: The human's name in every published table.
HUMAN = "Human"
#: Columns of the snapshots that are no tasks.
_SNAPSHOT_ABOUT = ("Rank", "Name", "Model", "URL", "Score")


def typed_table(benchmark: Benchmark, pairs: Pairs = "mean") -> ScoreTable:
    """The typed table of a benchmark.

    >>> from harness_plugins.leaderboard.benchmarks import GLUE
    >>> typed_table(GLUE).scores.shape
    (13, 11)
    """
    path = Path(__file__).with_name(benchmark.file)
    return _join_halves(replace(read_table(path, pairs, ABOUT), name=benchmark.file), benchmark)


def load_snapshots(files: Mapping[str, Path]) -> dict[str, str]:
    """The texts of the snapshots' files, by name."""
    return {name: path.read_text(encoding="utf-8") for name, path in files.items()}


def snapshot_table(benchmark: Benchmark, texts: Mapping[str, str], pairs: Pairs = "mean") -> ScoreTable:
    """The snapshot of a benchmark, by model. A model with more than one row gets numbers.

    GLUE's AX of the human is left out: the human never took it, and the snapshot repeats SuperGLUE's. The row of the
    best published results is left out too: it is no system.
    """
    rows = [row for row in csv.DictReader(io.StringIO(texts[benchmark.snapshot])) if row["Model"] != "Outside Best"]
    counts = Counter(row["Model"] for row in rows)
    seen: Counter[str] = Counter()
    text = io.StringIO()
    writer = csv.writer(text)
    tasks = [name for name in rows[0] if name not in _SNAPSHOT_ABOUT]
    writer.writerow(["system", "score", *tasks])
    for row in rows:
        name = row["Model"]
        seen[name] += 1
        if name == benchmark.snapshot_human:
            name = HUMAN
            if "AX" in row:
                row["AX"] = "-"
        elif counts[name] > 1:
            name = f"{name} ({seen[name]})"
        writer.writerow([name, row["Score"], *(row[task] for task in tasks)])
    return _join_halves(parse_table(text.getvalue(), benchmark.snapshot, pairs, ABOUT), benchmark)


def of_task_set(table: ScoreTable, benchmark: Benchmark, tasks: str) -> ScoreTable:
    """The columns of the task set ``tasks``. In the official one, the halves of a task are one column."""
    chosen = table.with_columns([task not in benchmark.left_out[tasks] for task in table.tasks])
    return _average_halves(chosen, benchmark) if tasks == "official" else chosen


def official_scores(table: ScoreTable, benchmark: Benchmark) -> NDArray[np.float64]:
    """The official score of each row, computed from its cells, float64 [systems]: the mean over tasks.

    NaN for a row with a missing score. Pairs of metrics must be averaged in the table.
    """
    scores: NDArray[np.float64] = of_task_set(table, benchmark, "official").scores.mean(axis=1)
    return scores


def official_mismatches(table: ScoreTable, benchmark: Benchmark) -> dict[str, tuple[float, float]]:
    """Rows whose printed official score differs from that of their cells: by system, the printed and the computed one.

    Rows without an official score, or without all official tasks, are left out.
    """
    mismatches = {}
    rows = zip(table.systems, table.about["score"], official_scores(table, benchmark), strict=True)
    for system, printed, computed in rows:
        if printed not in ("", "-") and np.isfinite(computed) and abs(float(printed) - computed) > ROUNDING + 1e-9:
            mismatches[system] = (float(printed), round(float(computed), 3))
    return mismatches


def unconfirmed_cells(table: ScoreTable) -> int:
    """Number of scores of a typed table that could not be checked at their source."""
    unconfirmed = [set(text.split()) for text in table.about["unconfirmed"]]
    return sum(
        task in tasks and not np.isnan(score)
        for tasks, row in zip(unconfirmed, table.scores, strict=True)
        for task, score in zip(table.tasks, row, strict=True)
    )


def _join_halves(table: ScoreTable, benchmark: Benchmark) -> ScoreTable:
    """Name the whole task as the task of its halves' columns."""
    whole = {half: task for task, halves in benchmark.halves.items() for half in halves}
    return replace(table, tasks=tuple(whole.get(task, task) for task in table.tasks))


def _average_halves(table: ScoreTable, benchmark: Benchmark) -> ScoreTable:
    """Average the halves of a task into one column, in the place of the first."""
    for task, (first, second) in benchmark.halves.items():
        left, right = table.columns.index(first), table.columns.index(second)
        scores = table.scores.copy()
        scores[:, left] = (scores[:, left] + scores[:, right]) / 2
        columns = tuple(task if column == first else column for column in table.columns)
        table = replace(table, columns=columns, scores=scores)
        table = table.with_columns([column != second for column in columns])
    return table


def benchmark_of(task: str) -> Benchmark | None:
    """The benchmark of a task of this plugin, by the task's name; None for the task of the user's table.

    >>> benchmark_of("leaderboard/glue-2021").name
    'glue'
    """
    name = task.removeprefix("leaderboard/").partition("-")[0]
    return next((benchmark for benchmark in BENCHMARKS if benchmark.name == name), None)
