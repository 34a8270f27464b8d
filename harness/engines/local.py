"""The local engine: worker processes on this machine, one per device slot.

Workers are forked from a server that has imported torch once, so that replacing one takes milliseconds, and the
parent itself never touches torch or CUDA. A crash or a time-out costs the one cell that ran there.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

from harness.engines import Settings
from harness.engines.worker import main, tail
from harness.errors import HarnessError
from harness.execute import now, record_of
from harness.provenance import WORKER_ENVIRONMENT
from harness.records import Record
from harness.spec import Cell

#: Seconds a worker gets to load its plugins before it counts as broken.
START_LIMIT = 300.0


def warm_up() -> None:
    """Start the server that workers are forked from. Returns at once; torch is imported there meanwhile."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    # The server starts with "python -c", which would let a random.py in the working directory shadow Python's own.
    settings = {**WORKER_ENVIRONMENT, "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        forkserver.set_forkserver_preload(["harness.engines.preload"])
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run(cells: Sequence[Cell], settings: Settings) -> Iterator[tuple[Cell, Record]]:
    """Run the cells on this machine's slots; see ``harness.engines``."""
    warm_up()
    folder = Path(tempfile.mkdtemp(prefix="harness-"))
    pool = _Pool(settings, folder)
    try:
        yield from pool.serve(cells)
    finally:
        pool.close()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Worker:
    """A worker process, and the cell it runs if any."""

    slot: str
    process: BaseProcess
    pipe: Connection
    output: Path
    ready: bool = False
    cell: Cell | None = None
    started: str = ""
    since: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Kill it and whatever it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # It leads its own group from its first moment on; before that there is only itself to kill.
            os.killpg(self.process.pid or 0, signal.SIGKILL) if self.ready else self.process.kill()
        self.process.join()
        self.pipe.close()


class _Pool:
    """The workers of one run: hands out cells, collects records, replaces what died."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.workers: list[_Worker] = []
        self.queues: dict[str, deque[Cell]] = {}
        self.environments: set[str] = set()
        self.started = 0
        start = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self.context: BaseContext = multiprocessing.get_context(start)

    def serve(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Record]]:
        """Yield a record for every cell, or for those that ran before the stop."""
        for cell in cells:
            self.queues.setdefault(cell.device, deque()).append(cell)
        while True:
            if self.settings.stop():
                self.queues.clear()
            self._staff()
            for worker in self.workers:
                self._hand_out(worker)
            if not self.workers:
                return
            waiting = [w.pipe for w in self.workers]
            for ready in wait(waiting, timeout=0.1):
                worker = next(w for w in self.workers if w.pipe is ready)
                yield from self._listen(worker)
            yield from self._overdue()

    def _staff(self) -> None:
        """Start workers where cells wait for a free slot, and let those go that have nothing to do."""
        for worker in [w for w in self.workers if w.ready and w.cell is None]:
            if not self.queues.get(_kind(worker.slot)):
                self._dismiss(worker)
        for kind, queue in self.queues.items():
            slots = [s for s in self.settings.slots if _kind(s) == kind]
            capacity = slots * self.settings.jobs if kind == "cpu" else slots
            for worker in self.workers:
                if worker.slot in capacity:
                    capacity.remove(worker.slot)
            unserved = len(queue) - sum(w.cell is None and _kind(w.slot) == kind for w in self.workers)
            for slot in capacity[: max(0, unserved)]:
                self._hire(slot)

    def _hire(self, slot: str) -> None:
        self.started += 1
        output = self.folder / f"worker-{self.started}.out"
        ours, theirs = self.context.Pipe()
        arguments = (theirs, self.settings.plugins, slot, str(output), dict(os.environ))
        process = self.context.Process(target=main, args=arguments, daemon=True)  # type: ignore[attr-defined]
        with _no_main_module():
            process.start()
        theirs.close()
        self.workers.append(_Worker(slot, process, ours, output))

    def _dismiss(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.end()
        worker.output.unlink(missing_ok=True)

    def _hand_out(self, worker: _Worker) -> None:
        queue = self.queues.get(_kind(worker.slot))
        if worker.ready and worker.cell is None and queue:
            worker.cell, worker.started, worker.since = queue.popleft(), now(), time.monotonic()
            # A worker that died while idle is noticed when it is listened to; the cell is then lost with it.
            with contextlib.suppress(BrokenPipeError):
                worker.pipe.send(worker.cell)
            self.settings.on_start(worker.cell)

    def _listen(self, worker: _Worker) -> Iterator[tuple[Cell, Record]]:
        """Act on one message of a worker, or on its death."""
        try:
            message = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            yield from self._died(worker)
            return
        match message:
            case ("progress", fraction) if worker.cell:
                self.settings.on_progress(worker.cell, fraction)
            case ("record", record) if worker.cell:
                cell, worker.cell = worker.cell, None
                yield cell, replace(record, output=tail(worker.output))
            case ("ready", digest, environment):
                worker.ready = True
                if digest not in self.environments:
                    self.environments.add(digest)
                    self.settings.on_environment(digest, environment)
            case ("broken", reason):
                raise HarnessError(f"a worker for {worker.slot} cannot start: {reason}")

    def _died(self, worker: _Worker) -> Iterator[tuple[Cell, Record]]:
        worker.process.join()
        output, code, cell = tail(worker.output), worker.process.exitcode, worker.cell
        self._dismiss(worker)
        if not worker.ready:
            raise HarnessError(f"a worker for {worker.slot} ended as it started, {_exit(code)}: {output[-300:]}")
        if cell:
            yield cell, self._lost(worker, "crashed", f"its worker process ended: {_exit(code)}", output)

    def _overdue(self) -> Iterator[tuple[Cell, Record]]:
        limit = self.settings.timeout
        for worker in list(self.workers):
            age = time.monotonic() - worker.since
            if not worker.ready and age > START_LIMIT:
                raise HarnessError(f"a worker for {worker.slot} did not start within {START_LIMIT:.0f} s")
            if worker.cell and limit is not None and age > limit:
                output = tail(worker.output)
                self._dismiss(worker)
                yield (
                    worker.cell,
                    self._lost(worker, "timeout", f"it ran past its limit of {limit:g} s", output),
                )

    def _lost(self, worker: _Worker, status: str, cause: str, output: str) -> Record:
        assert worker.cell is not None
        seconds = time.monotonic() - worker.since
        return record_of(
            worker.cell,
            status,  # type: ignore[arg-type]
            cause,
            seconds=seconds,
            output=output,
            started=worker.started,
        )

    def close(self) -> None:
        """End every worker."""
        for worker in self.workers:
            worker.end()
        self.workers.clear()


def _kind(slot: str) -> str:
    return slot.partition(":")[0]


def _exit(code: int | None) -> str:
    """An exit status in words.

    >>> _exit(-11), _exit(3)
    ('killed by SIGSEGV', 'exit status 3')
    """
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Hide the program's main module while a worker starts.

    multiprocessing would import it again in the worker; a script that calls the harness without a
    ``__name__`` guard would then run itself without end.
    """
    real = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real
