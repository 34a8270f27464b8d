"""A plugin of planted faults: a task that fails in the way that its option names."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import harness
from planted.handed_back import HANDED_BACK
from planted.left_behind import LEFT_BEHIND, look_around


class Speechless(Exception):
    """An exception whose message cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def hoard(gigabytes: float) -> None:
    """Hold this much memory, all of it written, for a minute."""
    import numpy as np

    block = np.ones(int(gigabytes * 1e9 / 8))
    time.sleep(60)
    del block


def first_time(name: str) -> bool:
    """Whether this is the first call with this name in any process."""
    try:
        (Path(os.environ["PLANTED"]) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def act(fault: str, run: harness.Run) -> dict[str, float]:
    """Commit the fault; return the metrics of a good cell if there is none."""
    import torch

    here = Path(os.environ.get("PLANTED", "."))
    if fault in HANDED_BACK:
        return HANDED_BACK[fault](run)
    if fault in LEFT_BEHIND:
        LEFT_BEHIND[fault]()
    match fault:
        case "raise":
            raise ValueError("planted")
        case "raise-surrogate":
            raise ValueError("half a pair: \udc80")
        case "raise-speechless":
            raise Speechless
        case "raise-base-exception":
            raise BaseException("planted")  # noqa: TRY002
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            print("last words")  # noqa: T201
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed-once":
            if first_time(f"killed-{run.seed}"):
                os.kill(os.getpid(), signal.SIGKILL)
        case "until-released":
            # Ray gives its workers, and so this process, the id of the process of their node.
            node = os.environ.get("RAY_RAYLET_PID", "here")
            (here / f"waiting-{node}").touch()
            while not (here / f"released-{node}").exists():
                time.sleep(0.05)
        case "hang":
            time.sleep(600)
        case "hang-deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        case "hang-with-children":
            child = subprocess.Popen(["sleep", "600"])
            detached = subprocess.Popen(["sleep", "600"], start_new_session=True)
            (here / "pids").write_text(f"{os.getpid()} {child.pid} {detached.pid}")
            time.sleep(600)
        case "leave-children":
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            (here / "pids").write_text(str(child.pid))
        case "die-with-children":
            # The child keeps the worker's pipe open.
            if os.fork() == 0:
                time.sleep(600)
            os._exit(3)
        case "memory-numpy":
            hoard(2.0)
        case "memory-torch":
            block = torch.ones(500_000_000)
            time.sleep(60)
            del block
        case "memory-children":
            processes = [multiprocessing.get_context("fork").Process(target=hoard, args=(0.3,)) for _ in range(3)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
        case "idle-forks":
            forks = []
            for _ in range(20):
                if not (process := os.fork()):
                    signal.pause()
                forks.append(process)
            # The limit is looked at several times meanwhile.
            time.sleep(1.0)
            for process in forks:
                os.kill(process, signal.SIGKILL)
        case "flood":
            for number in range(600):
                print(f"{number} " + "x" * 100_000)  # noqa: T201
                time.sleep(0.001)
            print("the end of the flood")  # noqa: T201
        case "nan" | "infinite":
            return {"total": float(fault[:3]), "noise": 0.0}
        case "forget":
            return {"total": 1.0}
        case "invent":
            return {"total": 1.0, "noise": 0.0, "totl": 1.0}
        case "no-number":
            return {"total": object(), "noise": 0.0}  # type: ignore[dict-item]
        case "no-mapping":
            return 3  # type: ignore[return-value]
        case "clock":
            # The wall clock is set back to 1999; the monotonic clock goes on.
            from harness.running import execute

            execute.now = lambda: "1999-01-01T00:00:00.000+00:00"
        case "device":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return {"total": float(run.rng.random()), "noise": float(run.rng.standard_normal())}


def task(method: object, run: harness.Run) -> dict[str, float]:
    """Sleep for the seconds of the option, then commit its fault."""
    del method
    time.sleep(run.options["seconds"])
    return act(run.options["fault"], run)


def probe(method: object, run: harness.Run) -> dict[str, float]:
    """Notice what an earlier cell has left behind."""
    del method
    return look_around(float(run.rng.random()))


@harness.hookimpl
def harness_methods():
    return [harness.Method(name=name, role="planted", build=dict) for name in ("one", "other")]


@harness.hookimpl
def harness_tasks():
    return [
        harness.Task(
            name="planted/fault",
            role="planted",
            run=task,
            metrics={"total": harness.Metric("higher"), "noise": harness.Metric()},
            options={"fault": harness.Option("none", "which fault to commit"), "seconds": 0.0},
        ),
        harness.Task(
            name="planted/probe",
            role="planted",
            run=probe,
            metrics={"total": harness.Metric("higher"), "noise": harness.Metric()},
        ),
    ]
