"""The worker process of the local engine: receives cells one at a time through a pipe and sends records back."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection

from harness.cell import Record
from harness.records.provenance import WORKER_ENVIRONMENT, environment, environment_digest, make_deterministic
from harness.registry import load_registry
from harness.running.engines.child_process import enter
from harness.running.execute import execute
from harness.running.memory import descendants

#: Seconds between two messages on how far a cell has come.
PROGRESS_EVERY = 0.2


def main(
    pipe: Connection,
    plugins: tuple[str, ...],
    slot: str,
    output: str,
    variables: Mapping[str, str],
    memory_limit: int | None,
) -> None:
    """Serve cells until the pipe closes.

    Messages sent: ("ready", digest, environment), ("broken", reason), ("progress", fraction) and
    ("record", record, unfit), where ``unfit`` says why this process should serve no further cell, if it should not.
    What the cell writes to stdout and stderr goes to the file ``output``, started anew for each cell.
    """
    stream = enter(output)
    os.environ.update({**variables, **WORKER_ENVIRONMENT})
    faulthandler.enable(2)
    try:
        registry = load_registry(plugins)
        make_deterministic()
        check_device(slot)
        content = environment(slot)
        content["plugins"] = {p.name: {"version": p.version, "code": p.code} for p in registry.plugins.values()}
    except Exception as error:  # noqa: BLE001  the parent reports it, whatever it is
        pipe.send(("broken", f"{type(error).__name__}: {error}"))
        return
    digest = environment_digest(content)
    pipe.send(("ready", digest, content))
    report = _Reporter(pipe)
    while True:
        try:
            cell = pipe.recv()
        except EOFError:
            return
        os.ftruncate(stream, 0)
        make_deterministic()
        # What outlives a cell is modules and caches; looking through them again for every cell costs 0.1 s.
        gc.collect()
        gc.freeze()
        record = execute(cell, registry, slot=slot, environment=digest, memory_limit=memory_limit, report=report)
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.send(("record", record, _unfit(record)))


def check_device(slot: str) -> None:
    """Compute something on the device of a slot. Raises whatever a device that does not work raises."""
    if slot.startswith("cuda"):
        import torch

        ones = torch.ones(64, 64, device=slot)
        if not torch.equal((ones @ ones).cpu(), torch.full((64, 64), 64.0)):
            raise RuntimeError(f"{slot} computes wrong results")


def _unfit(record: Record) -> str:
    """Why a worker must be replaced after this cell; "" where it can go on."""
    # After such an error every further call of the process fails, and the device itself may be the reason.
    if record.status == "failed" and "CUDA error" in (record.cause or ""):
        return "device in doubt"
    if descendants(os.getpid()):
        return "processes left behind"
    return ""


class _Reporter:
    """Sends a cell's progress, not more often than a person can read."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._last = 0.0

    def __call__(self, fraction: float) -> None:
        if (moment := time.monotonic()) - self._last >= PROGRESS_EVERY:
            self._last = moment
            self._pipe.send(("progress", fraction))
