"""Work in a process of its own: a fresh level of memory, limits of time and memory, and a crash that costs no more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from harness.running.engines.child_process import Ending, base_server, wait_for
from harness.running.execute import explain
from harness.running.memory import at_most, ran_out

#: Share of the free memory that a process may take where no limit was given.
SHARE = 0.8
#: What the server that these processes are forked from has imported.
PRELOAD = ("harness_plugins.speed.preload",)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may take."""

    #: Seconds between two messages.
    seconds: float
    #: Bytes above what it holds at its start; None: four fifths of what is free.
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process did not finish its work."""

    status: Literal["memory", "time", "crashed", "raised", "not-installed", "refused"]
    #: One sentence.
    cause: str


#: Sends an object to the parent.
Send = Callable[[Any], None]


def run_in_process(work: Callable[..., None], arguments: tuple[Any, ...], limits: Limits) -> Iterator[Any]:
    """Run ``work(send, *arguments)`` in a process of its own: yields what it sends, and a Failure at the end if any."""
    child = base_server(PRELOAD, {}).fork(_main, (work, arguments, limits.memory or free_memory()))
    last = time.monotonic()
    try:
        while True:
            ended = child.ended
            match child.receive():
                case None if ended:
                    yield _failure(child.why_it_ended())
                    return
                case None if time.monotonic() - last > limits.seconds:
                    yield Failure("time", f"took longer than {limits.seconds:g} s")
                    return
                case None:
                    wait_for([child], timeout=max(0.0, last + limits.seconds - time.monotonic()))
                    continue
                case ("done", _):
                    return
                case ("failed", failure):
                    yield failure
                    return
                case ("sent", content):
                    yield content
            last = time.monotonic()
    finally:
        child.close()


def free_memory() -> int | None:
    """Four fifths of the free memory of this machine, in bytes; None where that is not known."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(SHARE * int(line.split()[1]) * 1024)
    except OSError:
        pass
    return None


def _main(pipe: Connection, work: Callable[..., None], arguments: tuple[Any, ...], memory: int | None) -> None:
    try:
        # A GPU's driver reserves more addresses than a machine has memory.
        with at_most(memory if sys.platform.startswith("linux") and "cuda" not in str(arguments) else None):
            work(lambda content: pipe.send(("sent", content)), *arguments)
        pipe.send(("done", None))
    except ImportError as error:
        pipe.send(("failed", Failure("not-installed", str(error))))
    except BaseException as error:  # noqa: BLE001  whatever a plugin raises is an answer
        pipe.send(("failed", _explained(error, memory)))


def _explained(error: BaseException, memory: int | None) -> Failure:
    from harness_plugins.speed.gate import NotForThisWorkload

    if isinstance(error, NotForThisWorkload):
        return Failure("refused", str(error))
    if place := ran_out(error):
        needed = f": more than {memory / 1e9:.3g} GB is needed" if memory and "GPU" not in place else ""
        return Failure("memory", f"{place}{needed}")
    return Failure("raised", explain(error))


def _failure(ending: Ending) -> Failure:
    return Failure("memory" if ending.out_of_memory else "crashed", ending.reason)
