"""The plan of a run: a suite's cells, which of them have to run, and how long that will probably take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from harness.cell import Cell
from harness.errors import UsageError
from harness.judge import judge
from harness.records import Loaded, Record, RecordsFile
from harness.registry import Registry
from harness.request import Request
from harness.suite import Suite, cells_of, read_suite, select


@dataclass(frozen=True, kw_only=True)
class Session:
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
    #: About the records file: damaged lines and the like.
    warnings: tuple[str, ...] = ()
    #: How far the records file was read, in bytes.
    read_to: int = 0

    @property
    def worker_count(self) -> int:
        """Worker processes for the CPU: as asked for or one a core, and no more than the suite allows."""
        return min(self.request.worker_count, self.suite.jobs or self.request.worker_count)

    def estimate(self, jobs: int) -> float | None:
        """Seconds the cells to run will take, from past records of similar ones; None where there are none."""
        total = PastSeconds(self.records.values()).total(self.todo)
        return None if total is None else total / jobs


def prepare(
    request: Request,
    registry: Registry,
    seeds: int | None = None,
    among: Collection[str] | None = None,
    ran: Collection[str] = (),
    loaded: Loaded | None = None,
) -> Session:
    """Read the suite, cross it, check its claims against it, and set apart the cells that have to run.

    ``seeds`` is how many, where not as the request or the suite says; ``among`` restricts what runs to the
    settings of these cells, whatever their seeds (what has a record stays in view); ``ran`` are cells that have
    had their turn already; ``loaded`` are the folder's records where they have been read.

    With a good record a cell is not run again unless the request is ``fresh``; one whose own code failed, crashed or
    ran out of time or memory keeps that result unless ``retry_failed``; one that was lost with its worker is tried
    again.
    """
    suite = read_suite(request.suite, registry)
    scope = tuple(cells_of(suite, registry, request.kinds, request.seeds if seeds is None else seeds))
    if not scope:
        raise UsageError(f"{suite.path}: the suite stands for no cell")
    # With no records at all this finds claims that ask for a metric or an option which does not exist.
    judge(suite.claims, scope, {}, registry.tasks)
    cells = tuple(select(scope, request.only)) if request.only else scope
    loaded = loaded or RecordsFile(request.folder).load()
    if among is not None:
        settings = {_setting(cell) for cell in scope if cell.id in among}
        cells = tuple(cell for cell in cells if _setting(cell) in settings or cell.id in loaded.by_id)
    keep = {"done"} if request.retry_failed else {"done", "failed", "timeout", "crashed"}
    if request.fresh:
        keep = set()
    kept = {i for i, r in loaded.by_id.items() if r.status in keep and not r.lost} | set(ran)
    return Session(
        suite=suite,
        registry=registry,
        request=request,
        scope=scope,
        cells=cells,
        # Seed by seed, so that a machine that slows down slows all methods alike, and every setting is seen early.
        todo=tuple(sorted((c for c in cells if c.skip is None and c.id not in kept), key=lambda c: c.seed)),
        records=loaded.by_id,
        results=request.folder,
        warnings=(*loaded.warnings, *registry.claim_problems),
        read_to=loaded.size,
    )


def first_seeds(cells: Iterable[Cell], count: int) -> list[Cell]:
    """The cells of the first so many seeds of each setting."""
    seen: dict[str, int] = {}
    kept = []
    for cell in cells:
        setting = _setting(cell)
        seen[setting] = seen.get(setting, 0) + 1
        if seen[setting] <= count:
            kept.append(cell)
    return kept


def _setting(cell: Cell) -> str:
    """What stands for a cell regardless of its seed."""
    return replace(cell, seed=0).id


class PastSeconds:
    """What cells take, by past ones: of the same method and setting, else of the same setting, else of the task."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._known: dict[object, list[float]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learn from a record."""
        if record.good:
            for key in self._keys(record):
                self._known.setdefault(key, []).append(record.seconds)

    def of(self, cell: Cell) -> float | None:
        """What the cell will probably take, or None where nothing like it is known."""
        return next((median(self._known[k]) for k in self._keys(cell) if k in self._known), None)

    def total(self, cells: Collection[Cell]) -> float | None:
        """What all these cells will probably take together; None where nothing is known of any.

        One that nothing is known of counts as much as the others do on average.
        """
        settings = Counter(next(iter(self._keys(cell))) for cell in cells)
        example = {next(iter(self._keys(cell))): cell for cell in cells}
        found = [(count, self.of(example[key])) for key, count in settings.items()]
        known = [(count, seconds) for count, seconds in found if seconds is not None]
        if not known:
            return None
        mean = sum(count * seconds for count, seconds in known) / sum(count for count, _ in known)
        return mean * sum(settings.values())

    @staticmethod
    def _keys(item: Cell | Record) -> Iterator[object]:
        options = tuple(sorted(item.options.items()))
        yield item.method, item.task, item.device, item.dtype, options
        yield item.task, item.device, options
        yield item.task, item.device
