"""The published tables: as typed into this plugin, the larger snapshot, and the official score of a row."""

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

#: Columns of the typed tables that are no scores.
ABOUT = ("score", "after_paper", "unconfirmed", "source")
#: Cells and official scores are printed to 0.1, so a mean of cells may be off by 0.05 and the printed score by as much.
ROUNDING = 0.1
#: What the human goes by in every published table.
HUMAN = "Human"


def typed_table(benchmark: Benchmark, pairs: Pairs = "mean") -> ScoreTable:
    """The typed table of a benchmark.

    >>> from harness_plugins.leaderboard.benchmarks import GLUE
    >>> typed_table(GLUE).scores.shape
    (13, 11)
    """
    path = Path(__file__).with_name(benchmark.file)
    return _of_tasks(replace(read_table(path, pairs, ABOUT), name=benchmark.file), benchmark)


def load_snapshots(files: Mapping[str, Path]) -> dict[str, str]:
    """The texts of the snapshot's files, by name."""
    return {name: path.read_text(encoding="utf-8") for name, path in files.items()}


def snapshot_table(benchmark: Benchmark, texts: Mapping[str, str], pairs: Pairs = "mean") -> ScoreTable:
    """A benchmark's table in the snapshot, by model; a model that stands there more than once gets numbers.

    The snapshot's human AX of GLUE is left out, since the human never took it (it repeats SuperGLUE's), and so is
    its row of the best published results, which is no system.
    """
    rows = [row for row in csv.DictReader(io.StringIO(texts[benchmark.snapshot])) if row["Model"] != "Outside Best"]
    times = Counter(row["Model"] for row in rows)
    seen: Counter[str] = Counter()
    written = io.StringIO()
    writer = csv.writer(written)
    tasks = [name for name in rows[0] if name not in ("Rank", "Name", "Model", "URL", "Score")]
    writer.writerow(["system", "score", *tasks])
    for row in rows:
        name = row["Model"]
        seen[name] += 1
        if name == benchmark.snapshot_human:
            name = HUMAN
            if "AX" in row:
                row["AX"] = "-"
        elif times[name] > 1:
            name = f"{name} ({seen[name]})"
        writer.writerow([name, row["Score"], *(row[task] for task in tasks)])
    return _of_tasks(parse_table(written.getvalue(), benchmark.snapshot, pairs, ABOUT), benchmark)


def of_task_set(table: ScoreTable, benchmark: Benchmark, tasks: str) -> ScoreTable:
    """The columns that the option ``tasks`` stands for; the official set has halves of a task as one column."""
    kept = table.with_columns([task not in benchmark.left_out[tasks] for task in table.tasks])
    return _merged(kept, benchmark) if tasks == "official" else kept


def official_scores(table: ScoreTable, benchmark: Benchmark) -> NDArray[np.float64]:
    """The official score of each row from its cells, float64 [systems]: the mean over tasks of averaged metrics.

    NaN for a row without all of them. The table's pairs must be averaged.
    """
    found: NDArray[np.float64] = of_task_set(table, benchmark, "official").scores.mean(axis=1)
    return found


def official_mismatches(table: ScoreTable, benchmark: Benchmark) -> dict[str, tuple[float, float]]:
    """The rows whose printed official score is not that of their cells: the printed one and ours, by system.

    Rows without an official score, or without all official tasks, are not judged.
    """
    wrong = {}
    for system, told, found in zip(table.systems, table.about["score"], official_scores(table, benchmark), strict=True):
        if told not in ("", "-") and np.isfinite(found) and abs(float(told) - found) > ROUNDING + 1e-9:
            wrong[system] = (float(told), round(float(found), 3))
    return wrong


def unconfirmed_cells(table: ScoreTable) -> int:
    """How many cells of a typed table are marked as not checked at their source and are there."""
    marked = [set(text.split()) for text in table.about["unconfirmed"]]
    return sum(
        task in marks and not np.isnan(score)
        for marks, row in zip(marked, table.scores, strict=True)
        for task, score in zip(table.tasks, row, strict=True)
    )


def _of_tasks(table: ScoreTable, benchmark: Benchmark) -> ScoreTable:
    """Halves of a task belong to that task."""
    whole = {half: task for task, halves in benchmark.halves.items() for half in halves}
    return replace(table, tasks=tuple(whole.get(task, task) for task in table.tasks))


def _merged(table: ScoreTable, benchmark: Benchmark) -> ScoreTable:
    """Halves of a task averaged into one column, in the place of the first."""
    for task, (first, second) in benchmark.halves.items():
        one, two = table.columns.index(first), table.columns.index(second)
        scores = table.scores.copy()
        scores[:, one] = (scores[:, one] + scores[:, two]) / 2
        columns = tuple(task if column == first else column for column in table.columns)
        table = replace(table, columns=columns, scores=scores)
        table = table.with_columns([column != second for column in columns])
    return table


def benchmark_of(task: str) -> Benchmark | None:
    """The benchmark that a task of this plugin is about, by the task's name.

    >>> benchmark_of("leaderboard/glue-2021").name
    'glue'
    """
    name = task.removeprefix("leaderboard/").partition("-")[0]
    return next((one for one in BENCHMARKS if one.name == name), None)
