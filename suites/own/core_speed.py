"""What the harness itself costs: start-up, planning, skipping, and cells beside the same loops in a bare script.

Run it on an idle machine: ``python suites/own/core_speed.py``. It prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from harness import hookimpl
from harness.cell import Cell, Record
from harness.planning.plan import Plan, make_plan
from harness.planning.request import Request
from harness.records import RecordsFile
from harness.registry import load_registry
from harness.running.engines.servers import warm_up
from harness.running.execute import record_of
from harness.running.runner import run_suite

SUITE = """
title = "Cells of the contrastive suite"
[[cross]]
task = "contrastive/mnist-5k"
methods = ["flatnce", "infonce"]
seeds = {seeds}
options = {{ batch_size = [8, 32, 256] }}
"""
MANY = """
title = "Many cells"
[[cross]]
task = "contrastive/rounding"
methods = ["flatnce", "infonce"]
seeds = 1000
options = { k = [1, 2, 3, 4, 5] }
"""
#: The same cells without the harness: one process and one loop, as a person would write it.
BARE = """
import sys, time
from harness.registry.datasets import load
from harness.running.execute import seed_everything
from harness.planning.plan import make_plan
from harness.records.provenance import make_deterministic
from harness.registry import load_registry
from harness.planning.request import Request
from harness.running.run import Run
from harness.spec import resolve

registry = load_registry()
cells = make_plan(Request(suite=sys.argv[1]), registry).scope
make_deterministic()
datasets = {"mnist-5k": registry.datasets["mnist-5k"]}
load(datasets["mnist-5k"])
task = registry.tasks["contrastive/mnist-5k"]
code = resolve(task.run)
begin = time.perf_counter()
for cell in cells:
    seed_everything(cell.random_seed)
    method = registry.methods[cell.method]
    loss = method.create(**{k: cell.options[k] for k in method.options})
    code(loss, Run(cell, {k: cell.options[k] for k in task.options}, datasets))
print(time.perf_counter() - begin)
"""


class Stopwatch:
    """Wall time from the first cell's start to the last one's end."""

    first = last = 0.0

    @hookimpl
    def harness_cell_started(self, cell: Cell) -> None:  # noqa: ARG002
        """Start with the first."""
        self.first = self.first or time.perf_counter()

    @hookimpl
    def harness_cell_finished(self, record: Record) -> None:  # noqa: ARG002
        """The latest so far."""
        self.last = time.perf_counter()

    @property
    def seconds(self) -> float:
        """From first to last."""
        return self.last - self.first


def command_seconds(*arguments: str) -> float:
    """Median wall time of a command over seven runs."""
    command = [sys.executable, "-c", "from harness.cli import main; main()", *arguments]
    return median(_seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(7))


def planning_seconds(folder: Path) -> tuple[float, float]:
    """Seconds to plan 10,000 cells, and to skip 10,000 recorded ones."""
    path = folder / "many.toml"
    path.write_text(MANY)
    registry, request = load_registry(), Request(suite=str(path), results=folder / "many")
    plan: list[Plan] = []
    planning = _seconds(lambda: plan.append(make_plan(request, registry)))
    file = RecordsFile(request.folder)
    file.prepare()
    metrics = dict.fromkeys(registry.tasks["contrastive/rounding"].metrics, 0.5)
    lines = [record_of(cell, "done", None, metrics=metrics).to_line() for cell in plan[0].cells]
    file.path.write_text("\n".join(lines) + "\n")
    assert len(lines) == 10_000
    return planning, _seconds(lambda: run_suite(request, registry))


def suite_seconds(path: Path, results: Path, jobs: int, mlflow: bool) -> float:
    """Wall time of the suite's cells with this number of jobs."""
    watch = Stopwatch()
    os.environ["HARNESS_TRACKING"] = f"sqlite:///{results}.db" if mlflow else "off"
    result = run_suite(Request(suite=str(path), results=results, jobs=jobs, watchers=(watch,)))
    assert not result.failures, result.failures[0].cause
    return watch.seconds


def cell_seconds(folder: Path, rounds: int, seeds: int) -> dict[str, list[float]]:
    """Seconds that the same cells take in each round: in a bare script, and in the harness with one job and two."""
    path = folder / "cells.toml"
    path.write_text(SUITE.format(seeds=seeds))
    seconds: dict[str, list[float]] = {}
    # Interleaved, so that a machine that slows down slows all of them.
    for number in range(rounds):
        bare = subprocess.run([sys.executable, "-c", BARE, str(path)], check=True, capture_output=True, text=True)
        seconds.setdefault("bare script", []).append(float(bare.stdout))
        for name, jobs, mlflow in (("1 job", 1, False), ("1 job with MLflow", 1, True), ("2 jobs", 2, False)):
            results = folder / f"{name}-{number}"
            seconds.setdefault(name, []).append(suite_seconds(path, results, jobs, mlflow))
    return seconds


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    rows = [(f"`harness {name}`", f"{command_seconds(name):.2f} s") for name in ("--help", "list")]
    warm_up()
    with tempfile.TemporaryDirectory() as name:
        planning, skipping = planning_seconds(Path(name))
        rows += [("plan 10,000 cells", f"{planning:.2f} s"), ("skip 10,000 recorded cells", f"{skipping:.2f} s")]
        by_way = cell_seconds(Path(name), arguments.rounds, arguments.seeds)
    for way, seconds in by_way.items():
        text = ", ".join(f"{round_seconds:.1f}" for round_seconds in seconds)
        share = _median_ratio(seconds, by_way["bare script"])
        rows.append((f"{6 * arguments.seeds} cells, {way}", f"{text} s; {share:.3f} of the bare script"))
    rows.append(("2 jobs against 1", f"{_median_ratio(by_way['1 job'], by_way['2 jobs']):.2f} times as fast"))
    print("| what | measured |\n|---|---|")  # noqa: T201
    for row in rows:
        print(f"| {row[0]} | {row[1]} |")  # noqa: T201


def _median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    return median(a / b for a, b in zip(numerators, denominators, strict=True))


def _seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
