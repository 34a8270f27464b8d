"""What runs in the local engine's processes: servers that load plugins, tasks and methods; workers that run cells.

A worker on the CPU runs one cell and ends. One on another device, where a context takes seconds, runs several cells
of the same plugins, and says after each what that cell has left behind.
"""

from __future__ import annotations

import base64
import contextlib
import faulthandler
import gc
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from harness.cell import Cell, Record
from harness.records.provenance import WORKER_ENVIRONMENT, environment, environment_digest, make_deterministic
from harness.registry import Registry, load_registry
from harness.registry.datasets import load
from harness.running.engines.leftovers import Leftovers
from harness.running.execute import execute
from harness.spec import resolve

#: Seconds between two messages on how far a cell has come.
PROGRESS_EVERY = 0.2
#: What a server sets for itself and the processes that it forks.
_OWN_VARIABLES = ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR")

#: The registry of this process, once ``load_plugins`` has been called.
_LOADED: list[Registry] = []


@dataclass(frozen=True)
class Prepared:
    """What a server that has loaded plugins tells of itself."""

    digest: str
    environment: Mapping[str, Any]
    #: The plugins that bring methods and tasks: ``owners["method", "flatnce"]``.
    owners: Mapping[tuple[str, str], str]


# Servers ------------------------------------------------------------------------------------------------------


def load_plugins(plugins: tuple[str, ...], variables: Mapping[str, str]) -> Prepared:
    """Load these plugins and the installed ones, under these environment variables."""
    own = {name: os.environ[name] for name in _OWN_VARIABLES}
    os.environ.clear()
    os.environ.update({**own, **variables, **WORKER_ENVIRONMENT, "TMPDIR": own["TMPDIR"]})
    registry = load_registry(plugins)
    _LOADED[:] = [registry]
    make_deterministic()
    digest, content = _environment("cpu", registry)
    return Prepared(digest, content, dict(registry.owners))


def load_task(name: str) -> frozenset[str]:
    """Import a task's code and read its data. Gives the methods whose modules are then imported as well.

    What cannot be imported or read here fails again, and is reported, in every cell that needs it.
    """
    (registry,) = _LOADED
    task = registry.tasks[name]
    with contextlib.suppress(Exception, SystemExit):
        resolve(task.run)
        for dataset in task.datasets:
            load(registry.datasets[dataset])
    make_deterministic()
    return frozenset(
        method.name
        for method in registry.methods.values()
        if not isinstance(method.build, str) or method.build.partition(":")[0] in sys.modules
    )


def load_method(name: str) -> bool:
    """Import a method's code."""
    (registry,) = _LOADED
    with contextlib.suppress(Exception, SystemExit):
        resolve(registry.methods[name].build)
    make_deterministic()
    return True


def _environment(slot: str, registry: Registry) -> tuple[str, dict[str, Any]]:
    content = environment(slot)
    content["plugins"] = {p.name: {"version": p.version, "code": p.code} for p in registry.plugins.values()}
    return environment_digest(content), content


# Workers ------------------------------------------------------------------------------------------------------


def run_one(pipe: Connection, cell: Cell, slot: str, memory_limit: int | None) -> None:
    """Run a cell, and send how far it is and what came of it: {"progress": fraction} and {"outcome": ...}."""
    faulthandler.enable(2)
    (registry,) = _LOADED
    send = _Sender(pipe)
    send(outcome=_run(cell, registry, slot, memory_limit, send)[1])


def run_many(pipe: Connection, slot: str, memory_limit: int | None) -> None:
    """Run the cells that come through the pipe, pickled, until it closes.

    Sends in addition {"ready": digest, "environment": ...} or {"broken": reason} at the start, and with each outcome
    "unfit": why this process should run no further cell, "" where it may.
    """
    faulthandler.enable(2)
    (registry,) = _LOADED
    send = _Sender(pipe)
    try:
        check_device(slot)
        digest, content = _environment(slot, registry)
    except Exception as error:  # noqa: BLE001  the parent reports it, whatever it is
        send(broken=f"{type(error).__name__}: {error}")
        return
    send(ready=digest, environment=content)
    leftovers = Leftovers()
    with contextlib.suppress(EOFError):
        while True:
            cell = pipe.recv()
            os.ftruncate(1, 0)
            make_deterministic()
            # What outlives a cell is modules and caches; looking through them for every cell costs 0.1 s.
            gc.collect()
            gc.freeze()
            record, outcome = _run(cell, registry, slot, memory_limit, send)
            with contextlib.suppress(ValueError, OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            send(outcome=outcome, unfit=_device_in_doubt(record) or leftovers.left())


def _run(
    cell: Cell, registry: Registry, slot: str, memory_limit: int | None, send: _Sender
) -> tuple[Record, dict[str, Any]]:
    """Run a cell; give its record and what the parent is sent of it."""
    contents: list[bytes] = []
    record = execute(
        cell, registry, slot=slot, memory_limit=memory_limit, report=send.progress, keep_items=contents.append
    )
    return record, outcome_of(record, contents)


def check_device(slot: str) -> None:
    """Compute something on the device of a slot. Raises whatever a device that does not work raises."""
    if slot.startswith("cuda"):
        import torch

        ones = torch.ones(64, 64, device=slot)
        if not torch.equal((ones @ ones).cpu(), torch.full((64, 64), 64.0)):
            raise RuntimeError(f"{slot} computes wrong results")


def outcome_of(record: Record, contents: Sequence[bytes] = ()) -> dict[str, Any]:
    """The part of a record that only the process which ran the cell knows, with the outcomes of its items.

    These go through the pipe, and not through a file that the cell's code could put anything in place of: so the
    parent has one limit to enforce and no path to check.
    """
    names = ("status", "cause", "metrics", "seconds", "peak_bytes", "curves")
    items = {name: base64.b64encode(content).decode() for name, content in zip(record.items, contents, strict=True)}
    return {**{name: getattr(record, name) for name in names}, "items": items}


#: What a worker says where the device itself may be the reason of a failure.
DEVICE_IN_DOUBT = "device in doubt"


def _device_in_doubt(record: Record) -> str:
    # After such an error every further call of the process fails.
    return DEVICE_IN_DOUBT if record.status == "failed" and "CUDA error" in (record.cause or "") else ""


class _Sender:
    """Sends lines of JSON to the parent."""

    def __init__(self, pipe: Connection) -> None:
        self._descriptor = pipe.fileno()
        self._last = 0.0

    def __call__(self, **message: Any) -> None:
        line = memoryview(json.dumps(message).encode() + b"\n")
        while line:
            line = line[os.write(self._descriptor, line) :]

    def progress(self, fraction: float) -> None:
        """Send how far a cell is, not more often than a person can read."""
        if (moment := time.monotonic()) - self._last >= PROGRESS_EVERY:
            self._last = moment
            self(progress=float(fraction))
