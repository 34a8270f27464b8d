"""GLUE and SuperGLUE as their leaderboards define them: the tasks, which of them count, which are correlations.

It imports nothing heavy, because the tasks are declared with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TaskSet = Literal["official", "10", "11"]


@dataclass(frozen=True)
class Benchmark:
    """A published leaderboard."""

    name: str
    #: The name as it is printed.
    title: str
    #: The typed table, a file of this plugin.
    file: str
    #: Tasks in the table's order; each is left out once.
    tasks: tuple[str, ...]
    #: The tasks that are left out of the aggregate, by the value of the option ``tasks``.
    left_out: Mapping[str, tuple[str, ...]]
    #: What each value of the option ``tasks`` stands for.
    sets_help: str
    #: Tasks scored by Matthews' correlation coefficient, times 100.
    correlations: tuple[str, ...]
    #: Columns that the official score counts as one task, by that task.
    halves: Mapping[str, tuple[str, str]]
    #: File in the data set ``leaderboards``, and the human's name there.
    snapshot: str
    snapshot_human: str


GLUE = Benchmark(
    name="glue",
    title="GLUE",
    file="glue.csv",
    tasks=("CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI", "AX"),
    left_out={"official": ("AX",), "10": ("AX",), "11": ()},
    sets_help="official: the 9 tasks of the official score; 10: both halves of MNLI count; 11: also the diagnostic AX, "
    "which the human never took",
    correlations=("CoLA", "AX"),
    halves={"MNLI": ("MNLI-m", "MNLI-mm")},
    snapshot="votenrank_GLUE.csv",
    snapshot_human="GLUE Human Baselines",
)
SUPERGLUE = Benchmark(
    name="superglue",
    title="SuperGLUE",
    file="superglue.csv",
    tasks=("BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC", "AX-b", "AX-g"),
    left_out={"official": ("AX-b", "AX-g"), "10": ()},
    sets_help="official: the 8 tasks of the official score; 10: also the diagnostics AX-b and AX-g",
    correlations=("AX-b",),
    halves={},
    snapshot="votenrank_SuperGLUE.csv",
    snapshot_human="SuperGLUE Human Baselines",
)
BENCHMARKS = (GLUE, SUPERGLUE)


def metric_without(task: str) -> str:
    """The metric that holds the human's rank without a task.

    >>> metric_without("SST-2")
    'human_rank_without_sst_2'
    """
    return "human_rank_without_" + re.sub(r"[^a-z0-9]+", "_", task.lower())
