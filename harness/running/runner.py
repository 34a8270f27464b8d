"""The one way to run cells: hand them to an engine, see each record on the disk, tell the watchers.

``run_suite`` goes from a request to verdicts; ``run_cells`` is what it and re-runs of recorded cells have in common.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from harness.cell import Cell, Record
from harness.errors import ArgumentError, RecordNotKept
from harness.files.suite import read_suite
from harness.judge.result import SuiteResult, check_claims, judge_plan, undecided_cells
from harness.planning.plan import Plan, make_plan, with_more_seeds
from harness.planning.request import Request
from harness.records import RecordsFile
from harness.records.cell_locks import RunningCells
from harness.records.leftovers import remove_leftovers
from harness.records.seals import seal
from harness.records.writing import append, retry_writing
from harness.registry import Registry, load_registry
from harness.running.budget import Budget
from harness.running.engines import EngineFunction, Settings
from harness.running.execute import now, record_of
from harness.running.interrupt import held_back, interruptible
from harness.running.watchers import Watchers
from harness.spec import resolve

if TYPE_CHECKING:
    from rich.console import Console

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A cell that has ended and whose record is on the disk."""

    cell: Cell
    record: Record
    #: Whether it ran here, rather than in another process on the same results folder.
    here: bool = True


def run_suite(request: Request | str, registry: Registry | None = None, console: Console | None = None) -> SuiteResult:
    """Run a suite's cells that have no good record yet, and judge its claims.

    ``request`` may be just the suite's name or file; progress is shown on ``console``.

    Raises UsageError before anything runs where the request is wrong. Ctrl-C once ends after the running cells,
    twice at once; the result then says ``interrupted``. What has finished is recorded either way.
    """
    request = Request(suite=request) if isinstance(request, str) else request
    budget = Budget(request.budget)
    registry = registry or load_registry(request.plugins)
    prepare_engine(request, registry)
    looks = read_suite(request.suite, registry).looks if request.until_decided else (None,)
    plan = check_claims(make_plan(request, registry, looks[0]))
    budget.check_first_look(plan)
    RecordsFile(request.folder).prepare()
    if remove_leftovers(request.folder):
        plan = make_plan(request, registry, looks[0])
    file = RecordsFile(request.folder, plan.read_to)
    begin = time.monotonic()
    ran: list[str] = []
    count = 0
    result: SuiteResult | None = None
    watchers = Watchers(registry, request.watchers, console)
    with interruptible() as stop:
        for look in looks:
            if result is not None and look is not None:
                undecided = undecided_cells(result)
                if not undecided or stop():
                    break
                plan = budget.within(with_more_seeds(plan, look, undecided, ran), result, look, ran)
            if plan.todo:
                plan = replace(plan, seals=seal(request.folder, plan.suite, now()))
            watchers.call("harness_suite_started", run=plan.run)
            records = dict(plan.records)
            look_begin = time.monotonic()
            for finished in _run_plan(plan, file, watchers, stop):
                records[finished.record.id] = finished.record
                count += finished.here
            budget.learn(plan, records, time.monotonic() - look_begin)
            ran += [cell.id for cell in plan.todo]
            seconds = time.monotonic() - begin
            result = replace(judge_plan(plan, records), interrupted=stop(), seconds=seconds, ran=count)
    assert result is not None
    result = replace(result, left_out=budget.left_out(result))
    watchers.call("harness_suite_finished", run=result.plan.run, result=result)
    return result


def prepare_engine(request: Request, registry: Registry) -> None:
    """Let the requested engine start what takes long. Raises UsageError for what it cannot do here."""
    engine = registry.engines[request.engine]
    if request.address is not None and not engine.takes_address:
        others = [name for name, other in registry.engines.items() if other.takes_address]
        takes = f"--engine {' or '.join(others)} takes an address" if others else "no engine takes an address"
        raise ArgumentError("address", request.address, f"the engine {engine.name} is this machine; {takes}")
    if engine.prepare is not None:
        resolve(engine.prepare)(request.devices)


def run_cells(
    cells: Sequence[Cell], file: RecordsFile, registry: Registry, engine: str, settings: Settings
) -> Iterator[Finished]:
    """Run cells through an engine; each record is on disk before it is yielded.

    Cells that another process on the same folder runs or has recorded meanwhile are left to it, and yielded last.
    Raises RecordNotKept where the folder cannot be written.
    """
    run: EngineFunction = resolve(registry.engines[engine].run)
    elsewhere: list[Cell] = []
    with closing(RunningCells(file)) as running:

        def take(cell: Cell) -> Literal["free", "running", "recorded"]:
            state = retry_writing(file, running.take, cell)
            if state == "recorded":
                elsewhere.append(cell)
            return state

        settings = replace(
            settings,
            plugins=registry.extra,
            take=take,
            on_environment=lambda digest, content: retry_writing(file, file.add_environment, digest, content),
            on_items=partial(_write_items, file),
        )
        for cell, record in run(cells, settings):
            with held_back():
                appended = append(file, record)
            if appended:
                running.release(cell.id)
                yield Finished(cell, record)
            else:
                running.release(cell.id)
                elsewhere.append(cell)
    if elsewhere:
        by_id = file.load().by_id
        _log.info("%d of the cells were run by another process on %s meanwhile", len(elsewhere), file.folder)
        unique = {cell.id: cell for cell in elsewhere if cell.id in by_id}
        yield from (Finished(cell, by_id[i], here=False) for i, cell in unique.items())


def engine_settings(request: Request, jobs: int) -> Settings:
    """The engine's settings as a request asks for them."""
    return Settings(
        jobs=jobs,
        slots=tuple(d if ":" in d or d == "cpu" else f"{d}:0" for d in request.devices),
        timeout=request.timeout,
        memory=request.memory,
        retries=request.retries,
        address=request.address,
        on_retry=_log_retry,
    )


def _run_plan(plan: Plan, file: RecordsFile, watchers: Watchers, stop: Callable[[], bool]) -> Iterator[Finished]:
    """Record the cells of a plan that must be skipped, and run those that have to run."""
    run = plan.run
    for cell in plan.cells:
        before = plan.records.get(cell.id)
        if cell.skip and (before is None or before.cause != cell.skip):
            record = record_of(cell, "skipped", cell.skip)
            append(file, record)
            watchers.call("harness_cell_finished", run=run, cell=cell, record=record)
            yield Finished(cell, record, here=False)
    if not plan.todo:
        return
    settings = replace(
        engine_settings(plan.request, plan.worker_count),
        stop=stop,
        on_start=lambda cell: watchers.call("harness_cell_started", run=run, cell=cell),
        on_progress=lambda cell, fraction: watchers.call(
            "harness_cell_progress", run=run, cell=cell, fraction=fraction
        ),
    )
    for finished in run_cells(plan.todo, file, plan.registry, plan.request.engine, settings):
        if finished.here:
            watchers.call("harness_cell_finished", run=run, cell=finished.cell, record=finished.record)
        yield finished


def _write_items(file: RecordsFile, content: bytes) -> None:
    """Write outcomes of items. Where that cannot be done the record is still worth more than nothing."""
    try:
        retry_writing(file, file.add_items, content)
    except RecordNotKept as error:
        what = "a cell's outcomes of test items cannot be written, so nothing is known of other items"
        _log.warning("%s: %s", what, error.__cause__)


def _log_retry(cell: Cell, record: Record) -> None:
    _log.info("%s on %s seed=%d is tried again: %s", cell.method, cell.task, cell.seed, record.cause)
