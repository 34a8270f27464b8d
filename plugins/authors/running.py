"""The check that runs a plugin's tasks as cells, twice each, at the smallest setting they allow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.cell import Cell, Record
from harness.errors import HarnessError
from harness.files.suite import Cross, Suite, read_suite
from harness.planning.cross import cells_of
from harness.registry import Registry
from harness.running.engines import Settings
from harness.spec import Scalar, Task
from harness_plugins.authors.findings import Check, Note, Problem, Subject
from harness_plugins.authors.roles import lowest

#: Seconds that a task may take at its smallest setting.
LIMIT = 60.0


def tasks(subject: Subject) -> Iterator[Problem | Note]:
    """Each task runs at the lower bounds of its options, else at its defaults, and gives the same metrics twice."""
    waiting: dict[str, list[Cell]] = {}
    for task in subject.tasks.values():
        try:
            waiting[task.name] = _candidates(task, subject.registry)
        except HarnessError as error:
            yield Problem(f"task {task.name}: {error}", "see docs/plugins.md")
    failed: dict[str, Record] = {}
    while waiting:
        cells = [cells.pop(0) for cells in waiting.values()]
        records = _twice(cells, subject.registry)
        for cell in cells:
            first, second = records[cell.id]
            if missing := next((r.cause for r in (first, second) if r.status == "skipped"), None):
                yield Note(f"task {cell.task} was not run, or not twice: {missing}")
            elif not first.good and waiting[cell.task]:
                failed[cell.task] = first
                continue
            elif not first.good and (files := _files(subject.tasks[cell.task])):
                yield Note(f"task {cell.task} was not run: its option {files[0]} names a file of the user's")
            elif not first.good:
                yield _problem(cell, first)
            elif not second.good or _repeatable(first, subject) != _repeatable(second, subject):
                yield Problem(
                    f"task {cell.task} gives other metrics the second time: {cell}",
                    "draw from run.generator and run.rng alone, in an order that is always the same",
                )
            elif cell.task in failed:
                told = failed[cell.task].cause
                yield Note(f"task {cell.task} runs at its defaults, not with all options at their lower bounds: {told}")
            del waiting[cell.task]


def _repeatable(record: Record, subject: Subject) -> dict[str, float]:
    """The metrics that must come out the same a second time."""
    declared = subject.tasks[record.task].metrics
    return {name: value for name, value in record.metrics.items() if not declared[name].timed}


def _files(task: Task) -> list[str]:
    return [name for name, option in task.options.items() if option.file]


def _problem(cell: Cell, record: Record) -> Problem:
    advice = "a task must run at its defaults and return every metric it promises, each finite"
    if record.status == "timeout":
        advice = f"give it options that make it small enough for {LIMIT:g} s, with lower bounds"
    return Problem(f"task {cell.task} {record.status}: {record.cause} ({cell})", advice)


def _candidates(task: Task, registry: Registry) -> list[Cell]:
    """Cells to try in turn, as a suite has one if any does: whole numbers at their lower bounds, then as they are."""
    known = _crossed(task, registry)
    method = registry.methods[known.method if known else _any_method(task, registry)]
    given = dict(known.options) if known else {}
    least = lowest({**method.options, **task.options})
    # An option that a method declares too, with another default, needs a value.
    for name, option in task.options.items():
        if name in method.options and method.options[name].default != option.default:
            given.setdefault(name, option.default)
    dtype = known.dtype if known else "float32"
    blocks = [{**given, **least}, given] if {**given, **least} != given else [given]
    return [_cell(task, method.name, dtype, options, registry) for options in blocks]


def _cell(task: Task, method: str, dtype: str, options: dict[str, Scalar], registry: Registry) -> Cell:
    block = Cross.model_validate({"task": task.name, "methods": [method], "dtype": dtype, "options": options})
    (cell,) = cells_of(Suite("check", Path("check.toml"), "check", (block,), {}), registry)
    return cell


def _crossed(task: Task, registry: Registry) -> Cell | None:
    """The first cell with which a suite of the registry runs the task."""
    for name in sorted(registry.suites):
        try:
            cells = cells_of(read_suite(name, registry), registry, digest_of=lambda _: "digest")
            for cell in cells:
                if cell.task == task.name:
                    return cell
        except HarnessError:
            continue
    return None


def _any_method(task: Task, registry: Registry) -> str:
    methods = [method.name for method in registry.methods.values() if method.role == task.role]
    if not methods:
        raise HarnessError(f"no method has its role {task.role!r}")
    baselines = [w.baseline for w in registry.workloads.values() if w.role == task.role and w.baseline in methods]
    return (baselines or methods)[0]


def _twice(cells: Sequence[Cell], registry: Registry) -> dict[str, tuple[Record, Record]]:
    """Run the cells twice as a suite does, in worker processes with a limit of time."""
    from harness.running.engines.local import run

    settings = Settings(jobs=os.cpu_count() or 1, timeout=LIMIT, plugins=registry.extra)
    first = {cell.id: _skipped(cell) for cell in cells if cell.skip}
    first.update({cell.id: record for cell, record in run([c for c in cells if not c.skip], settings)})
    good = [cell for cell in cells if first[cell.id].good]
    second = {cell.id: record for cell, record in run(good, settings)}
    return {cell.id: (first[cell.id], second.get(cell.id, first[cell.id])) for cell in cells}


def _skipped(cell: Cell) -> Record:
    from harness.running.execute import record_of

    return record_of(cell, "skipped", cell.skip)


CHECKS = (
    Check(
        "tasks",
        "every task runs at its smallest setting, returns what it promises, and repeats",
        tasks,
        lambda subject: bool(subject.tasks),
        slow=True,
    ),
)
