"""What an engine costs for each cell: empty cells beside a bare process pool, on one machine and through Ray.

Run it on an idle machine: ``python suites/own/engine_speed.py [--ray]``. It prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median

from harness import hookimpl
from harness.cell import Cell
from harness.planning.request import Request
from harness.running.runner import run_suite

PLUGIN = """
import harness

def nothing(method, run):
    return {"zero": 0.0}

@harness.hookimpl
def harness_methods():
    return [harness.Method(name="nothing", role="nothing", build=dict)]

@harness.hookimpl
def harness_tasks():
    metrics = {"zero": harness.Metric()}
    return [harness.Task(name="nothing/task", role="nothing", run=nothing, metrics=metrics)]
"""
SUITE = """
title = "Empty cells"
[[cross]]
task = "nothing/task"
methods = ["nothing"]
seeds = {seeds}
"""
#: Reads records in a process of its own: prints their number, the seconds, and the most memory held.
READ = """
import resource, sys, time
from pathlib import Path
from harness.records import RecordsFile
begin = time.perf_counter()
records = RecordsFile(Path(sys.argv[1])).load().by_id
print(len(records), time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


class Marks:
    """The time at which each cell ended."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    @hookimpl
    def harness_cell_finished(self, cell: Cell) -> None:  # noqa: ARG002
        """Note the time."""
        self.ended.append(time.perf_counter())

    @property
    def gap(self) -> float:
        """Median seconds between the ends of two cells."""
        return median(later - sooner for sooner, later in pairwise(self.ended))


def engine_gap(folder: Path, engine: str, cells: int) -> float:
    """Median seconds of an empty cell, one at a time."""
    (folder / "empty_cells.py").write_text(PLUGIN)
    suite = folder / f"{engine}.toml"
    suite.write_text(SUITE.format(seeds=cells))
    marks = Marks()
    plugins = (str(folder / "empty_cells.py"),)
    request = Request(
        suite=str(suite), results=folder / engine, jobs=1, engine=engine, plugins=plugins, watchers=(marks,)
    )
    result = run_suite(request)
    assert not result.failures, result.failures[0].cause
    return marks.gap


def pool_gap(calls: int) -> float:
    """Median seconds of an empty call of a pool with one process."""
    ended = []
    with ProcessPoolExecutor(1) as pool:
        for _ in range(calls):
            pool.submit(int).result()
            ended.append(time.perf_counter())
    return median(later - sooner for sooner, later in pairwise(ended))


def reading(folder: Path, records: int) -> str:
    """Time and memory of reading this number of records, each as large as the contrastive suite's."""
    from harness.cell import Record

    many = folder / "many"
    many.mkdir()
    curve = [(step, step / 7) for step in range(130)]
    metrics = {f"metric_{n}": n / 7 for n in range(5)}
    options = {f"option_{n}": n for n in range(10)}
    with (many / "records.jsonl").open("w") as stream:
        for number in range(records):
            record = Record(
                id=f"{number:020x}", suite="s", method="m", task="t", options=options, device="cpu", dtype="float32",
                seed=number, status="done", metrics=metrics, curves={"loss": curve},
            )  # fmt: skip
            stream.write(record.to_line() + "\n")
    size = (many / "records.jsonl").stat().st_size
    done = subprocess.run([sys.executable, "-c", READ, str(many)], check=True, capture_output=True, text=True)
    count, seconds, memory = done.stdout.split()
    assert int(count) == records
    return f"{float(seconds):.1f} s, {int(memory) / 1e9:.2f} GB ({size / 1e6:.0f} MB on disk)"


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--ray", action="store_true")
    arguments = parser.parse_args()
    os.environ["HARNESS_TRACKING"] = "off"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = pool_gap(arguments.cells)
        rows = [("a call of a bare process pool", f"{pool * 1e3:.2f} ms")]
        for engine in ("local", *(["ray"] if arguments.ray else [])):
            gap = engine_gap(folder, engine, arguments.cells if engine == "local" else arguments.cells // 6)
            rows.append((f"an empty cell, engine {engine}", f"{gap * 1e3:.2f} ms"))
        rows.append(("reading 100,000 records", reading(folder, 100_000)))
    print("| what | measured |\n|---|---|")  # noqa: T201
    for row in rows:
        print(f"| {row[0]} | {row[1]} |")  # noqa: T201


if __name__ == "__main__":
    main()
