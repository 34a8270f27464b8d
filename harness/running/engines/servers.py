"""The servers of a run: one that has loaded the plugins, and below it one for each task, and for each method."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from harness.cell import Cell
from harness.errors import HarnessError
from harness.records.provenance import WORKER_ENVIRONMENT
from harness.running.engines.child_process import Ending, Server, base_server
from harness.running.engines.worker import Prepared, load_method, load_plugins, load_task

#: Seconds that a server or worker gets to load what it needs before it counts as broken.
START_LIMIT = 300.0
#: How often in a row a server, or the workers on a slot, may fail to start before they are given up.
START_TRIES = 3
#: Servers of tasks and methods that are kept.
SERVERS = 12


def warm_up() -> Server:
    """Start the server that all others are forked from. Returns at once; torch is imported there meanwhile."""
    return base_server(("harness.running.engines.preload",), WORKER_ENVIRONMENT)


class Servers:
    """All servers of one run.

    A method has none where the task's server has imported the method's module already.
    """

    def __init__(self, plugins: tuple[str, ...]) -> None:
        self._arguments = plugins, dict(os.environ)
        self._starts = 0
        self.root = self._start()
        self._below: dict[tuple[str, ...], Server] = {}

    def all(self) -> list[Server]:
        """All of them, whether ready or not."""
        return [self.root, *self._below.values()]

    def check_root(self) -> Prepared | None:
        """What the server with the plugins tells of itself, once it is ready; it is started again if it was lost.

        Raises HarnessError where it cannot be started.
        """
        if self.root.ready:
            self._starts = 0
            return self.root.prepared  # type: ignore[no-any-return]
        late = time.monotonic() - self._since > START_LIMIT
        if self.root.broken or ((self.root.gone or late) and self._starts >= START_TRIES):
            reason = f"it did not start within {START_LIMIT:.0f} s" if late else self.root.why_broken()
            raise HarnessError(f"no worker can start: cpu: {reason}")
        if self.root.gone or late:
            self.close()
            self.root = self._start()
        return None

    def for_cell(self, cell: Cell) -> tuple[Server, Ending | None]:
        """The server to fork this cell's process from, or to wait for; and its end, if it ended while it prepared."""
        server = self.root
        steps: list[tuple[tuple[str, ...], Callable[[str], Any], str]] = [
            ((cell.task,), load_task, cell.task),
            ((cell.task, cell.method), load_method, cell.method),
        ]
        for key, load, name in steps:
            if not server.ready or (len(key) > 1 and server is not self.root and cell.method in server.prepared):
                break
            below = self._below.get(key)
            if below is not None and below.gone and below.prepared is not None:
                self._below.pop(key).close()
                below = None
            if below is None:
                below = self._below[key] = server.fork_server(load, name)
                self._close_idle(key)
            if below.broken:
                # A thread was started, say: the cell does all by itself.
                break
            if below.gone:
                ended = below.how_it_ended()
                self._below.pop(key).close()
                return below, ended
            server = below
        return server, None

    def give_up(self, server: Server) -> None:
        """End a server that takes too long to prepare."""
        for key, below in list(self._below.items()):
            if below is server:
                del self._below[key]
                below.close()

    def close(self) -> None:
        """End all of them."""
        for server in reversed(self._below.values()):
            server.close()
        self._below.clear()
        self.root.close()

    def _start(self) -> Server:
        self._starts += 1
        self._since = time.monotonic()
        return warm_up().fork_server(load_plugins, *self._arguments)

    def _close_idle(self, new: tuple[str, ...]) -> None:
        """Close the oldest server that nothing runs from, where there are too many."""
        for key, server in list(self._below.items()):
            if len(self._below) > SERVERS and key != new and not server.children:
                self._below.pop(key).close()
