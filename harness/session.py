"""One run of a suite, from request to verdicts: plan, run what is missing, record, judge, tell the watchers."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from harness.cell import Cell
from harness.engines import EngineFunction, Settings
from harness.errors import ExitCode, RecordNotKept
from harness.execute import record_of
from harness.judge import LOOK_ALPHA, LOOKS, Summary, Verdict, holm_corrected, judge, needed_cells, summarise
from harness.plan import Session, first_seeds, prepare
from harness.records import Record, RecordsFile
from harness.registry import Registry, load_registry
from harness.request import Request, check_devices_exist
from harness.running import RunningCells
from harness.spec import resolve
from harness.watchers import Watchers, tell, watching

#: One-sided error of a verdict; the interval shown covers 1 - 2 * ALPHA.
ALPHA = 0.05
#: Seconds to wait before a record that could not be written is tried again: network file systems have hiccups.
WRITE_AGAIN = (0.2, 0.8, 2.0)

Written = TypeVar("Written")
Take = Callable[[Cell], Literal["ours", "running", "recorded"]]


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What a run of a suite has come to."""

    session: Session
    #: By cell id, for every cell in the session's scope that has one.
    records: Mapping[str, Record]
    summaries: tuple[Summary, ...]
    verdicts: tuple[Verdict, ...]
    interrupted: bool = False
    #: Wall time, and the cells that were run in it.
    seconds: float = 0.0
    ran: int = 0

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


def run_suite(request: Request | str, registry: Registry | None = None, progress: bool = False) -> SuiteResult:
    """Run a suite's cells that have no good record yet, and judge its claims.

    ``request`` may be just the suite's name or file. ``progress`` shows a bar in a notebook or on a terminal.

    Raises UsageError before anything runs where the request is wrong. Ctrl-C once ends after the running cells,
    twice at once; the result then says ``interrupted``. What has finished is recorded either way.
    """
    request = Request(suite=request) if isinstance(request, str) else request
    if progress:
        from rich.console import Console

        from harness.progress import ProgressWatcher

        request = replace(request, watchers=(*request.watchers, ProgressWatcher(Console(stderr=True))))
    registry = registry or load_registry(request.plugins)
    if request.engine == "local":
        check_devices_exist(request.devices)
    looks = LOOKS if request.until_decided else (None,)
    session = prepare(request, registry, seeds=looks[0])
    file = RecordsFile(request.folder, session.read_to)
    file.prepare()
    begin = time.monotonic()
    ran: list[str] = []
    count = 0
    result: SuiteResult | None = None
    with watching(registry, request.watchers) as watchers, _interruptible() as stop:
        for look in looks:
            if result is not None:
                undecided = _undecided(result)
                if not undecided or stop():
                    break
                session = prepare(request, registry, look, undecided, ran)
            watchers.call("harness_suite_started", session=session)
            records = dict(session.records)
            for record, ours in _run(session, file, watchers, stop):
                records[record.id] = record
                count += ours
            ran += [cell.id for cell in session.todo]
            result = judged(session, records, stop(), time.monotonic() - begin, count)
        assert result is not None
        watchers.call("harness_suite_finished", session=result.session, result=result)
    return result


def judged(
    session: Session, records: Mapping[str, Record], interrupted: bool = False, seconds: float = 0.0, ran: int = 0
) -> SuiteResult:
    """Estimates and verdicts from the records of a session's cells."""
    own = {cell.id: records[cell.id] for cell in session.scope if cell.id in records}
    if session.request.until_decided:
        verdicts = _at_looks(session, records)
    else:
        verdicts = judge(session.suite.claims, session.scope, own, session.registry.tasks, ALPHA)
    return SuiteResult(
        session=session,
        records=own,
        summaries=summarise(session.scope, own),
        verdicts=verdicts,
        interrupted=interrupted,
        seconds=seconds,
        ran=ran,
    )


def _at_looks(session: Session, records: Mapping[str, Record]) -> tuple[Verdict, ...]:
    """What each claim came to at the planned look that decided it, or else at the last one that was made."""
    claims, tasks = session.suite.claims, session.registry.tasks
    found: dict[tuple[str, str], Verdict] = {}
    for look in LOOKS:
        for verdict in judge(claims, first_seeds(session.scope, look), records, tasks, LOOK_ALPHA):
            before = found.setdefault((verdict.claim, verdict.device), verdict)
            if before.verdict == "inconclusive" and verdict.verdict != "not-run":
                found[verdict.claim, verdict.device] = verdict
    return holm_corrected(list(found.values()), claims)


def _undecided(result: SuiteResult) -> set[str]:
    """Ids of the cells that inconclusive claims rest on, on the device where they are so."""
    session = result.session
    return {
        cell.id
        for verdict in result.verdicts
        if verdict.verdict == "inconclusive"
        for needed in [needed_cells(session.suite.claims[verdict.claim], session.scope)]
        for cell in session.scope
        if cell.id in needed and cell.device == verdict.device
    }


def _run(
    session: Session, file: RecordsFile, watchers: Watchers, stop: Callable[[], bool]
) -> Iterator[tuple[Record, bool]]:
    """Run a session's cells; each record is on disk before anybody is told of it. Says which ones ran here."""
    for cell in session.cells:
        before = session.records.get(cell.id)
        if cell.skip and (before is None or before.cause != cell.skip):
            record = record_of(cell, "skipped", cell.skip)
            file.append(record)
            watchers.call("harness_cell_finished", session=session, cell=cell, record=record)
            yield record, False
    if not session.todo:
        return
    engine: EngineFunction = resolve(session.registry.engines[session.request.engine].run)
    taken_over: list[str] = []
    with closing(RunningCells(file)) as running:

        def take(cell: Cell) -> Literal["ours", "running", "recorded"]:
            if (whose := _kept(file, None, lambda: running.take(cell))) == "recorded":
                taken_over.append(cell.id)
            return whose

        for cell, record in engine(session.todo, _settings(session, file, watchers, stop, take)):
            mine = _kept(file, record, lambda: file.append(record))  # noqa: B023  called at once
            running.release(cell.id)
            if mine:
                watchers.call("harness_cell_finished", session=session, cell=cell, record=record)
                yield record, True
            else:
                taken_over.append(cell.id)
    if taken_over:
        found = file.load().by_id
        tell(f"{len(taken_over)} of the cells were run by another process on {file.folder} meanwhile")
        yield from ((found[i], False) for i in dict.fromkeys(taken_over) if i in found)


def _settings(
    session: Session, file: RecordsFile, watchers: Watchers, stop: Callable[[], bool], take: Take
) -> Settings:
    """What the engine needs, from what was asked for."""
    request = session.request

    def on_retry(cell: Cell, record: Record) -> None:
        tell(f"{cell.method} on {cell.task} seed={cell.seed} is tried again: {record.cause}")

    return Settings(
        jobs=session.worker_count,
        slots=tuple(d if ":" in d or d == "cpu" else f"{d}:0" for d in request.devices),
        timeout=request.timeout,
        memory=request.memory,
        retries=request.retries,
        address=request.address,
        plugins=session.registry.extra,
        on_start=lambda cell: watchers.call("harness_cell_started", session=session, cell=cell),
        on_progress=lambda cell, fraction: watchers.call(
            "harness_cell_progress", session=session, cell=cell, fraction=fraction
        ),
        on_environment=lambda digest, found: _kept(file, None, lambda: file.add_environment(digest, found)),
        on_retry=on_retry,
        take=take,
        stop=stop,
    )


def _kept(file: RecordsFile, record: Record | None, write: Callable[[], Written]) -> Written:
    """Write to the results folder, trying again for a while; a record that does not fit there is kept elsewhere.

    Raises RecordNotKept with the place where the record is.
    """
    for wait in (*WRITE_AGAIN, None):
        try:
            return write()
        except OSError as error:
            if wait is None:
                raise RecordNotKept(f"{file.folder} cannot be written: {error.strerror}; {_rescued(record)}") from None
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _rescued(record: Record | None) -> str:
    """Keep a record in a temporary file, and say how it comes home."""
    again = "mend that and run the same command again: it goes on from what is recorded"
    if record is None:
        return again
    try:
        handle, path = tempfile.mkstemp(prefix="harness-rescued-", suffix=".jsonl")
        with os.fdopen(handle, "w") as stream:
            stream.write(record.to_line() + "\n")
    except OSError:
        return f"the record of the cell that had just ended is lost; {again}"
    return f"{again}; 'harness records merge {path}' brings in the record of the cell that had just ended"


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
        tell("\nstopping after the cells that run; Ctrl-C again stops at once")

    try:
        before = signal.signal(signal.SIGINT, on_signal)
    except ValueError:
        yield lambda: False
        return
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
