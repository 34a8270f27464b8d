"""A plugin for tests: a suite with every kind of claim, of verdict and of check. Its records are written, not run."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness
from harness.cell import Cell, Record

HERE = Path(__file__).parent
METRICS = {
    "score": harness.Metric("higher", "fraction", "how good it is"),
    "loss": harness.Metric("lower", "nats", "how bad it is"),
    "size": harness.Metric("lower", "count", "how many parameters it has", deterministic=True),
    "violations": harness.Metric("lower", "count", "broken rules"),
}
#: By method: score, loss and size.
LEVELS = {"new": (0.90, 0.20, 100.0), "old": (0.80, 0.45, 400.0), "chance": (0.10, 2.3, 10.0)}


def build(width):
    return width


def fit(built, run):
    raise NotImplementedError("the tests write its records")


@harness.hookimpl
def harness_methods():
    return [harness.Method(name=name, role="kind", build=build, options={"width": 8}) for name in LEVELS]


@harness.hookimpl
def harness_tasks():
    task = harness.Task(name="kinds/fit", role="kind", run=fit, metrics=METRICS, help="fit something")
    return [task, replace(task, name="kinds/other"), replace(task, name="kinds/never")]


@harness.hookimpl
def harness_claims():
    return [HERE / "claims.toml"]


@harness.hookimpl
def harness_suites():
    return [HERE / "kinds.toml"]


def record(cell: Cell) -> Record | None:
    """What a run of the cell leaves: a level of the method, a gain with the width, and noise of the seed."""
    from harness.running.execute import record_of

    if cell.task == "kinds/never":
        return None
    noise = random.Random(f"{cell.method} {cell.task} {cell.options['width']} {cell.seed}")
    score, loss, size = LEVELS[cell.method]
    wider = cell.options["width"] == 16
    if cell.method == "new" and wider:
        score += 0.02
    metrics: dict[str, Any] = {
        "score": score + noise.gauss(0, 0.004),
        "loss": loss * (1 + noise.gauss(0, 0.01)),
        "size": size * (2 if wider else 1),
        "violations": 0.0,
    }
    started = f"2026-01-15T10:00:{cell.seed:02}.000+00:00"
    return record_of(cell, "done", None, metrics=metrics, seconds=1.5, peak_bytes=2_000_000, started=started)
