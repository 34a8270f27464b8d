"""The server: a process that runs no cell itself, stays as clean as it began, and forks a child for each piece of work.

A fork of a process that has imported torch takes milliseconds, and starts with nothing that an earlier child did. A
server forks further servers too, which then prepare something: plugins, a task's code and data, a method's code.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pickle
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout

from harness.running.engines.pages import use_huge_pages

#: Names of the folders of temporary files, one for each server that was not forked.
FOLDERS = "harness-cells-"
_LOCK = "lock"
#: Bound before a plugin can put anything in its place: a child that does not end would go on as a server.
_exit = os._exit
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Work:
    """What a child of a server does."""

    #: Of the parent's: how it names the child, its import path and its folder.
    number: int
    path: tuple[str, ...]
    folder: str
    #: ``(function, arguments)``, pickled. The child calls ``function(pipe, *arguments)``.
    call: bytes


# Process of its own -------------------------------------------------------------------------------------------


def main(control: int, preload: Sequence[str]) -> None:
    """Import modules and serve until the parent closes its end of the socket with the descriptor ``control``."""
    # Ctrl-C reaches the parent alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in preload:
        importlib.import_module(module)
    # Kernels that torch has compiled are kept by their content, for all cells; by default among temporary files.
    compiled = Path(tempfile.gettempdir()) / f"torchinductor_{os.getuid()}"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiled))
    _remove_stale_folders()
    folder = tempfile.mkdtemp(prefix=FOLDERS)
    with FileLock(Path(folder) / _LOCK):
        _use_for_temporary_files(folder)
        _subreaper()
        use_huge_pages()
        try:
            serve(Connection(control))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def serve(control: Connection) -> None:
    """Fork children until the parent is gone; then end those that are left.

    Messages sent: ("forked", number, process) and ("ended", number, exit code). The second one is sent when nothing
    that the child started is left.
    """
    children: dict[int, int] = {}
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        with contextlib.suppress(EOFError, OSError):
            while True:
                ready = wait([control, woken])
                if woken in ready:
                    os.read(woken, 4096)
                    for number, exit_code in _reap(children):
                        control.send(("ended", number, exit_code))
                if control in ready:
                    work: Work = control.recv()
                    pipe, output = _receive_descriptors(control, 2)
                    server = os.getpid()
                    process = os.fork()
                    if not process:
                        signal.set_wakeup_fd(-1)
                        for descriptor in (woken, wake, control.fileno()):
                            os.close(descriptor)
                        _become_child(work, server, pipe, output)
                    os.close(pipe)
                    os.close(output)
                    children[process] = work.number
                    control.send(("forked", work.number, process))
    finally:
        for process in children:
            kill_group(process)
        for process in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, 0)
        _reap({})


def serve_prepared(control: Connection, prepare: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """What a forked server does: call ``prepare(*arguments)``, send what it returns, and serve.

    Sends ("prepared", result), or ("broken", reason) where it raised or left a thread running: a thread does not
    survive a fork, and may hold a lock that the child then waits for without end.
    """
    try:
        result = prepare(*arguments)
        threads = _threads()
    except BaseException as error:  # noqa: BLE001  the parent reports it, whatever it is
        control.send(("broken", f"{type(error).__name__}: {error}"))
        return
    if threads > 1:
        what = "a thread is" if threads == 2 else f"{threads - 1} threads are"
        advice = "no fork copies a thread, so a module must start none when it is imported"
        control.send(("broken", f"{what} left running by what was imported; {advice}"))
        return
    use_huge_pages()
    control.send(("prepared", result))
    serve(control)


def _reap(children: dict[int, int]) -> list[tuple[int, int]]:
    """Number and exit code of each child that has ended; processes that they left behind are killed."""
    ended = []
    while True:
        with contextlib.suppress(ChildProcessError):
            process, status = os.waitpid(-1, os.WNOHANG)
            if process:
                if process in children:
                    ended.append((children.pop(process), os.waitstatus_to_exitcode(status)))
                    kill_group(process)
                    _remove_folder(_temporary_folder(process))
                continue
        # What a child started belongs to this process once that child has ended, however often it forked.
        orphans = [process for process in _children() if process not in children]
        if not orphans:
            return ended
        for process in orphans:
            kill_group(process)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, 0)


def kill_group(process: int) -> None:
    """Kill a process and its group."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(process, signal.SIGKILL)


def _children() -> list[int]:
    """The children of this process. Empty where there is no /proc."""
    try:
        return [int(child) for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _receive_descriptors(control: Connection, count: int) -> list[int]:
    with socket.socket(fileno=os.dup(control.fileno())) as connection:
        _, descriptors, *_ = socket.recv_fds(connection, 1, count)
    if len(descriptors) < count:
        raise EOFError
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return descriptors


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208
    except OSError:
        return 1


# In a child ---------------------------------------------------------------------------------------------------


def _become_child(work: Work, server: int, pipe: int, output: int) -> NoReturn:
    """Do the work in this process, which ``server`` has just forked, and end it."""
    code = 1
    try:
        # A group of its own, so that all it starts can be killed with it.
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _die_with(server)
        _subreaper()
        _use_for_output(output)
        folder = _temporary_folder(os.getpid())
        Path(folder).mkdir()
        _use_for_temporary_files(folder)
        sys.path[:] = work.path
        with contextlib.suppress(OSError):
            os.chdir(work.folder)
        function, arguments = pickle.loads(work.call)
        function(Connection(pipe), *arguments)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001
        with contextlib.suppress(Exception):
            traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # No exit handlers, and no waiting for threads.
        _exit(code & 255)


def _use_for_output(output: int) -> None:
    """Send what this process and its children write to stdout and stderr to a file."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    # Line buffering: what is printed must be in the file even if the process is killed.
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _die_with(server: int) -> None:
    """Let the kernel kill this process when its server ends, even if that was killed."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            _exit(1)


def _subreaper() -> None:
    """Make this process the parent of what its children leave behind."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


# Temporary files ----------------------------------------------------------------------------------------------


def _temporary_folder(process: int) -> str:
    """Where a child keeps its temporary files; all of them lie beside each other, as paths of sockets must be short."""
    return f"{_TOP[0]}/{process}"


#: The folder that holds those of all children.
_TOP: list[str] = []


def _remove_folder(folder: str) -> None:
    try:
        # Most are empty; looking takes ten times as long.
        os.rmdir(folder)  # noqa: PTH106
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _use_for_temporary_files(folder: str) -> None:
    if not _TOP:
        _TOP.append(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def _remove_stale_folders() -> None:
    """Remove what servers that were killed left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        with contextlib.suppress(Timeout, OSError), FileLock(folder / _LOCK, timeout=0):
            shutil.rmtree(folder)
