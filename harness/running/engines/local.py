"""The local engine: worker processes on this machine, one at a time on each device slot.

Every cell on the CPU runs in a fork of its own of a server that has loaded the plugins, the task with its data, and the
method, and has run nothing else. So a cell begins as if it were the first one, whatever ran before it, and costs
milliseconds more than a call. The parent itself never touches torch or CUDA.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.cell import Cell, Record
from harness.errors import HarnessError
from harness.records.items import item_digest
from harness.running.engines import Settings
from harness.running.engines.child_process import ChildProcess, wait_for
from harness.running.engines.devices import check_devices_exist
from harness.running.engines.outcome import Message
from harness.running.engines.servers import START_LIMIT, START_TRIES, Servers, warm_up
from harness.running.engines.worker import DEVICE_IN_DOUBT, run_many, run_one
from harness.running.engines.worker_process import WorkerProcess
from harness.running.execute import record_of

#: Seconds between two looks at time limits, memory and output.
LOOK_EVERY = 0.1
#: Seconds that a worker on the CPU gets to end after it has sent what came of its cell.
END_LIMIT = 10.0


def prepare(devices: Sequence[str]) -> None:
    """Start the workers' server. Raises UsageError for devices that this machine does not have."""
    check_devices_exist(devices)
    warm_up()


def run(cells: Sequence[Cell], settings: Settings) -> Iterator[tuple[Cell, Record]]:
    """Run the cells on this machine's slots; see ``harness.running.engines``."""
    pool = Pool(settings)
    try:
        yield from pool.serve(cells)
    finally:
        pool.close()


class Pool:
    """The workers of one run: hands out cells, collects records, replaces what died."""

    def __init__(self, settings: Settings, stay: bool = False) -> None:
        self.settings = settings
        #: Whether workers that run several cells stay when there is nothing to do.
        self.stay = stay
        self.servers = Servers(settings.plugins)
        self.workers: list[WorkerProcess] = []
        self.queues: dict[str, deque[Cell]] = {}
        self.attempts: Counter[str] = Counter()
        self.environments: set[str] = set()
        #: Failed starts in a row, by slot, and why a slot was given up.
        self.false_starts: Counter[str] = Counter()
        self.given_up: dict[str, str] = {}
        #: Records of failures that look like the device's, by slot, until its next worker shows whether they are.
        self.doubtful: dict[str, tuple[Cell, Record]] = {}
        #: Environments of the slots' workers.
        self.digests: dict[str, str] = {}
        self._looked = 0.0

    def serve(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Record]]:
        """Yield a record for every cell that runs here, or for those that ran before the stop.

        Raises HarnessError where no worker can start.
        """
        for cell in cells:
            self.queues.setdefault(cell.device, deque()).append(cell)
        while True:
            if self.settings.stop():
                self.queues.clear()
            if prepared := self.servers.check_root():
                self._report_environment("cpu", prepared.digest, prepared.environment)
                self._let_go()
                self._start_workers()
                yield from self._advance()
            yield from self._give_up_slots()
            if not any(self.queues.values()) and not any(w.cell for w in self.workers) and not self.doubtful:
                return
            wait_for([w.child for w in self.workers if w.child], self.servers.all(), LOOK_EVERY)
            for worker in list(self.workers):
                yield from self._receive(worker)
            yield from self._enforce_limits()

    def close(self) -> None:
        """End every worker and server."""
        for worker in self.workers:
            worker.close()
        self.workers.clear()
        self.servers.close()

    # Starting -------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Let workers go that have nothing to do."""
        for worker in [w for w in self.workers if w.ready and w.cell is None]:
            if not self.queues.get(worker.kind) and not self.stay:
                self._remove(worker)

    def _start_workers(self) -> None:
        """Start workers where cells wait for a free slot."""
        for kind, queue in self.queues.items():
            free = self._slots(kind)
            for worker in self.workers:
                if worker.slot in free:
                    free.remove(worker.slot)
            for slot in free:
                worker = WorkerProcess(slot)
                if worker.runs_several:
                    if len(queue) > sum(w.cell is None and w.kind == kind for w in self.workers):
                        self.workers.append(worker)
                elif cell := self._next(kind):
                    worker.cell = cell
                    self.attempts[cell.id] += 1
                    self.workers.append(worker)
                    self.settings.on_start(cell)
        busy = {worker.slot for worker in self.workers}
        self.workers += [WorkerProcess(slot) for slot in self.doubtful if slot not in busy | self.given_up.keys()]

    def _advance(self) -> Iterator[tuple[Cell, Record]]:
        """Fork the processes of workers whose server is ready, and give cells to those that run several."""
        for worker in list(self.workers):
            if worker.child is not None:
                if worker.ready and worker.cell is None:
                    self._give_cell(worker)
            elif worker.runs_several:
                worker.child = self._fork(worker.slot)
            elif worker.cell is not None:
                server, ended = self.servers.for_cell(worker.cell)
                worker.waits_for = server
                if ended is not None:
                    cause = f"{ended.reason} while its code and data were loaded"
                    yield from self._kill_worker(worker, "crashed", cause, ended.from_outside)
                elif server.ready:
                    worker.waits_for = None
                    worker.child = server.fork(run_one, (worker.cell, worker.slot, self.settings.memory))

    def _fork(self, slot: str) -> ChildProcess:
        """Fork the process of a worker that runs several cells on this slot."""
        return self.servers.root.fork(run_many, (slot, self.settings.memory))

    def _give_cell(self, worker: WorkerProcess) -> None:
        """Give the next cell to a worker that runs several, or replace it where the cell is of other plugins."""
        cell = self._next(worker.kind)
        if cell is None:
            return
        owners = self.servers.root.prepared.owners if self.servers.root.ready else {}
        plugins = owners.get(("method", cell.method), ""), owners.get(("task", cell.task), "")
        if worker.plugins not in (None, plugins):
            self.queues[worker.kind].appendleft(cell)
            self._remove(worker)
            return
        worker.plugins = plugins
        self.attempts[cell.id] += 1
        worker.give(cell)
        self.settings.on_start(cell)

    def _slots(self, kind: str) -> list[str]:
        """The slots of a kind that have not been given up, one entry for each worker."""
        slots = [s for s in self.settings.slots if s.partition(":")[0] == kind and s not in self.given_up]
        return slots * self.settings.jobs if kind == "cpu" else slots

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

    # Messages -------------------------------------------------------------------------------------------------

    def _receive(self, worker: WorkerProcess) -> Iterator[tuple[Cell, Record]]:
        """Act on the messages of a worker, and on its end."""
        if worker.child is None:
            return
        ended = worker.child.ended
        messages = list(worker.messages())
        if worker.garbage and worker.cell is not None:
            cause = f"its process sent what is no record of a cell: {worker.garbage!r}"
            yield from self._kill_worker(worker, "failed", cause, False)
            return
        for message in messages:
            yield from self._act_on(worker, message)
        if ended and worker in self.workers:
            yield from self._ended(worker)

    def _act_on(self, worker: WorkerProcess, message: Message) -> Iterator[tuple[Cell, Record]]:
        if message.ready is not None and worker.runs_several and not worker.ready:
            worker.ready = True
            self.false_starts[worker.slot] = 0
            self.digests[worker.slot] = message.ready
            self._report_environment(worker.slot, message.ready, message.environment)
            if worker.slot in self.doubtful:
                # The device works for a new worker: the failure was the method's own.
                yield self.doubtful.pop(worker.slot)
        elif message.broken is not None and worker.runs_several and not worker.ready:
            yield from self._failed_to_start(worker, message.broken)
        elif worker.cell is not None and message.progress is not None:
            self.settings.on_progress(worker.cell, message.progress)
        elif worker.cell is not None and message.outcome is not None:
            worker.outcome, worker.since = message.outcome, time.monotonic()
            if worker.runs_several:
                cell, record = worker.cell, self._record(worker, worker.cell)
                worker.cell = None
                if message.unfit == DEVICE_IN_DOUBT:
                    self.doubtful[worker.slot] = (cell, record)
                else:
                    yield cell, record
                if message.unfit:
                    self._remove(worker)

    def _ended(self, worker: WorkerProcess) -> Iterator[tuple[Cell, Record]]:
        """Say what became of the cell of a worker that has ended."""
        assert worker.child is not None
        ending = worker.child.why_it_ended()
        if worker.outcome is not None and worker.cell is not None:
            cell, record = worker.cell, self._record(worker, worker.cell)
            self._remove(worker)
            yield cell, record
        elif worker.runs_several and not worker.ready:
            reason = f"it ended as it started, {ending.reason}: {worker.tail()[-300:]}"
            yield from self._failed_to_start(worker, reason)
        elif worker.child.exit_code == 0:
            yield from self._kill_worker(worker, "crashed", "its process ended before the task returned", False)
        else:
            yield from self._kill_worker(worker, "crashed", ending.reason, ending.from_outside)

    def _record(self, worker: WorkerProcess, cell: Cell) -> Record:
        """The record of a cell whose worker has sent an outcome."""
        assert worker.outcome is not None
        outcome = worker.outcome
        for content in outcome.items.values():
            self.settings.on_items(content)
        return record_of(
            cell,
            outcome.status,
            outcome.cause,
            metrics=outcome.metrics,
            curves=outcome.curves,
            items={name: item_digest(content) for name, content in outcome.items.items()},
            seconds=outcome.seconds,
            peak_bytes=outcome.peak_bytes,
            environment=self.digests[worker.slot],
            started=worker.started,
            output=worker.tail(),
            attempts=self.attempts[cell.id],
        )

    def _report_environment(self, slot: str, digest: str, environment: Mapping[str, Any]) -> None:
        self.digests[slot] = digest
        if digest not in self.environments:
            self.environments.add(digest)
            self.settings.on_environment(digest, environment)

    # Limits ---------------------------------------------------------------------------------------------------

    def _enforce_limits(self) -> Iterator[tuple[Cell, Record]]:
        """Enforce the limits of time, memory and output, now and then."""
        if (moment := time.monotonic()) - self._looked < LOOK_EVERY:
            return
        self._looked = moment
        for worker in list(self.workers):
            worker.limit_output()
            if worker.runs_several and not worker.ready:
                if worker.seconds() > START_LIMIT:
                    yield from self._failed_to_start(worker, f"it did not start within {START_LIMIT:.0f} s")
            elif worker.outcome is not None and worker.cell is not None:
                if worker.seconds() > END_LIMIT:
                    worker.kill()
                    yield from self._ended(worker)
            elif worker.cell is not None:
                yield from self._enforce_limits_of_cell(worker)

    def _enforce_limits_of_cell(self, worker: WorkerProcess) -> Iterator[tuple[Cell, Record]]:
        time_limit, memory_limit = self.settings.timeout, self.settings.memory
        if time_limit is not None and worker.seconds() > time_limit:
            if worker.waits_for is not None:
                self.servers.give_up(worker.waits_for)
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

    def _remove(self, worker: WorkerProcess) -> None:
        self.workers.remove(worker)
        worker.close()

    def _retry_or_yield(self, cell: Cell, record: Record) -> Iterator[tuple[Cell, Record]]:
        """Try a cell again that was lost through no fault of its own, or yield its record."""
        if record.lost and self.attempts[cell.id] <= self.settings.retries and not self.settings.stop():
            self.settings.on_retry(cell, record)
            self.queues.setdefault(cell.device, deque()).appendleft(cell)
        else:
            yield cell, record

    def _lost_record(self, cell: Cell, cause: str) -> Record:
        return record_of(cell, "crashed", cause, lost=True, attempts=self.attempts[cell.id] or 1)
