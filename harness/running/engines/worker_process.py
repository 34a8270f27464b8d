"""A worker as its parent sees it: given a cell, watched, and killed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.cell import Cell
from harness.running.engines.child_process import ChildProcess, Server
from harness.running.engines.outcome import MESSAGE_LIMIT, Message, Outcome, parse_message
from harness.running.execute import now
from harness.running.memory import descendants, held, kernel_kills

#: Characters of a cell's output that its record keeps.
TAIL = 4000
#: Bytes of output on disk past which all but the tail is thrown away.
FLOOD = 16_000_000


@dataclass(eq=False)
class WorkerProcess:
    """One worker on one slot, and the cell it runs if any."""

    slot: str
    #: None while the server that it will be forked from prepares.
    child: ChildProcess | None = None
    cell: Cell | None = None
    #: The server that it waits for.
    waits_for: Server | None = None
    #: Whether it may be given cells, for a worker that runs several.
    ready: bool = False
    #: The plugins of the cells that it has run.
    plugins: tuple[str, str] | None = None
    outcome: Outcome | None = None
    #: The beginning of a line that is no message; "" while there is none.
    garbage: str = ""
    started: str = field(default_factory=now)
    since: float = field(default_factory=time.monotonic)
    _received: bytearray = field(default_factory=bytearray)
    _saved: str = ""
    _flooded: int = 0

    @property
    def kind(self) -> str:
        """The kind of its device."""
        return self.slot.partition(":")[0]

    @property
    def runs_several(self) -> bool:
        """Whether it runs several cells: on a CPU a new process costs milliseconds, on a GPU seconds."""
        return self.kind != "cpu"

    def seconds(self) -> float:
        """How long it has run its cell, or been starting."""
        return time.monotonic() - self.since

    def give(self, cell: Cell) -> None:
        """Give a worker that runs several cells the next one."""
        assert self.child is not None
        self.cell, self.started, self.since, self.outcome = cell, now(), time.monotonic(), None
        self.child.kills_before, self._saved, self._flooded = kernel_kills(), "", 0
        os.set_blocking(self.child.pipe.fileno(), True)
        # A worker that died while idle is noticed when its pipe is read.
        with contextlib.suppress(BrokenPipeError):
            self.child.pipe.send(cell)

    def messages(self) -> Iterator[Message]:
        """What it has sent since the last look. A line that is no message is kept as ``garbage``."""
        assert self.child is not None
        self._read_pipe(self.child)
        while (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            if (message := parse_message(line)) is None:
                self._note_garbage(line)
            else:
                yield message
        if self._received and (self.child.ended or len(self._received) > MESSAGE_LIMIT):
            self._note_garbage(bytes(self._received))
            self._received.clear()

    def bytes_held(self) -> int:
        """What it and the processes it started hold beyond what they share with the server."""
        if self.child is None or self.child.pid is None or self.child.server.pid is None:
            return 0
        return held([self.child.pid, *descendants(self.child.pid)], beside=self.child.server.pid)

    def limit_output(self) -> None:
        """Drop all but the end of what the cell has printed when it is too much for the disk."""
        if self.child is None:
            return
        descriptor = self.child.output.fileno()
        if (size := os.fstat(descriptor).st_size) > FLOOD:
            self._saved = self.child.printed(TAIL)
            self._flooded += size
            os.ftruncate(descriptor, 0)

    def tail(self) -> str:
        """The end of what the cell has printed."""
        if self.child is None:
            return ""
        text = (self._saved + self.child.printed(TAIL))[-TAIL:].strip()
        note = f"[the first of more than {self._flooded / 1e6:.0f} MB left out]\n" if self._flooded else ""
        return note + text

    def kill(self) -> None:
        """Kill it and every process it started."""
        if self.child is not None:
            self.child.kill()

    def close(self) -> None:
        """Kill it and drop what it has printed."""
        if self.child is not None:
            self.child.close()

    def _read_pipe(self, child: ChildProcess) -> None:
        descriptor = child.pipe.fileno()
        os.set_blocking(descriptor, False)
        try:
            # Not without end: a worker may send faster than it can be read.
            for _ in range(64):
                part = b"" if child.closed else os.read(descriptor, 1 << 20)
                self._received += part
                child.closed = not part
        except BlockingIOError:
            return
        except OSError:
            child.closed = True

    def _note_garbage(self, line: bytes) -> None:
        self.garbage = self.garbage or line[:60].decode(errors="backslashreplace") or "an empty line"
