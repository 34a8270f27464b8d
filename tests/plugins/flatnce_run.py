"""Runs of this plugin's tasks as the core makes them, for its tests."""

from __future__ import annotations

from typing import Any

from harness.run import Run
from harness.spec import Cell, Method, Task, read_options
from harness_plugins import flatnce

METHODS: dict[str, Method] = {method.name: method for method in flatnce.harness_methods()}
TASKS: dict[str, Task] = {task.name: task for task in flatnce.harness_tasks()}
DATASETS = {dataset.name: dataset for dataset in flatnce.harness_datasets()}


def make_run(task: str, seed: int = 0, dtype: str = "float32", **options: Any) -> Run:
    """The run that a cell of ``task`` with these options over its defaults would get."""
    complete = read_options(task, TASKS[task].options, options)
    cell = Cell("tests", "any", task, complete, "cpu", dtype, seed, "code")
    return Run(cell, complete, {name: DATASETS[name] for name in TASKS[task].datasets})
