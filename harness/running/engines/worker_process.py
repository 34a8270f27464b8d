"""A worker process as its parent sees it: spawned, given one cell after another, watched, and killed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass, field

from harness.cell import Cell
from harness.running.engines import Settings
from harness.running.engines.child_process import ChildProcess, spawn
from harness.running.engines.worker import main
from harness.running.execute import now
from harness.running.memory import descendants, held, kernel_kills

#: Characters of a cell's output that its record keeps.
TAIL = 4000
#: Bytes of output on disk past which all but the tail is thrown away.
FLOOD = 16_000_000


@dataclass(eq=False)
class WorkerProcess:
    """One worker process on one slot, and the cell it runs if any."""

    slot: str
    child: ChildProcess
    #: Everything the worker prints, until its file is unlinked; it lives on as an open file.
    output: int
    output_path: str
    ready: bool = False
    cell: Cell | None = None
    started: str = ""
    since: float = field(default_factory=time.monotonic)
    #: Bytes held when the cell began.
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
        self.child.kills_before, self._saved, self._flooded = kernel_kills(), "", 0
        self.base = held([self.child.pid])
        with contextlib.suppress(BrokenPipeError):
            self.child.pipe.send(cell)

    def bytes_held(self) -> int:
        """What it and the processes it started hold beyond what it held when its cell began."""
        return held([self.child.pid, *descendants(self.child.pid)]) - self.base

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
        """Kill it and every process it started, and remove its output."""
        self.child.kill()
        os.close(self.output)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.output_path)  # noqa: PTH108

    def _read(self) -> str:
        size = os.fstat(self.output).st_size
        return os.pread(self.output, TAIL, max(0, size - TAIL)).decode(errors="replace")


def spawn_worker(slot: str, settings: Settings) -> WorkerProcess:
    """Start a worker process for a slot. It sends a message when it is ready."""
    output, path = tempfile.mkstemp(prefix="harness-", suffix=".out")
    child = spawn(main, (settings.plugins, slot, path, dict(os.environ), settings.memory))
    return WorkerProcess(slot, child, output, path)
