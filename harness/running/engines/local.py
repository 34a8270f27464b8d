"""The local engine: worker processes on this machine, one per device slot.

Workers are forked from a server that has imported torch once, so that replacing one takes milliseconds, and the
parent itself never touches torch or CUDA. Whatever happens to a worker costs the one cell that ran there.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any

from harness.cell import Cell, Record
from harness.errors import HarnessError
from harness.records.provenance import WORKER_ENVIRONMENT
from harness.running.engines import Settings
from harness.running.engines.child_process import start_server
from harness.running.engines.devices import check_devices_exist
from harness.running.engines.worker_process import WorkerProcess, spawn_worker
from harness.running.execute import record_of

#: Seconds a worker gets to load its plugins before it counts as broken.
START_LIMIT = 300.0
#: How often in a row a worker may fail to start on a slot before the slot is given up.
START_TRIES = 2
#: Seconds between two looks at time limits, memory and output.
LOOK_EVERY = 0.1


def prepare(devices: Sequence[str]) -> None:
    """Start the workers' server. Raises UsageError for devices that this machine does not have."""
    check_devices_exist(devices)
    warm_up()


def warm_up() -> None:
    """Start the server that workers are forked from. Returns at once; torch is imported there meanwhile."""
    start_server("harness.running.engines.preload", WORKER_ENVIRONMENT)


def run(cells: Sequence[Cell], settings: Settings) -> Iterator[tuple[Cell, Record]]:
    """Run the cells on this machine's slots; see ``harness.running.engines``."""
    warm_up()
    pool = Pool(settings)
    try:
        yield from pool.serve(cells)
    finally:
        pool.close()


class Pool:
    """The workers of one run: hands out cells, collects records, replaces what died."""

    def __init__(self, settings: Settings, stay: bool = False) -> None:
        self.settings = settings
        #: Whether workers stay when there is nothing to do.
        self.stay = stay
        self.workers: list[WorkerProcess] = []
        self.queues: dict[str, deque[Cell]] = {}
        self.attempts: Counter[str] = Counter()
        self.environments: set[str] = set()
        #: Failed starts in a row, by slot, and why a slot was given up.
        self.false_starts: Counter[str] = Counter()
        self.given_up: dict[str, str] = {}
        #: Records of failures that look like the device's, by slot, until its next worker shows whether they are.
        self.doubtful: dict[str, tuple[Cell, Record]] = {}
        self._looked = 0.0

    def serve(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Record]]:
        """Yield a record for every cell that runs here, or for those that ran before the stop."""
        for cell in cells:
            self.queues.setdefault(cell.device, deque()).append(cell)
        while True:
            if self.settings.stop():
                self.queues.clear()
            self._spawn_workers()
            for worker in self.workers:
                self._give_cell(worker)
            yield from self._give_up_slots()
            if not any(self.queues.values()) and not any(w.cell for w in self.workers) and not self.doubtful:
                return
            handles = {h: w for w in self.workers for h in w.child.handles}
            ready = wait(list(handles), timeout=LOOK_EVERY)
            for worker in dict.fromkeys(handles[h] for h in ready):  # type: ignore[index]
                yield from self._receive(worker)
            yield from self._enforce_limits()

    def _spawn_workers(self) -> None:
        """Start workers where cells wait for a free slot, and let those go that have nothing to do."""
        for worker in [w for w in self.workers if w.ready and w.cell is None]:
            if not self.queues.get(worker.kind) and not self.stay:
                self._remove(worker)
        for kind, queue in self.queues.items():
            capacity = self._slots(kind)
            for worker in self.workers:
                if worker.slot in capacity:
                    capacity.remove(worker.slot)
            unserved = len(queue) - sum(w.cell is None and w.kind == kind for w in self.workers)
            for slot in capacity[: max(0, unserved)]:
                self.workers.append(spawn_worker(slot, self.settings))
        for slot in self.doubtful:
            if not any(w.slot == slot for w in self.workers) and slot not in self.given_up:
                self.workers.append(spawn_worker(slot, self.settings))

    def _slots(self, kind: str) -> list[str]:
        """The slots of a kind that have not been given up, one entry for each worker."""
        slots = [s for s in self.settings.slots if s.partition(":")[0] == kind and s not in self.given_up]
        return slots * self.settings.jobs if kind == "cpu" else slots

    def _remove(self, worker: WorkerProcess) -> None:
        self.workers.remove(worker)
        worker.kill()

    def _give_cell(self, worker: WorkerProcess) -> None:
        if worker.ready and worker.cell is None and (cell := self._next(worker.kind)):
            self.attempts[cell.id] += 1
            worker.give(cell)
            self.settings.on_start(cell)

    def _next(self, kind: str) -> Cell | None:
        """The next cell that nobody else runs or has run, from the front of the queue."""
        queue = self.queues.get(kind, deque())
        for _ in range(len(queue)):
            cell = queue.popleft()
            state = self.settings.take(cell)
            if state == "free":
                return cell
            if state == "running":
                queue.append(cell)
        return None

    def _give_up_slots(self) -> Iterator[tuple[Cell, Record]]:
        """Give up cells whose kind of device has no slot left."""
        for kind, queue in self.queues.items():
            # As long as no cell has been begun, others that are starting may still show that this machine can run any.
            if queue and not self._slots(kind) and (self.attempts or not self.workers):
                reasons = "; ".join(f"{s}: {why}" for s, why in self.given_up.items() if s.partition(":")[0] == kind)
                if not self.attempts:
                    raise HarnessError(f"no worker can start: {reasons}")
                while queue:
                    yield queue[0], self._lost_record(queue.popleft(), f"no {kind} device is left: {reasons}")

    def _receive(self, worker: WorkerProcess) -> Iterator[tuple[Cell, Record]]:
        """Act on one message of a worker, or on its death."""
        match worker.child.receive():
            case None:
                yield from self._died(worker)
            case ("progress", fraction) if worker.cell:
                self.settings.on_progress(worker.cell, fraction)
            case ("record", record, unfit) if worker.cell:
                cell, worker.cell = worker.cell, None
                record = replace(record, output=worker.tail(), attempts=self.attempts[cell.id])
                if unfit == "device in doubt":
                    self.doubtful[worker.slot] = (cell, record)
                else:
                    yield cell, record
                if unfit:
                    self._remove(worker)
            case ("ready", digest, environment):
                yield from self._ready(worker, digest, environment)
            case ("broken", reason):
                yield from self._failed_to_start(worker, reason)

    def _ready(
        self, worker: WorkerProcess, digest: str, environment: Mapping[str, Any]
    ) -> Iterator[tuple[Cell, Record]]:
        worker.started_up()
        self.false_starts[worker.slot] = 0
        if digest not in self.environments:
            self.environments.add(digest)
            self.settings.on_environment(digest, environment)
        if worker.slot in self.doubtful:
            # The device works for a new worker: the failure was the method's own.
            yield self.doubtful.pop(worker.slot)

    def _died(self, worker: WorkerProcess) -> Iterator[tuple[Cell, Record]]:
        ending = worker.child.why_it_ended()
        if not worker.ready:
            reason = f"it ended as it started, {ending.reason}: {worker.tail()[-300:]}"
            yield from self._failed_to_start(worker, reason)
        else:
            yield from self._kill_worker(worker, "crashed", ending.reason, ending.from_outside)

    def _failed_to_start(self, worker: WorkerProcess, reason: str) -> Iterator[tuple[Cell, Record]]:
        slot = worker.slot
        self._remove(worker)
        self.false_starts[slot] += 1
        if self.false_starts[slot] < START_TRIES:
            return
        self.given_up[slot] = reason
        if slot in self.doubtful:
            cell, record = self.doubtful.pop(slot)
            yield from self._retry_or_yield(cell, replace(record, status="crashed", lost=True))

    def _enforce_limits(self) -> Iterator[tuple[Cell, Record]]:
        """Enforce the limits of time, memory and output, now and then."""
        if (moment := time.monotonic()) - self._looked < LOOK_EVERY:
            return
        self._looked = moment
        time_limit, memory_limit = self.settings.timeout, self.settings.memory
        for worker in list(self.workers):
            if not worker.ready and worker.seconds() > START_LIMIT:
                yield from self._failed_to_start(worker, f"it did not start within {START_LIMIT:.0f} s")
            elif worker.cell:
                worker.limit_output()
                if time_limit is not None and worker.seconds() > time_limit:
                    yield from self._kill_worker(worker, "timeout", f"timed out after {time_limit:g} s", False)
                elif memory_limit is not None and (held := worker.bytes_held()) > memory_limit:
                    cause = f"out of memory: its processes held {held / 1e9:.3g} GB (limit {memory_limit / 1e9:.3g} GB)"
                    yield from self._kill_worker(worker, "crashed", cause, False)

    def _kill_worker(
        self, worker: WorkerProcess, status: str, cause: str, outside: bool
    ) -> Iterator[tuple[Cell, Record]]:
        """End a worker in the middle of its cell, and say what became of the cell."""
        cell, more = worker.cell, {"seconds": worker.seconds(), "output": worker.tail(), "started": worker.started}
        self._remove(worker)
        if cell is None:
            return
        record = record_of(cell, status, cause, lost=outside, attempts=self.attempts[cell.id], **more)  # type: ignore[arg-type]
        yield from self._retry_or_yield(cell, record)

    def _retry_or_yield(self, cell: Cell, record: Record) -> Iterator[tuple[Cell, Record]]:
        """Try a cell again that was lost through no fault of its own, or yield its record."""
        if record.lost and self.attempts[cell.id] <= self.settings.retries and not self.settings.stop():
            self.settings.on_retry(cell, record)
            self.queues.setdefault(cell.device, deque()).appendleft(cell)
        else:
            yield cell, record

    def _lost_record(self, cell: Cell, cause: str) -> Record:
        return record_of(cell, "crashed", cause, lost=True, attempts=self.attempts[cell.id] or 1)

    def close(self) -> None:
        """End every worker."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()
