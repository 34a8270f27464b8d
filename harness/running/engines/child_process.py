"""Child processes and the servers that they are forked from, as the process that uses them sees them."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import IO, Any

from harness.running.engines import server as in_server
from harness.running.memory import kernel_kills

#: Signals that come from outside: a person, a scheduler, the end of a login. Others a process brings on itself.
OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
#: Seconds that a server gets to end what it has forked.
GRACE = 10.0


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

    The exit code is None for one whose server has ended.

    >>> ending(3, 0).reason
    'its process ended with exit status 3'
    """
    if exit_code is None:
        return Ending("its process was lost with the server that it was forked from", from_outside=True)
    if exit_code >= 0:
        return Ending(f"its process ended with exit status {exit_code}")
    number = -exit_code
    if number == signal.SIGKILL and kernel_kills() > kills_before:
        return Ending("out of memory: the kernel killed its process (--memory sets a limit)", out_of_memory=True)
    outside = number in OUTSIDE
    name = signal.Signals(number).name if number in list(map(int, signal.Signals)) else f"signal {number}"
    return Ending(f"its process was killed by {name}{' from outside' if outside else ''}", outside)


@dataclass(eq=False)
class ChildProcess:
    """A child process that a server has forked."""

    server: Server
    #: Both ends may send and receive.
    pipe: Connection
    #: What the child prints: a file without a name.
    output: IO[bytes]
    #: None until the server has forked it.
    pid: int | None = None
    #: Whether it has ended, and everything it started too.
    ended: bool = False
    #: None where its server was lost.
    exit_code: int | None = None
    #: Whether it has closed its end of the pipe.
    closed: bool = False
    #: The kernel's count of processes that it killed for want of memory, when the child began what it does now.
    kills_before: int = field(default_factory=kernel_kills)

    def receive(self) -> Any:
        """The next message; None where none is waiting. For a child that is trusted: it may be any object."""
        try:
            return self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):
            self.closed = True
            return None

    def kill(self) -> None:
        """Kill it and every process it started, and wait until they are gone."""
        while self.pid is None and not self.ended:
            self.server.receive()
        while not self.ended:
            in_server.kill_group(self.pid)  # type: ignore[arg-type]
            self.server.receive(GRACE)

    def close(self) -> None:
        """Kill it if it runs, and close its pipe and output."""
        self.kill()
        self.pipe.close()
        self.output.close()

    def why_it_ended(self) -> Ending:
        """Why the process is gone."""
        return ending(self.exit_code, self.kills_before)

    def printed(self, most: int) -> str:
        """The end of what it has printed, at most so many bytes."""
        return end_of(self.output, most)


class Server:
    """A process that forks children."""

    def __init__(self, control: Connection, process: subprocess.Popen[bytes] | ChildProcess, output: IO[bytes]) -> None:
        #: Ready when the server has sent a message, and when it has ended.
        self.control = control
        self.children: dict[int, ChildProcess] = {}
        #: Whether it has ended.
        self.gone = False
        #: What it has prepared; None until it has, and where it could not.
        self.prepared: Any = None
        #: Why it cannot be used; "" for one that can.
        self.broken = ""
        self._process = process
        self._output = output
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        #: Whether it has sent anything.
        self._heard = False

    @property
    def pid(self) -> int | None:
        """Its process number; None until it has been forked."""
        if self._process.pid is None and isinstance(self._process, ChildProcess):
            self._process.server.receive(0)
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it has prepared what it was forked for."""
        return not self.gone and self.prepared is not None

    def fork(self, function: Callable[..., None], arguments: tuple[Any, ...] = ()) -> ChildProcess:
        """Start ``function(pipe, *arguments)`` in a child. Returns at once, even where the server is not ready yet."""
        pipe, end = Pipe()
        output = _nameless_file()
        child = ChildProcess(self, pipe, output)
        number = next(self._numbers)
        try:
            folder = str(Path.cwd())
        except OSError:
            # It has been removed.
            folder = "/"
        work = in_server.Work(number, tuple(sys.path), folder, pickle.dumps((function, arguments)))
        with self._talking(), end:
            self.children[number] = child
            self.control.send(work)
            with socket.socket(fileno=os.dup(self.control.fileno())) as connection:
                socket.send_fds(connection, [b"-"], [end.fileno(), output.fileno()])
        return child

    def fork_server(self, prepare: Callable[..., Any], *arguments: Any) -> Server:
        """Fork a server that calls ``prepare(*arguments)`` first and keeps what that brings into its memory.

        Its ``prepared`` is what ``prepare`` returned.
        """
        child = self.fork(in_server.serve_prepared, (prepare, arguments))
        return Server(child.pipe, child, child.output)

    def receive(self, timeout: float | None = None) -> None:
        """Take note of its messages, waiting for the first one as long as that, or for ever."""
        with self._talking():
            while not self.gone and self.control.poll(timeout):
                timeout, self._heard = 0.0, True
                match self.control.recv():
                    case ("forked", number, pid):
                        self.children[number].pid = pid
                    case ("ended", number, exit_code):
                        child = self.children.pop(number)
                        child.ended, child.exit_code = True, exit_code
                    case ("prepared", result):
                        self.prepared = result
                    case ("broken", reason):
                        self.broken = reason

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        """One thread at a time sends and receives; a server whose end came, or that was cut short, is lost."""
        with self._lock:
            try:
                yield
            except (EOFError, OSError):
                self._lost()
            except BaseException:
                # Ctrl-C in the middle of a message: what comes next could not be read.
                self._lost()
                raise

    def why_broken(self) -> str:
        """Why it cannot be used: what it said itself, or how it ended and what it printed last."""
        if self.broken:
            return self.broken
        text = end_of(self._output, 300).strip()
        return f"it ended as it started, {self.how_it_ended().reason}{': ' * bool(text)}{text}"

    def how_it_ended(self) -> Ending:
        """Why a server that is gone has ended."""
        if isinstance(self._process, ChildProcess):
            while not self._process.ended:
                self._process.server.receive(GRACE)
            return self._process.why_it_ended()
        return ending(self._process.wait(), kernel_kills())

    def close(self) -> None:
        """End it and all its children."""
        self.control.close()
        self._lost()
        if isinstance(self._process, ChildProcess):
            self._process.close()
            return
        if self._heard:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
        # One that still imports has nothing to clean up.
        self._process.kill()
        self._process.wait()
        self._output.close()

    def _lost(self) -> None:
        self.gone = True
        for child in self.children.values():
            child.ended = True
            if child.pid is not None:
                # What the child started outlives it where the server cannot see to that.
                in_server.kill_group(child.pid)
        self.children.clear()


def wait_for(children: Iterable[ChildProcess], servers: Iterable[Server] = (), timeout: float | None = None) -> None:
    """Wait until a child has sent something, a child has ended, or a server has sent something."""
    waiting = [child for child in children if not child.ended]
    controls = {s.control: s for s in [*servers, *(child.server for child in waiting)] if not s.gone}
    pipes = [child.pipe for child in waiting if not child.closed]
    if not controls and not pipes:
        time.sleep(min(timeout or 0.0, 0.01))
    for ready in wait([*controls, *pipes], timeout):
        if ready in controls:
            controls[ready].receive(0)


#: Running servers that were not forked, by their environment variables and what they have imported.
_RUNNING: dict[tuple[Any, ...], Server] = {}


def base_server(preload: tuple[str, ...], variables: Mapping[str, str]) -> Server:
    """The server that others are forked from: started if there is none yet, or if it has ended. Returns at once.

    It imports the modules ``preload`` meanwhile, under this process's environment and these ``variables``.
    """
    key = (os.getpid(), preload, *sorted(variables.items()))
    if key in _RUNNING:
        _RUNNING[key].receive(0)
        if not _RUNNING[key].gone:
            return _RUNNING[key]
        _RUNNING.pop(key).close()
    return _RUNNING.setdefault(key, _start(preload, variables))


def _start(preload: tuple[str, ...], variables: Mapping[str, str]) -> Server:
    end, server_end = socket.socketpair()
    output = _nameless_file()
    with server_end:
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; from harness.running.engines.server import main; "
            f"main({server_end.fileno()}, {preload!r})"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            # "python -c" would let a random.py in the working folder shadow Python's own.
            env={**os.environ, **variables, "PYTHONSAFEPATH": "1"},
            pass_fds=[server_end.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C in a terminal reaches this process alone.
            start_new_session=True,
        )
    return Server(Connection(end.detach()), process, output)


def end_of(file: IO[bytes], most: int) -> str:
    """The end of a file as text, at most so many bytes."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), most, max(0, size - most)).decode(errors="replace")


def _nameless_file() -> IO[bytes]:
    """A temporary file that is gone when the last process closes it. Several processes may append to it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by whoever reads it
    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
    return file


@atexit.register
def end_servers() -> None:
    """End every server that this process has started."""
    for key, server in list(_RUNNING.items()):
        if key[0] == os.getpid():
            del _RUNNING[key]
            server.close()
