"""Runs of registered tasks, made as the core makes them, for the tests of plugins."""

from __future__ import annotations

from typing import Any

from harness.cell import Cell
from harness.registry import load_registry
from harness.running.run import Run
from harness.spec import read_options

REGISTRY = load_registry()
METHODS, TASKS, DATASETS = REGISTRY.methods, REGISTRY.tasks, REGISTRY.datasets


def make_run(task: str, seed: int = 0, dtype: str = "float32", **options: Any) -> Run:
    """The run of a cell of ``task`` with these options and the other options at their defaults."""
    complete = read_options(task, TASKS[task].options, options)
    cell = Cell("tests", "any", task, complete, "cpu", dtype, seed, "code")
    return Run(cell, complete, {name: DATASETS[name] for name in TASKS[task].datasets})
