"""The tasks ``leaderboard/...``: where the human stands on GLUE, on SuperGLUE, and on a table of the user's."""

from __future__ import annotations

from functools import partial

from harness.spec import Metric, Option, Task
from harness_plugins.leaderboard.benchmarks import BENCHMARKS, Benchmark, metric_without

_AUDIT = "harness_plugins.leaderboard.audit"
_ROLE = "score-aggregate"

#: Nothing here depends on the seed but the draws of a resampling.
_Fixed = partial(Metric, deterministic=True)
_RANKED = {
    "human_rank": _Fixed(unit="count", help="1 + number of systems ahead of the human"),
    "human_lead": _Fixed("higher", "the aggregate's", "the human's value minus that of the best other system"),
    "human_first": _Fixed(unit="count", help="1 where no system is ahead of the human, else 0"),
    "systems": _Fixed(unit="count", help="systems that were ranked, the human included"),
    "columns": _Fixed(unit="count", help="columns that were aggregated"),
    "missing": _Fixed(
        unit="count",
        help="scores that the ranked systems lack, those dropped as 0 or less included; 0 where all have all",
    ),
    "tau_to_arithmetic": _Fixed(
        unit="tau-b", help="Kendall's rank correlation with the arithmetic mean of the same cells as they are printed"
    ),
    "best_rank_without_one": _Fixed(unit="count", help="the human's best rank when one task is left out"),
    "worst_rank_without_one": _Fixed(unit="count", help="the human's worst rank when one task is left out"),
    "deciding_task": _Fixed(
        unit="number",
        help="number, from 1 in the table's order, of the task whose omission moves the human's rank most; 0 for none",
    ),
}
_COMPARED = {
    "lag_over_lead": _Fixed(
        unit="ratio",
        help="points by which the best other system by the arithmetic mean exceeds the human, summed over tasks, over "
        "those by which the human exceeds it (at least 0.1, the last printed digit)",
    ),
    "tau_above_leave_one_out": _Fixed(
        unit="tau-b",
        help="tau_to_arithmetic minus the tau of the arithmetic mean with itself when a task is left out, the median "
        "over tasks: above 0, the choice of the mean reorders less than the choice of a task",
    ),
    "official_mismatches": _Fixed(
        unit="count", help="rows of the table whose official score differs from that of their cells by more than 0.1"
    ),
}
_UNCONFIRMED = {
    "unconfirmed_cells": _Fixed(unit="count", help="cells in use that could not be checked at their source"),
}
_FIRST = {"share_human_first": Metric(unit="fraction", help="draws of the tasks with replacement with the human first")}
_FIRST_OF_ALL = {"share_human_first": _Fixed(unit="fraction", help="choices of the tasks with the human first")}

_PAIRS = Option("mean", "two metrics of a task: averaged, or a column each", choices=("mean", "split"))
_ROWS = {"rows": Option("all", "paper: without rows that are known to be later than it", choices=("all", "paper"))}
_RESAMPLES = {"resamples": Option(300, "draws of the tasks with replacement", low=1)}


def _options(benchmark: Benchmark) -> dict[str, Option]:
    return {
        "tasks": Option("official", benchmark.sets_help, choices=tuple(benchmark.left_out)),
        "incomplete": Option(
            "leave-out",
            "a system without a score on one of the tasks: left out, or ranked by its scores on fewer tasks",
            choices=("leave-out", "keep"),
        ),
        "scale": Option(
            "score",
            "score: as printed; error: 100 - score, lower is better; mcc-rescaled: correlations from 0 to 100",
            choices=("score", "error", "mcc-rescaled"),
        ),
        "metric_pairs": _PAIRS,
    }


def _tasks(benchmark: Benchmark) -> tuple[Task, ...]:
    """The typed table, the same under resampled and under all choices of tasks, and the larger snapshot."""
    name, title, options = benchmark.name, benchmark.title, _options(benchmark)
    without = {
        metric_without(task): _Fixed(unit="count", help=f"the human's rank without {task}") for task in benchmark.tasks
    }
    return (
        Task(
            name=f"leaderboard/{name}",
            role=_ROLE,
            run=f"{_AUDIT}:{name}",
            metrics=_RANKED | _COMPARED | _UNCONFIRMED | without,
            options=options | _ROWS,
            help=f"where the human stands among the best of {title}, and which task decides that",
        ),
        Task(
            name=f"leaderboard/{name}-resampled",
            role=_ROLE,
            run=f"{_AUDIT}:{name}_resampled",
            metrics=_FIRST,
            options=options | _ROWS | _RESAMPLES,
            help=f"how often the human is first when the tasks of {title} are drawn with replacement",
        ),
        Task(
            name=f"leaderboard/{name}-subsets",
            role=_ROLE,
            run=f"{_AUDIT}:{name}_subsets",
            metrics=_FIRST_OF_ALL,
            options=options | _ROWS,
            help=f"how often the human is first among all choices of one task of {title} or more",
        ),
        Task(
            name=f"leaderboard/{name}-2021",
            role=_ROLE,
            run=f"{_AUDIT}:{name}_2021",
            metrics=_RANKED | _COMPARED | without,
            options=options,
            datasets=("leaderboards",),
            help=f"the same on the whole {title} leaderboard as of late 2021",
        ),
    )


_OWN_TABLE = Task(
    name="leaderboard/table",
    role=_ROLE,
    run=f"{_AUDIT}:own_table",
    metrics=_RANKED,
    options={
        "table": Option("", "CSV file: a row is a system, a column is a task", file=True),
        "human": Option("Human", "the system whose rank is measured"),
        "incomplete": Option(
            "keep",
            "a system without a score on one of the tasks: left out, or ranked by its scores on fewer tasks",
            choices=("leave-out", "keep"),
        ),
        "scale": Option("score", "error: best - score, lower is better", choices=("score", "error")),
        "best": Option(100.0, "the best possible score"),
        "metric_pairs": _PAIRS,
    },
    help="where one system of your own table stands, and which task decides that",
)
TASKS = (*(task for benchmark in BENCHMARKS for task in _tasks(benchmark)), _OWN_TABLE)
