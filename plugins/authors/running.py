"""The checks that run a plugin's tasks as cells, twice each: under one seed, and under two."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.cell import Cell, Record
from harness.errors import HarnessError
from harness.files.suite import Cross, Suite, read_suite
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness.registry import Registry
from harness.running.engines import Settings
from harness.running.execute import record_of
from harness.spec import Scalar, Task
from harness_plugins.authors.findings import Check, Note, Problem, Subject
from harness_plugins.authors.role_calls import smallest

#: Seconds that a task may take at its smallest setting.
LIMIT = 60.0


def tasks(subject: Subject) -> Iterator[Problem | Note]:
    """Run each task twice at the lower bounds of its options, else at its defaults; its metrics must repeat."""
    waiting: dict[str, list[Cell]] = {}
    for task in subject.tasks.values():
        try:
            waiting[task.name] = _candidates(task, subject.registry)
        except HarnessError as error:
            yield Problem(f"task {task.name}: {error}", "see docs/plugins.md")
    failed_at_bounds: dict[str, Record] = {}
    while waiting:
        cells = [candidates.pop(0) for candidates in waiting.values()]
        for cell, first, second in _run_twice(cells, subject.registry):
            if waiting[cell.task] and not first.good and first.status != "skipped":
                failed_at_bounds[cell.task] = first
                continue
            report = _report(cell, first, second, subject.tasks[cell.task], failed_at_bounds.get(cell.task))
            if report:
                yield report
            del waiting[cell.task]


def _report(
    cell: Cell, first: Record, second: Record, task: Task, failed_at_bounds: Record | None
) -> Problem | Note | None:
    """What the two records say of the task; None if all is well."""
    skipped = next((record for record in (first, second) if record.status == "skipped"), None)
    if skipped:
        return Note(f"task {task.name} was not run, or not twice: {skipped.cause}")
    if not first.good:
        files = [name for name, option in task.options.items() if option.file]
        if files:
            return Note(f"task {task.name} was not run: its option {files[0]} names a file of the user's")
        advice = "a task must run at its defaults and return every metric it promises, each finite"
        if first.status == "timeout":
            advice = f"give it options that make it small enough for {LIMIT:g} s, with lower bounds"
        return Problem(f"task {task.name} {first.status}: {first.cause} ({cell})", advice)
    if not second.good or _repeatable(first, task) != _repeatable(second, task):
        return Problem(
            f"task {task.name} gives other metrics the second time: {cell}",
            "draw only from run.generator and run.rng, always in the same order",
        )
    if failed_at_bounds:
        cause = failed_at_bounds.cause
        return Note(f"task {task.name} runs at its defaults, but not with all options at their lower bounds: {cause}")
    return None


def _repeatable(record: Record, task: Task) -> dict[str, float]:
    """The metrics that must be the same in every run."""
    return {name: value for name, value in record.metrics.items() if not task.metrics[name].timed}


def _candidates(task: Task, registry: Registry) -> list[Cell]:
    """Cells to try in turn: with whole-number options at their lower bounds, then without that.

    Method, dtype and the other options are those of the first suite that runs the task.
    """
    planned = _planned_cell(task, registry)
    method = registry.methods[planned.method if planned else _any_method(task, registry)]
    options = dict(planned.options) if planned else {}
    # An option that the method declares too, with another default, needs a value.
    for name, option in task.options.items():
        if name in method.options and method.options[name].default != option.default:
            options.setdefault(name, option.default)
    at_bounds = {**options, **smallest({**method.options, **task.options})}
    dtype = planned.dtype if planned else "float32"
    settings = [at_bounds, options] if at_bounds != options else [options]
    return [_cell(task, method.name, dtype, setting, registry) for setting in settings]


def _cell(task: Task, method: str, dtype: str, options: dict[str, Scalar], registry: Registry) -> Cell:
    block = Cross.model_validate({"task": task.name, "methods": [method], "dtype": dtype, "options": options})
    (cell,) = cells_of(Suite("check", Path("check.toml"), "check", (block,), {}), registry)
    return cell


def _planned_cell(task: Task, registry: Registry) -> Cell | None:
    """The first cell of the task in a suite of the registry."""
    for name in sorted(registry.suites):
        try:
            cells = cells_of(read_suite(name, registry), registry, digest_of=lambda _: "digest")
            planned = next((cell for cell in cells if cell.task == task.name), None)
        except HarnessError:
            continue
        if planned:
            return planned
    return None


def _any_method(task: Task, registry: Registry) -> str:
    """A method of the task's role, the baseline of a workload if there is one."""
    methods = [method.name for method in registry.methods.values() if method.role == task.role]
    if not methods:
        raise HarnessError(f"no method has its role {task.role!r}")
    baselines = [w.baseline for w in registry.workloads.values() if w.role == task.role and w.baseline in methods]
    return (baselines or methods)[0]


def _run_twice(cells: Sequence[Cell], registry: Registry) -> Iterator[tuple[Cell, Record, Record]]:
    """Run the cells twice as a suite does, in worker processes with a time limit.

    A cell that does not end well is not run again; it is yielded with its one record twice.
    """
    from harness.running.engines.local import run

    settings = Settings(jobs=os.cpu_count() or 1, timeout=LIMIT, plugins=registry.extra)
    first = {cell.id: record_of(cell, "skipped", cell.skip) for cell in cells if cell.skip}
    first.update({cell.id: record for cell, record in run([c for c in cells if not c.skip], settings)})
    good = [cell for cell in cells if first[cell.id].good]
    second = {cell.id: record for cell, record in run(good, settings)}
    for cell in cells:
        yield cell, first[cell.id], second.get(cell.id, first[cell.id])


def no_chance(subject: Subject) -> Iterator[Problem | Note]:
    """Run cells of claims on metrics that are declared deterministic under two seeds; these must be the same bits.

    A verdict on such a metric has no interval. One setting of each task and method is run, if it takes no longer than
    the limit.
    """
    from harness.running.engines.local import run

    cells = _cells_without_chance(subject)
    pairs = [(cell, replace(cell, seed=cell.seed + 1)) for cell in cells if not cell.skip]
    settings = Settings(jobs=os.cpu_count() or 1, timeout=LIMIT, plugins=subject.registry.extra)
    records = {cell.id: record for cell, record in run([cell for pair in pairs for cell in pair], settings)}
    for cell in cells:
        if cell.skip:
            yield Note(f"task {cell.task} was not run under two seeds: {cell.skip}")
    for first, second in pairs:
        bad = next((records[cell.id] for cell in (first, second) if not records[cell.id].good), None)
        if bad is not None:
            yield Note(f"{first} was not run under two seeds: {bad.status}: {bad.cause}")
            continue
        before, after = records[first.id].metrics, records[second.id].metrics
        for name, metric in subject.registry.tasks[first.task].metrics.items():
            if metric.deterministic and before[name] != after[name]:
                yield Problem(
                    f"task {first.task}: {name} is declared deterministic, but is {before[name]!r} under seed "
                    f"{first.seed} and {after[name]!r} under seed {second.seed} ({first})",
                    "leave out deterministic=True: claims on it then get an interval over seeds",
                )


def _cells_without_chance(subject: Subject) -> list[Cell]:
    """The first cell of each task and method that a claim on a deterministic metric needs."""
    registry = subject.registry
    claims = {
        name: claim
        for name, claim in subject.claims.items()
        if claim.test is not None
        and all(
            task in registry.tasks
            and (metric := registry.tasks[task].metrics.get(claim.test.metric)) is not None
            and metric.deterministic
            for task in claim.test.tasks
        )
    }
    chosen: dict[tuple[str, str], Cell] = {}
    for name in sorted(registry.suites) if claims else ():
        try:
            suite = read_suite(name, registry)
            own = [claim for claim in suite.claims if claim in claims]
            cells = list(cells_of(suite, registry)) if own else []
            needed = {cell for claim in own for cell in needed_cells(claims[claim], cells)}
        except HarnessError:
            continue  # The checks "claims" and "decided" report it.
        for cell in cells:
            if cell.id in needed:
                chosen.setdefault((cell.task, cell.method), cell)
    return list(chosen.values())


CHECKS = (
    Check(
        "tasks",
        "every task runs at its smallest setting, returns what it promises, and repeats",
        tasks,
        lambda subject: bool(subject.tasks),
        slow=True,
    ),
    Check(
        "no-chance",
        "metrics that are declared deterministic are the same bits under two seeds",
        no_chance,
        lambda subject: any(m.deterministic for task in subject.tasks.values() for m in task.metrics.values()),
        slow=True,
    ),
)
