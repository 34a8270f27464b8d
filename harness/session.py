"""One run of a suite, from its file to its verdicts: plan, run what is missing, record, judge, tell the watchers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.engines import Settings
from harness.errors import ExitCode, UnknownName, UsageError
from harness.execute import record_of
from harness.judge import LOOK_ALPHA, LOOKS, Summary, Verdict, judge, needed_cells, summarise
from harness.provenance import usable_cores
from harness.records import Record, RecordsFile
from harness.registry import Registry, load_registry
from harness.spec import DEVICE_KINDS, Cell, resolve
from harness.suite import Suite, cells_of, read_suite, select

if TYPE_CHECKING:
    import pluggy

#: One-sided error of a verdict; the interval shown covers 1 - 2 * ALPHA.
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Session:
    """What is going to run, and what is known before."""

    suite: Suite
    registry: Registry
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

    def estimate(self, jobs: int) -> float | None:
        """Seconds the cells to run will take, from past records of similar ones; None where there are none."""
        past = _PastSeconds(self.records.values())
        known = [s for cell in self.todo if (s := past.of(cell)) is not None]
        return sum(known) / len(known) * len(self.todo) / jobs if known else None


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What a run of a suite has come to."""

    session: Session
    #: By cell id, for every cell in the session's scope that has one.
    records: Mapping[str, Record]
    summaries: tuple[Summary, ...]
    verdicts: tuple[Verdict, ...]
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def failures(self) -> list[Record]:
        """Records of the asked-for cells that did not end well, skipped ones aside."""
        found = (self.records.get(cell.id) for cell in self.session.cells)
        return [r for r in found if r is not None and r.status not in ("done", "skipped")]

    @property
    def exit_code(self) -> ExitCode:
        """How the command should end."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.CELLS_FAILED if self.failures else ExitCode.OK


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asked for, as the command line's flags say it."""

    suite: str
    devices: tuple[str, ...] = ("cpu",)
    seeds: int | None = None
    only: tuple[str, ...] = ()
    jobs: int | None = None
    timeout: float | None = None
    engine: str = "local"
    fresh: bool = False
    retry_failed: bool = False
    until_decided: bool = False
    results: Path | None = None
    plugins: tuple[str, ...] = ()
    #: Plugin objects with life-cycle hooks beside the registered ones.
    watchers: tuple[object, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.fresh and self.retry_failed:
            raise UsageError("--fresh and --retry-failed contradict each other: fresh runs every cell again")
        if self.until_decided and self.seeds is not None:
            raise UsageError(f"--until-decided and --seeds contradict each other: it looks at {LOOKS} seeds itself")
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"--jobs {self.jobs}: at least 1 is needed")
        if self.seeds is not None and self.seeds < 1:
            raise UsageError(f"--seeds {self.seeds}: at least 1 is needed")
        for device in self.devices:
            check_device(device)

    @property
    def folder(self) -> Path:
        """The results folder: asked for, $HARNESS_RESULTS, or ./results."""
        return results_folder(self.results)

    @property
    def worker_count(self) -> int:
        """Worker processes for the CPU: asked for, or one for each core this process may use."""
        return self.jobs or usable_cores()


def run_suite(request: Request, registry: Registry | None = None) -> SuiteResult:
    """Run a suite's cells that have no good record yet, and judge its claims.

    Raises UsageError before anything runs where the request is wrong. Ctrl-C once ends after the running cells,
    twice at once; the result then says ``interrupted``. What has finished is recorded either way.
    """
    registry = registry or load_registry(request.plugins)
    check_devices_exist(request.devices)
    looks = LOOKS if request.until_decided else (request.seeds,)
    alpha = LOOK_ALPHA if request.until_decided else ALPHA
    file = RecordsFile(request.folder)
    file.prepare()
    begin = time.monotonic()
    result: SuiteResult | None = None
    watchers = Watchers(registry, request.watchers)
    undecided: set[str] | None = None
    with _interruptible() as stop:
        for look in looks:
            session = prepare(request, registry, seeds=look, among=undecided)
            if undecided is not None and not session.todo:
                break
            watchers.call("harness_suite_started", session=session)
            records = dict(session.records)
            for record in _run(session, request, file, watchers, stop):
                records[record.id] = record
            result = judged(session, records, alpha, stop(), time.monotonic() - begin)
            open_ids = {v.claim for v in result.verdicts if v.verdict == "inconclusive"}
            undecided = {i for c in open_ids for i in needed_cells(session.suite.claims[c], session.scope)}
            if stop() or not open_ids:
                break
    assert result is not None
    watchers.call("harness_suite_finished", session=result.session, result=result)
    return result


def prepare(request: Request, registry: Registry, seeds: int | None = None, among: set[str] | None = None) -> Session:
    """Read the suite, cross it, and set apart the cells that have to run.

    ``among`` restricts what runs to settings that these cell ids (of fewer seeds) stand for. With a good record
    a cell is not run again unless ``fresh``; one whose own code failed or that ran out of time keeps that
    result unless ``retry_failed``; one that crashed with its worker is always tried again.
    """
    suite = read_suite(request.suite, registry)
    kinds = tuple(dict.fromkeys(device.partition(":")[0] for device in request.devices))
    scope = tuple(cells_of(suite, registry, kinds, request.seeds if seeds is None else seeds))
    cells = tuple(select(scope, request.only)) if request.only else scope
    if not cells:
        raise UsageError(f"{suite.path}: the suite stands for no cell")
    if among is not None:
        settings = {_setting(cell) for cell in scope if cell.id in among}
        cells = tuple(cell for cell in cells if _setting(cell) in settings)
    loaded = RecordsFile(request.folder).load()
    keep = {"done"} if request.retry_failed else {"done", "failed", "timeout"}
    if request.fresh:
        keep = set()
    todo = [
        cell
        for cell in cells
        if cell.skip is None and not ((record := loaded.by_id.get(cell.id)) is not None and record.status in keep)
    ]
    return Session(
        suite=suite,
        registry=registry,
        scope=scope,
        cells=cells,
        todo=tuple(todo),
        records=loaded.by_id,
        results=request.folder,
        warnings=loaded.warnings,
    )


def judged(
    session: Session,
    records: Mapping[str, Record],
    alpha: float,
    interrupted: bool = False,
    seconds: float = 0.0,
) -> SuiteResult:
    """Estimates and verdicts from the records of a session's cells."""
    own = {cell.id: records[cell.id] for cell in session.scope if cell.id in records}
    return SuiteResult(
        session=session,
        records=own,
        summaries=summarise(session.scope, own),
        verdicts=judge(session.suite.claims, session.scope, own, session.registry.tasks, alpha),
        interrupted=interrupted,
        seconds=seconds,
    )


def results_folder(asked: Path | None = None) -> Path:
    """The results folder: the one asked for, else $HARNESS_RESULTS, else ./results."""
    return asked or Path(os.environ.get("HARNESS_RESULTS") or "results")


def check_device(device: str) -> None:
    """Raise UsageError unless ``device`` is a kind, or a kind and a number: cpu, cuda, cuda:1."""
    kind, colon, index = device.partition(":")
    if kind not in DEVICE_KINDS:
        raise UnknownName("device", device, DEVICE_KINDS, where="--device")
    if colon and (kind == "cpu" or not index.isdecimal()):
        raise UsageError(f"--device {device}: a number is needed after the colon, as in cuda:0, and none for cpu")


def check_devices_exist(devices: Sequence[str]) -> None:
    """Raise UsageError for a device that this machine does not have.

    torch is imported here only where something else than the CPU is asked for, and no context is made.
    """
    for device in devices:
        kind, _, index = device.partition(":")
        if kind == "cpu":
            continue
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
        import torch

        backend = getattr(torch, kind)
        count = backend.device_count() if backend.is_available() else 0
        if count <= int(index or 0):
            have = f"torch {torch.__version__} sees {count} {kind} device{'' if count == 1 else 's'} here"
            raise UsageError(f"--device {device}: {have}; 'harness doctor' says what there is")


class Watchers:
    """Calls the life-cycle hooks. A watcher that raises costs a warning, never a result."""

    def __init__(self, registry: Registry, more: Sequence[object]) -> None:
        self._manager: pluggy.PluginManager = registry.manager
        self._more = [watcher for watcher in more if not self._manager.is_registered(watcher)]
        for watcher in self._more:
            self._manager.register(watcher)
        self._muted: set[tuple[str, str]] = set()

    def call(self, hook: str, **arguments: Any) -> None:
        """Call every implementation of a hook, each on its own."""
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            name = implementation.plugin_name
            try:
                implementation.function(*(arguments[a] for a in implementation.argnames))
            except Exception as error:  # noqa: BLE001  whatever a watcher does wrong, the cells go on
                if (name, hook) not in self._muted:
                    self._muted.add((name, hook))
                    _tell(f"warning: {name} failed in {hook}: {type(error).__name__}: {error}")
        if hook == "harness_suite_finished":
            for watcher in self._more:
                self._manager.unregister(watcher)


def _run(
    session: Session, request: Request, file: RecordsFile, watchers: Watchers, stop: Callable[[], bool]
) -> Iterator[Record]:
    """Run a session's cells; each record is on disk before anybody is told of it."""
    for cell in session.cells:
        before = session.records.get(cell.id)
        if cell.skip and (before is None or before.cause != cell.skip):
            record = record_of(cell, "skipped", cell.skip)
            file.append(record)
            watchers.call("harness_cell_finished", session=session, cell=cell, record=record)
            yield record
    if not session.todo:
        return
    engine = resolve(session.registry.engine(request.engine).run)
    settings = Settings(
        jobs=request.worker_count,
        slots=tuple(d if ":" in d or d == "cpu" else f"{d}:0" for d in request.devices),
        timeout=request.timeout,
        plugins=session.registry.extra,
        on_start=lambda cell: watchers.call("harness_cell_started", session=session, cell=cell),
        on_progress=lambda cell, fraction: watchers.call(
            "harness_cell_progress", session=session, cell=cell, fraction=fraction
        ),
        on_environment=file.add_environment,
        stop=stop,
    )
    for cell, record in engine(session.todo, settings):
        file.append(record)
        watchers.call("harness_cell_finished", session=session, cell=cell, record=record)
        yield record


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed. A second Ctrl-C raises KeyboardInterrupt.

    Outside the main thread, where signals cannot be handled, Ctrl-C keeps its usual meaning.
    """
    pressed = False

    def on_signal(number: int, frame: object) -> None:  # noqa: ARG001  the signature is signal's
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        _tell("\nstopping after the cells that run; Ctrl-C again stops at once")

    try:
        before = signal.signal(signal.SIGINT, on_signal)
    except ValueError:
        yield lambda: False
        return
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  there may be no console: the harness is a library too


def _setting(cell: Cell) -> str:
    """What stands for a cell regardless of its seed."""
    return replace(cell, seed=0).id


class _PastSeconds:
    """Median seconds of past cells: of the same method and setting, else of the same task and setting, else task."""

    def __init__(self, records: Any) -> None:
        self._known: dict[object, list[float]] = {}
        for record in records:
            if record.good:
                for key in self._keys(record):
                    self._known.setdefault(key, []).append(record.seconds)

    @staticmethod
    def _keys(item: Cell | Record) -> Iterator[object]:
        options = tuple(sorted(item.options.items()))
        yield item.method, item.task, item.device, options
        yield item.task, item.device, options
        yield item.task, item.device

    def of(self, cell: Cell) -> float | None:
        """What the cell will probably take, or None."""
        found = chain.from_iterable([self._known[k]] for k in self._keys(cell) if k in self._known)
        return next((median(seconds) for seconds in found), None)
