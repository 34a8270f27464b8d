"""The machine that asks: connects to Ray, checks its nodes, hands out cells and collects their records."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cell import Cell, Record
from harness.errors import HarnessError, UsageError
from harness.running.engines import Settings
from harness.running.execute import record_of
from harness_plugins.cluster.node import Order, describe, run_cell

if TYPE_CHECKING:
    from types import ModuleType

#: Seconds between two looks at what the nodes say, and at what the cluster has.
LOOK_EVERY = 0.2
RESOURCES_EVERY = 5.0
#: Seconds that a node gets to say what is installed there.
ANSWER_LIMIT = 120.0


def run(cells: Sequence[Cell], settings: Settings) -> Iterator[tuple[Cell, Record]]:
    """Run the cells on a cluster, or on this machine where no address is given; see ``harness.running.engines``.

    Raises UsageError where Ray is not installed, the cluster cannot be reached, or a node has other code.
    """
    ray = _ray()
    _connect(ray, settings)
    try:
        _check_nodes(ray, cells, settings)
        yield from _Driver(ray, settings).serve(cells)
    finally:
        ray.shutdown()


class Board:
    """Where nodes write what their cells are doing; an actor beside the driver."""

    def __init__(self) -> None:
        self._said: list[tuple[str, str, float]] = []

    def put(self, message: tuple[str, str, float]) -> None:
        """Write a message: what, which cell, how far."""
        self._said.append(message)

    def take(self) -> list[tuple[str, str, float]]:
        """Everything written since the last time."""
        said, self._said = self._said, []
        return said


class _Driver:
    """Keeps as many cells under way as the cluster has room for."""

    def __init__(self, ray: ModuleType, settings: Settings) -> None:
        self.ray = ray
        self.settings = settings
        self.order = Order(settings.timeout, settings.memory, settings.retries, settings.plugins)
        here = _on(ray.get_runtime_context().get_node_id())
        self.board = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()
        self.under_way: dict[Any, Cell] = {}
        self.attempts: Counter[str] = Counter()
        self.environments: set[str] = set()
        self.room: dict[str, int] = {}
        self.looked = -RESOURCES_EVERY

    def serve(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Record]]:
        """Yield a record for every cell that runs here, or for those that ran before the stop."""
        queue = deque(cells)
        try:
            while True:
                if self.settings.stop():
                    queue.clear()
                self._fill(queue)
                if not queue and not self.under_way:
                    return
                ended, _ = self.ray.wait(list(self.under_way), timeout=LOOK_EVERY) if self.under_way else ([], [])
                self._listen()
                for reference in ended:
                    yield from self._collect(reference, self.under_way.pop(reference), queue)
                if not self.under_way and not ended:
                    # What is left runs in another process, or waits for a node.
                    time.sleep(LOOK_EVERY)
        finally:
            for reference in self.under_way:
                self.ray.cancel(reference, force=True)

    def _fill(self, queue: deque[Cell]) -> None:
        """Hand out cells as long as there is room for their kind of device."""
        if (moment := time.monotonic()) - self.looked > RESOURCES_EVERY:
            self.looked = moment
            have = self.ray.cluster_resources()
            self.room = {"cpu": int(have.get("CPU", 0)), "cuda": int(have.get("GPU", 0))}
        free = Counter(self.room)
        free.subtract(Counter(cell.device for cell in self.under_way.values()))
        for _ in range(len(queue)):
            if not any(count > 0 for count in free.values()):
                return
            cell = queue.popleft()
            if free[cell.device] <= 0:
                queue.append(cell)
                continue
            whose = self.settings.take(cell)
            if whose == "running":
                queue.append(cell)
            elif whose == "ours":
                free[cell.device] -= 1
                self._submit(cell)

    def _submit(self, cell: Cell) -> None:
        self.attempts[cell.id] += 1
        wanted = {"num_cpus": 1, "num_gpus": 0 if cell.device == "cpu" else 1, "max_retries": 0}
        task = self.ray.remote(run_cell).options(name=f"{cell.method} on {cell.task}", **wanted)
        self.under_way[task.remote(cell, self.order, self.board)] = cell

    def _collect(self, reference: Any, cell: Cell, queue: deque[Cell]) -> Iterator[tuple[Cell, Record]]:
        """What came of a cell: its record, another try where its node was lost, or the end of the run."""
        try:
            record, environments = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            # Ours, raised on the node: it cannot take part.
            raise HarnessError(str(error.cause).strip().splitlines()[-1]) from None
        except self.ray.exceptions.RayError as error:
            cause = f"its node or the process on it was lost ({type(error).__name__})"
            record = record_of(cell, "crashed", cause, lost=True)
            if self.attempts[cell.id] <= self.settings.retries and not self.settings.stop():
                self.settings.on_retry(cell, record)
                queue.appendleft(cell)
                return
            environments = {}
        for digest, environment in environments.items():
            if digest not in self.environments:
                self.environments.add(digest)
                self.settings.on_environment(digest, environment)
        yield cell, replace(record, attempts=record.attempts + self.attempts[cell.id] - 1)

    def _listen(self) -> None:
        """Pass on what the nodes have written on the board."""
        cells = {cell.id: cell for cell in self.under_way.values()}
        for what, cell, fraction in self.ray.get(self.board.take.remote()):
            if cell not in cells:
                continue
            if what == "start":
                self.settings.on_start(cells[cell])
            else:
                self.settings.on_progress(cells[cell], fraction)


def _ray() -> ModuleType:
    """The package, quiet and without sending anything anywhere."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Without a GPU asked for, Ray would hide all of them from the driver's process and warn about it.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise UsageError("--engine ray: ray is not installed; 'pip install \"harness[ray]\"' brings it") from None
    return ray


def _connect(ray: ModuleType, settings: Settings) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    if settings.address is None:
        gpus = sum(not slot.startswith("cpu") for slot in settings.slots)
        ray.init(address="local", num_cpus=settings.jobs, num_gpus=gpus, include_dashboard=False, **quiet)
        return
    _must_answer(settings.address)
    try:
        ray.init(address=settings.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"--address {settings.address}: no Ray cluster can be reached there: {reason}") from None


def _must_answer(address: str) -> None:
    """Raise UsageError where nobody listens: Ray itself would go on trying for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    if not port.isdecimal():
        raise UsageError(f"--address {address}: a host and a port are needed, such as 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--address {address}: no Ray cluster can be reached there: {error}") from None


def _check_nodes(ray: ModuleType, cells: Sequence[Cell], settings: Settings) -> None:
    """Raise UsageError naming the first node that would compute something else than this machine."""
    pairs = sorted({(cell.method, cell.task) for cell in cells})
    here = describe(pairs, settings.plugins)
    asked = {
        node["NodeManagerAddress"]: ray.remote(describe)
        .options(num_cpus=0, scheduling_strategy=_on(node["NodeID"]))
        .remote(pairs, settings.plugins)
        for node in ray.nodes()
        if node["Alive"]
    }
    for address, reference in asked.items():
        try:
            there = ray.get(reference, timeout=ANSWER_LIMIT)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UsageError(f"node {address} cannot take part: {reason}") from None
        if different := [name for name in here if there.get(name) != here[name]]:
            told = ", ".join(f"{name} is {there.get(name)} there and {here[name]} here" for name in different[:3])
            more = f", and {len(different) - 3} more" if len(different) > 3 else ""
            raise UsageError(f"node {address} would compute something else: {told}{more}; install the same on both")


def _on(node: str) -> Any:
    """The wish to run on this node and no other."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)
