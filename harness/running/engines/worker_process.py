"""A worker process as its parent sees it: spawned, given one cell after another, watched, and killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import ModuleType

from harness.cell import Cell
from harness.running.engines import Settings
from harness.running.engines.worker import main
from harness.running.execute import now
from harness.running.memory import descendants, held, kernel_kills

#: Characters of a cell's output that its record keeps.
TAIL = 4000
#: Bytes of output on disk past which all but the tail is thrown away.
FLOOD = 16_000_000
#: Signals that come from outside: a person, a scheduler, the end of a session. Others a process brings on itself.
OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
#: What multiprocessing says of a process whose fork server is gone.
SERVER_GONE = 255


@dataclass(frozen=True)
class Ending:
    """Why a process ended."""

    #: In words.
    reason: str
    #: Whether that came from outside: a person, a scheduler, the end of a session.
    from_outside: bool = False
    out_of_memory: bool = False


def ending(exit_code: int | None, kernel_kills_before: int) -> Ending:
    """Why a worker process ended, by its exit code and by what the kernel has killed since it began."""
    if exit_code == SERVER_GONE:
        return Ending("its worker was lost with the server that workers come from", from_outside=True)
    if exit_code is None or exit_code >= 0:
        return Ending(f"its worker process ended with exit status {exit_code}")
    number = signal.Signals(-exit_code)
    if number == signal.SIGKILL and kernel_kills() > kernel_kills_before:
        reason = "out of memory: the kernel ended its worker (--memory sets a limit to each cell)"
        return Ending(reason, out_of_memory=True)
    outside = number in OUTSIDE
    return Ending(f"its worker process was killed by {number.name}{' from outside' if outside else ''}", outside)


@dataclass(eq=False)
class WorkerProcess:
    """One worker process on one slot, and the cell it runs if any."""

    slot: str
    process: BaseProcess
    pipe: Connection
    #: Everything the worker prints, until its file is unlinked; it lives on as an open file.
    output: int
    output_path: str
    ready: bool = False
    cell: Cell | None = None
    started: str = ""
    since: float = field(default_factory=time.monotonic)
    #: The kernel's count of processes it ended for want of memory, and bytes held, when the cell began.
    kills: int = 0
    base: int = 0
    _saved: str = ""
    _flooded: int = 0

    @property
    def kind(self) -> str:
        """The kind of its device."""
        return self.slot.partition(":")[0]

    def seconds(self) -> float:
        """How long it has run its cell, or been starting."""
        return time.monotonic() - self.since

    def started_up(self) -> None:
        """Mark it as ready, and unlink its output file, which lives on as an open file."""
        self.ready = True
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.output_path)  # noqa: PTH108  a plain path, made by tempfile

    def give(self, cell: Cell) -> None:
        """Give it a cell. A worker that died while idle is noticed when its pipe is read."""
        self.cell, self.started, self.since = cell, now(), time.monotonic()
        self.kills, self._saved, self._flooded = kernel_kills(), "", 0
        self.base = held([self._pid])
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(cell)

    def bytes_held(self) -> int:
        """What it and the processes it started hold beyond what it held when its cell began."""
        return held([self._pid, *descendants(self._pid)]) - self.base

    def limit_output(self) -> None:
        """Drop all but the end of what the cell has printed when it is too much for the disk."""
        if (size := os.fstat(self.output).st_size) > FLOOD:
            self._saved = self._read()
            self._flooded += size
            os.ftruncate(self.output, 0)

    def tail(self) -> str:
        """The end of what the cell has printed."""
        text = (self._saved + self._read())[-TAIL:].strip()
        note = f"[the first of more than {self._flooded / 1e6:.0f} MB left out]\n" if self._flooded else ""
        return note + text

    def kill(self) -> None:
        """Kill it and every process it started, those that left its process group too."""
        children = descendants(self._pid) if self.ready else []
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # It leads its own group from its first moment on; before that there is only itself to kill.
            os.killpg(self._pid, signal.SIGKILL) if self.ready else self.process.kill()
        for process in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        self.process.join()
        self.pipe.close()
        os.close(self.output)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.output_path)  # noqa: PTH108

    def why_it_ended(self) -> Ending:
        """Why the process is gone."""
        self.process.join()
        return ending(self.process.exitcode, self.kills)

    @property
    def _pid(self) -> int:
        return self.process.pid or 0

    def _read(self) -> str:
        size = os.fstat(self.output).st_size
        return os.pread(self.output, TAIL, max(0, size - TAIL)).decode(errors="replace")


def spawn_worker(slot: str, settings: Settings) -> WorkerProcess:
    """Start a worker process for a slot. It sends a message when it is ready."""
    start = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(start)
    output, path = tempfile.mkstemp(prefix="harness-", suffix=".out")
    parent_end, worker_end = context.Pipe()
    arguments = (worker_end, settings.plugins, slot, path, dict(os.environ), settings.memory)
    process = context.Process(target=main, args=arguments, daemon=True)  # type: ignore[attr-defined]
    with no_main_module():
        process.start()
    worker_end.close()
    return WorkerProcess(slot, process, parent_end, output, path)


@contextlib.contextmanager
def no_main_module() -> Iterator[None]:
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
