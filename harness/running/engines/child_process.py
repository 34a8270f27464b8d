"""A child process: spawned with a process group of its own, killed with everything it started, and why it ended."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from types import ModuleType
from typing import Any

from harness.running.memory import descendants, kernel_kills

#: Signals that come from outside: a person, a scheduler, the end of a login. Others a process brings on itself.
OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
#: What multiprocessing says of a process whose fork server is gone.
SERVER_GONE = 255


@dataclass(frozen=True)
class Ending:
    """Why a process ended."""

    #: In words.
    reason: str
    #: Whether that came from outside: a person, a scheduler, the end of a login.
    from_outside: bool = False
    out_of_memory: bool = False


def ending(exit_code: int | None, kills_before: int) -> Ending:
    """Why a process ended, by its exit code and by what the kernel has killed for want of memory since it began.

    >>> ending(3, 0).reason
    'its process ended with exit status 3'
    """
    if exit_code == SERVER_GONE:
        return Ending("its process was lost with the server that it was forked from", from_outside=True)
    if exit_code is None or exit_code >= 0:
        return Ending(f"its process ended with exit status {exit_code}")
    number = signal.Signals(-exit_code)
    if number == signal.SIGKILL and kernel_kills() > kills_before:
        return Ending("out of memory: the kernel killed its process (--memory sets a limit)", out_of_memory=True)
    outside = number in OUTSIDE
    return Ending(f"its process was killed by {number.name}{' from outside' if outside else ''}", outside)


# In the parent ----------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ChildProcess:
    """A child process as its parent sees it."""

    process: BaseProcess
    #: Both ends may send and receive.
    pipe: Connection
    #: The kernel's count of processes that it killed for want of memory, when the child began what it does now.
    kills_before: int = field(default_factory=kernel_kills)

    @property
    def pid(self) -> int:
        """Its process number."""
        assert self.process.pid
        return self.process.pid

    @property
    def handles(self) -> tuple[Connection, int]:
        """What is ready when there is a message, and when the process has ended.

        A process that the child started may hold the pipe open after the child's end.
        """
        return self.pipe, self.process.sentinel

    def receive(self) -> Any:
        """The next message; None where none is waiting, as after the process has ended."""
        try:
            return self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):
            # It ended, perhaps in the middle of a message.
            return None

    def kill(self) -> None:
        """Kill it and every process it started, those that left its process group too."""
        children = descendants(self.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # Nothing goes by this number until the child leads its group.
            os.killpg(self.pid, signal.SIGKILL)
        self.process.kill()
        for process in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        self.process.join()
        self.pipe.close()

    def why_it_ended(self) -> Ending:
        """Why the process is gone."""
        self.process.join()
        return ending(self.process.exitcode, self.kills_before)


def spawn(main: Callable[..., None], arguments: tuple[Any, ...]) -> ChildProcess:
    """Start ``main(pipe, *arguments)`` in a child process; it should call ``enter`` first."""
    context = multiprocessing.get_context("forkserver" if _has_fork_server() else "spawn")
    pipe, child_end = context.Pipe()
    process = context.Process(target=main, args=(child_end, *arguments), daemon=True)  # type: ignore[attr-defined]
    with _no_main_module():
        process.start()
    child_end.close()
    return ChildProcess(process, pipe)


def start_server(preload: str, environment: Mapping[str, str]) -> None:
    """Start the server that child processes are forked from, if there is none yet. Returns at once.

    The server imports the module ``preload`` meanwhile, under these environment variables.
    """
    if not _has_fork_server():
        return
    # The server starts with "python -c", which would let a random.py in the working directory shadow Python's own.
    settings = {**environment, "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        forkserver.set_forkserver_preload([preload])
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _has_fork_server() -> bool:
    return "forkserver" in multiprocessing.get_all_start_methods()


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Hide the program's main module while a child process starts.

    multiprocessing would import it again in the child; a script that calls the harness without a
    ``__name__`` guard would then run itself without end.
    """
    real = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


# In the child -----------------------------------------------------------------------------------------------


def enter(output: str = os.devnull) -> int:
    """Make this process one that its parent can kill whole; gives the descriptor of ``output``.

    What it and its children write to stdout and stderr goes to the file ``output``.
    """
    # A group of its own, so that the parent can end it with all its children, and Ctrl-C reaches the parent alone.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    stream = os.open(output, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    # Line buffering: what is printed must be in the file even if the process is killed.
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    # It may start processes of its own (a DataLoader's workers, say), which multiprocessing forbids to daemons. This
    # one need not count as a daemon: it ends with its parent and takes along what it started.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    return stream


def _die_with_parent() -> None:
    """Kill this process and its children as soon as the parent is gone, even if the parent was killed."""
    parent = parent_process()
    assert parent is not None
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        # PR_SET_PDEATHSIG covers the fork server's end, which follows the parent's at once.
        prctl(1, signal.SIGKILL)
        # PR_SET_CHILD_SUBREAPER: what a cell starts stays below this process, however often it forks.
        prctl(36, 1)

    def watch(sentinel: Any) -> None:
        wait([sentinel])
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
