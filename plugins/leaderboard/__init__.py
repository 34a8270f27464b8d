"""Leaderboards under nine ways to aggregate: does another mean put humans first on GLUE and SuperGLUE?

Claims of arXiv 2112.01342 and of the article kexue.fm/archives/8783 on it. A table of one's own can be audited in the
same way: by a suite of the task ``leaderboard/table``, or at once by ``harness leaderboard TABLE.csv``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Figure, Method, Metric, Option, Paper, Role, Task
from harness_plugins.leaderboard.benchmarks import BENCHMARKS, Benchmark, metric_without
from harness_plugins.leaderboard.roles import ROLES

if TYPE_CHECKING:
    import typer

_HERE = "harness_plugins.leaderboard"
_ROLE = "score-aggregate"

HONEST_BENCHMARK = Paper(
    title="How not to Lie with a Benchmark: Rearranging NLP Leaderboards",
    url="https://arxiv.org/abs/2112.01342",
    year=2021,
    authors="Shavrina, Malykh",
)

_POSITIVE = {
    "nonpositive": Option(
        "refuse",
        "what becomes of a score of 0 or less: an error, as if it was missing, or raised to floor",
        choices=("refuse", "drop", "clip"),
    ),
    "floor": Option(0.1, "what nonpositive = 'clip' raises it to, in the table's unit", low=1e-9),
}
_DRAWS = {"draws": Option(0.1, "drawn games added between every two systems; 0 for none", low=0, high=1e6)}


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """Five means and four rules that only count who beats whom."""
    told = [
        ("arithmetic", "Arithmetic", {}, None, "mean of a system's scores, as the leaderboards have it"),
        ("geometric", "Geometric", _POSITIVE, HONEST_BENCHMARK, "exp of the mean logarithm"),
        ("harmonic", "Harmonic", _POSITIVE, HONEST_BENCHMARK, "one over the mean reciprocal"),
        ("median", "Median", {}, None, "the middle one of a system's scores"),
        ("interquartile-mean", "InterquartileMean", {}, None, "mean without the lowest and the highest quarter"),
        ("mean-rank", "MeanRank", {}, None, "minus the mean of a system's ranks over tasks"),
        ("mean-win-rate", "MeanWinRate", {}, None, "mean share of the other systems that it beats on a task"),
        ("borda", "Borda", {}, None, "a point for each system beaten on each task; a missing cell earns none"),
        ("bradley-terry", "BradleyTerry", _DRAWS, None, "log strengths that explain best who beats whom"),
    ]
    return [
        Method(
            name=name,
            role=_ROLE,
            build=f"{_HERE}.aggregates:{address}",
            options=options,
            paper=paper,
            help=text,
        )
        for name, address, options, paper, text in told
    ]


_PAIRS = Option("mean", "two metrics of a task: averaged, or a column each", choices=("mean", "split"))
_RANKED = {
    "human_rank": Metric(unit="count", help="1 + how many systems are ahead of the human"),
    "human_lead": Metric("higher", "the aggregate's", "the human's value minus that of the best other system"),
    "human_first": Metric(unit="count", help="1 where no system is ahead of the human, else 0"),
    "systems": Metric(unit="count", help="systems that were ranked, the human included"),
    "columns": Metric(unit="count", help="columns that were aggregated"),
    "tau_to_arithmetic": Metric(
        unit="tau-b", help="Kendall's rank correlation with the arithmetic mean of the same cells as they are printed"
    ),
    "best_rank_without_one": Metric(unit="count", help="the human's best rank when one task is left out"),
    "worst_rank_without_one": Metric(unit="count", help="the human's worst rank when one task is left out"),
    "deciding_task": Metric(
        unit="number",
        help="which task, counted from 1 in the table's order, moves the human's rank most when left out; 0 for none",
    ),
}
_COMPARED = {
    "lag_over_lead": Metric(
        unit="ratio",
        help="points by which the best other system by the arithmetic mean exceeds the human, summed over tasks, over "
        "those by which the human exceeds it (at least 0.1, the last printed digit)",
    ),
    "official_mismatches": Metric(
        unit="count", help="rows of the table whose official score is not that of their cells, by more than 0.1"
    ),
}
_FIRST = {"share_human_first": Metric(unit="fraction", help="draws of the tasks with replacement with the human first")}


def _options(benchmark: Benchmark) -> dict[str, Option]:
    return {
        "tasks": Option("official", benchmark.sets_help, choices=tuple(benchmark.left_out)),
        "incomplete": Option(
            "leave-out",
            "a system without a score on one of the tasks: left out, or ranked by what it has, on fewer tasks",
            choices=("leave-out", "keep"),
        ),
        "scale": Option(
            "score",
            "score: as printed; error: 100 - score, lower is better; mcc-rescaled: correlations from 0 to 100",
            choices=("score", "error", "mcc-rescaled"),
        ),
        "metric_pairs": _PAIRS,
    }


def _tasks_of(benchmark: Benchmark) -> list[Task]:
    """The typed table whole, the same under resampled tasks, and the larger snapshot."""
    name, options = benchmark.name, _options(benchmark)
    rows = {
        "rows": Option("all", "paper: without rows that are known to be later than it", choices=("all", "paper")),
    }
    without = {
        metric_without(task): Metric(unit="count", help=f"the human's rank without {task}") for task in benchmark.tasks
    }
    unconfirmed = {
        "unconfirmed_cells": Metric(unit="count", help="cells in use that could not be checked at their source"),
    }
    title = {"glue": "GLUE", "superglue": "SuperGLUE"}[name]
    return [
        Task(
            name=f"leaderboard/{name}",
            role=_ROLE,
            run=f"{_HERE}.audit:{name}",
            metrics=_RANKED | _COMPARED | unconfirmed | without,
            options=options | rows,
            help=f"where the human stands among the best of {title}, and which task decides that",
        ),
        Task(
            name=f"leaderboard/{name}-resampled",
            role=_ROLE,
            run=f"{_HERE}.audit:{name}_resampled",
            metrics=_FIRST,
            options=options | rows | {"resamples": Option(300, "draws of the tasks with replacement", low=1)},
            help=f"how often the human is first if the tasks of {title} are drawn with replacement",
        ),
        Task(
            name=f"leaderboard/{name}-2021",
            role=_ROLE,
            run=f"{_HERE}.audit:{name}_2021",
            metrics=_RANKED | _COMPARED | without,
            options=options,
            datasets=("leaderboards",),
            help=f"the same on the whole {title} leaderboard as of late 2021",
        ),
    ]


@hookimpl
def harness_tasks() -> list[Task]:
    """GLUE, SuperGLUE, and a table of the user's."""
    table = Task(
        name="leaderboard/table",
        role=_ROLE,
        run=f"{_HERE}.audit:own_table",
        metrics=_RANKED,
        options={
            "table": Option("", "CSV file: a row is a system, a column is a task", file=True),
            "human": Option("Human", "the system whose rank is asked for"),
            "incomplete": Option(
                "keep",
                "a system without a score on one of the tasks: left out, or ranked by what it has",
                choices=("leave-out", "keep"),
            ),
            "scale": Option("score", "error: best - score, lower is better", choices=("score", "error")),
            "best": Option(100.0, "the best score there can be"),
            "metric_pairs": _PAIRS,
        },
        help="where one system of your own table stands, and which task decides that",
    )
    return [*(task for benchmark in BENCHMARKS for task in _tasks_of(benchmark)), table]


@hookimpl
def harness_datasets() -> list[Dataset]:
    """The whole leaderboards, which are not shipped."""
    return [
        Dataset(
            name="leaderboards",
            licence="Apache 2.0 (PragmaticsLab/vote_and_rank); the scores' copyright is with their authors",
            load=f"{_HERE}.published:load_snapshots",
            files={
                "votenrank_GLUE.csv": ("e52c3b4d20907a8e796f2d9a25f315bb2ef2da6db7efe647350300fbc685432b",),
                "votenrank_SuperGLUE.csv": ("37dc4386a13434cb09230842750db3e2a40c9d57524a2d23a8b72bd8177c9080",),
            },
            help="GLUE (100 rows) and SuperGLUE (24 rows) as of late 2021: the files 'tables/leaderboards - *.csv' of "
            "github.com/PragmaticsLab/vote_and_rank under the names above",
        )
    ]


@hookimpl
def harness_claims() -> list[Path]:
    """What the paper and the article say."""
    return [Path(__file__).with_name("claims.toml")]


@hookimpl
def harness_figures() -> list[Figure]:
    """Bump charts: the rank of every system under every aggregate."""
    how = "One column for each aggregate, the first rank on top, one line for each system; the human's is drawn out."
    return [
        Figure(
            name=f"leaderboard-{name}",
            draw=f"{_HERE}.chart:draw",
            tasks=(f"leaderboard/{task}",),
            help=f"{title} {how}",
        )
        for name, task, title in (
            ("glue", "glue", "GLUE."),
            ("superglue", "superglue", "SuperGLUE."),
            ("glue-2021", "glue-2021", "The whole GLUE leaderboard of late 2021."),
            ("superglue-2021", "superglue-2021", "The whole SuperGLUE leaderboard of late 2021."),
            ("table", "table", "Your own table."),
        )
    ]


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``harness leaderboard``."""
    from harness_plugins.leaderboard import commands

    commands.add_to(app)
