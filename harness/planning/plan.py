"""The plan of a run: a suite's cells, and which of them have to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cell import Cell, Record, SuiteRun
from harness.errors import UsageError
from harness.files.claims import claims_of
from harness.files.suite import Suite, read_suite
from harness.planning.cross import cells_of, tunings_of
from harness.planning.estimate import PastSeconds
from harness.planning.request import Request
from harness.planning.selection import select
from harness.planning.setting import key_of
from harness.planning.tuning import Tuning
from harness.records import Loaded, RecordsFile
from harness.records.seals import Seal, read_seals, seal_warnings
from harness.registry import Registry

#: Statuses that keep their record without and with ``--retry-failed``. Cells without such a record run.
_FINAL = frozenset({"done", "failed", "timeout", "crashed"})
_FINAL_IF_RETRIED = frozenset({"done"})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is going to run, and what is known before."""

    suite: Suite
    registry: Registry
    request: Request
    #: Every cell of the suite on these devices.
    scope: tuple[Cell, ...]
    #: The cells asked for, after ``--only``.
    cells: tuple[Cell, ...]
    #: Those of them that will run now; the others have a record or must be skipped.
    todo: tuple[Cell, ...]
    #: Records from before, by cell id.
    records: Mapping[str, Record]
    results: Path
    #: How settings are tuned; the cells above are their trials.
    tunings: tuple[Tuning, ...] = ()
    #: Of the results folder.
    seals: tuple[Seal, ...] = ()
    #: About the records file: damaged lines and the like.
    warnings: tuple[str, ...] = ()
    #: How far the records file was read, in bytes.
    read_to: int = 0

    @property
    def worker_count(self) -> int:
        """Worker processes for the CPU: as requested or one a core, and no more than the suite allows."""
        return min(self.request.worker_count, self.suite.jobs or self.request.worker_count)

    @property
    def workers(self) -> dict[str, int]:
        """How many cells run at once on each device kind: a GPU has one worker."""
        devices = Counter(device.partition(":")[0] for device in self.request.devices)
        return {kind: self.worker_count if kind == "cpu" else count for kind, count in devices.items()}

    def estimate(self, jobs: int) -> float | None:
        """Seconds the cells to run will take, from past records of similar ones; None where there are none."""
        total = PastSeconds(self.records.values()).total(self.todo) if self.todo else None
        return None if total is None else total / jobs

    @property
    def run(self) -> SuiteRun:
        """The plan as watchers see it."""
        tasks = {name: self.registry.tasks[name] for name in dict.fromkeys(cell.task for cell in self.scope)}
        names = dict.fromkeys(name for task in tasks.values() for name in task.datasets)
        return SuiteRun(
            suite=self.suite.name,
            title=self.suite.title,
            results=self.results,
            cells=self.scope,
            selected=self.cells,
            todo=self.todo,
            records=self.records,
            tasks=tasks,
            datasets={name: self.registry.datasets[name] for name in names if name in self.registry.datasets},
            claims=tuple(self.suite.claims),
        )


def make_plan(request: Request, registry: Registry, seeds: int | None = None, loaded: Loaded | None = None) -> Plan:
    """Read the suite, cross it, and set apart the cells that have to run.

    ``seeds`` replaces the request's number of seeds; ``loaded`` are the folder's records where they have been read.

    A cell with a good record does not run again unless the request is ``fresh``. One that failed, crashed or ran out of
    time or memory by its own fault keeps that result unless ``retry_failed``. One whose worker was lost runs again.
    Raises UsageError and its kinds for what is wrong with the request or the suite.
    """
    suite = read_suite(request.suite, registry)
    scope = tuple(cells_of(suite, registry, request.kinds, request.seeds if seeds is None else seeds))
    if not scope:
        raise UsageError(f"{suite.path}: the suite has no cells")
    cells = tuple(select(scope, request.only)) if request.only else scope
    loaded = loaded or RecordsFile(request.folder).load()
    plan = Plan(
        suite=suite,
        registry=registry,
        request=request,
        scope=scope,
        cells=cells,
        todo=(),
        records=loaded.by_id,
        results=request.folder,
        tunings=tunings_of(suite, registry, request.kinds),
        seals=read_seals(request.folder),
        warnings=(*loaded.warnings, *seal_warnings(request.folder), *claims_of(registry).problems),
        read_to=loaded.size,
    )
    return replace(plan, todo=_todo(plan))


def with_more_seeds(plan: Plan, seeds: int, undecided: Collection[str], ran: Collection[str]) -> Plan:
    """The same plan with more seeds for the settings of the cells in ``undecided``.

    Settings that are left out keep the cells that have a record. ``ran`` are cells that do not run once more.
    """
    more = make_plan(plan.request, plan.registry, seeds)
    return with_settings(more, {key_of(cell) for cell in more.scope if cell.id in undecided}, ran)


def with_settings(plan: Plan, settings: Collection[str], ran: Collection[str]) -> Plan:
    """The plan with the cells of these settings, by their keys, and those that have a record."""
    cells = tuple(cell for cell in plan.cells if key_of(cell) in settings or cell.id in plan.records)
    plan = replace(plan, cells=cells)
    return replace(plan, todo=_todo(plan, ran))


def _todo(plan: Plan, ran: Collection[str] = ()) -> tuple[Cell, ...]:
    """The cells that have to run, seed by seed: a machine that slows down then slows all methods alike."""
    request = plan.request
    final = frozenset() if request.fresh else _FINAL_IF_RETRIED if request.retry_failed else _FINAL
    finished = {i for i, record in plan.records.items() if record.status in final and not record.lost} | set(ran)
    todo = (cell for cell in plan.cells if cell.skip is None and cell.id not in finished)
    return tuple(sorted(todo, key=lambda cell: cell.seed))
