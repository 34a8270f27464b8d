"""Work in a process of its own: a fresh level of memory, limits of time and memory, and a crash that costs no more."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from harness.running.engines.worker_process import no_main_module
from harness.running.execute import explain
from harness.running.memory import at_most, descendants, ran_out

#: Share of the free memory that a process may take where no limit was given.
SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may take."""

    #: Seconds without a sign of life.
    seconds: float
    #: Bytes above what it holds at its start; None: four fifths of what is free.
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended that did not come to its end."""

    why: Literal["memory", "time", "crashed", "raised", "not-installed", "refused"]
    #: One sentence.
    cause: str


#: Hands something to the parent.
Send = Callable[[Any], None]


def run_apart(work: Callable[..., None], arguments: tuple[Any, ...], limits: Limits) -> Iterator[Any]:
    """Run ``work(send, *arguments)`` in a process of its own: gives what it sends, and an Ended at last if it fails."""
    start = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(start)
    if start == "forkserver":
        context.set_forkserver_preload(["harness_plugins.speed.preload"])
    ours, theirs = context.Pipe(duplex=False)
    memory = limits.memory or free_memory()
    process = context.Process(target=_main, args=(theirs, work, arguments, memory), daemon=True)  # type: ignore[attr-defined]
    with no_main_module():
        process.start()
    theirs.close()
    try:
        while True:
            if not ours.poll(limits.seconds):
                yield Ended("time", f"took longer than {limits.seconds:g} s")
                return
            try:
                kind, content = ours.recv()
            except EOFError:
                yield _how_it_ended(process)
                return
            if kind == "done":
                return
            yield content
            if kind == "ended":
                return
    finally:
        _end(process)
        ours.close()


def free_memory() -> int | None:
    """Four fifths of the memory that is free here, in bytes; None where that is not known."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(SHARE * int(line.split()[1]) * 1024)
    except OSError:
        pass
    return None


def _main(pipe: Connection, work: Callable[..., None], arguments: tuple[Any, ...], memory: int | None) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _silence()
    try:
        # A GPU's driver reserves more addresses than a machine has memory.
        with at_most(memory if sys.platform.startswith("linux") and "cuda" not in str(arguments) else None):
            work(lambda found: pipe.send(("found", found)), *arguments)
        pipe.send(("done", None))
    except ImportError as error:
        pipe.send(("ended", Ended("not-installed", str(error))))
    except BaseException as error:  # noqa: BLE001  whatever a plugin raises is an answer
        pipe.send(("ended", Ended(*_told(error, memory))))


def _told(error: BaseException, memory: int | None) -> tuple[Any, str]:
    from harness_plugins.speed.gate import NotForThisWorkload

    if isinstance(error, NotForThisWorkload):
        return "refused", str(error)
    if place := ran_out(error):
        free = f": more than {memory / 1e9:.3g} GB is needed" if memory and "GPU" not in place else ""
        return "memory", f"{place}{free}"
    return "raised", explain(error)


def _silence() -> None:
    """What a method prints is nobody's."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)


def _how_it_ended(process: Any) -> Ended:
    process.join()
    code = process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return Ended("memory" if name == "SIGKILL" else "crashed", f"its process was ended by {name}")
    return Ended("crashed", f"its process ended with exit status {code}")


def _end(process: Any) -> None:
    if process.is_alive() and process.pid:
        theirs = [process.pid, *descendants(process.pid)]
        # A process that was just told to stop gets the chance to.
        time.sleep(0.01)
        for one in theirs:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)
    process.join()
