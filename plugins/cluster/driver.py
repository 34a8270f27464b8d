"""The machine that plans: connects to Ray, checks its nodes, hands out cells and collects their records."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cell import Cell, Record
from harness.errors import HarnessError, UsageError
from harness.running.engines import Settings
from harness.running.execute import record_of
from harness_plugins.cluster.node import NodeSettings, describe, run_cell

if TYPE_CHECKING:
    from types import ModuleType

#: Seconds between two looks at messages from the nodes, and between two at the cluster's resources.
MESSAGES_EVERY = 0.2
RESOURCES_EVERY = 5.0
#: Seconds that a node may take to describe what is installed there.
DESCRIBE_LIMIT = 120.0
#: Differences of a node that are named in an error.
MAX_DIFFERENCES = 3


def run(cells: Sequence[Cell], settings: Settings) -> Iterator[tuple[Cell, Record]]:
    """Run the cells on the cluster at ``settings.address``, or on this machine without one.

    See ``harness.running.engines``. Raises UsageError where Ray is not installed, the cluster cannot be reached, or a
    node has other code.
    """
    ray = _import_ray(alone=settings.address is None)
    try:
        with _own_signals():
            _connect(ray, settings)
        _check_nodes(ray, cells, settings)
        yield from _Driver(ray, settings).serve(cells)
    finally:
        ray.shutdown()


class Board:
    """Messages of the nodes about their running cells; an actor on the driver's node."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, str, float]] = []

    def put(self, message: tuple[str, str, float]) -> None:
        """Add a message: "start" or "progress", the cell's id, and which fraction of the cell is done."""
        self._messages.append(message)

    def take(self) -> list[tuple[str, str, float]]:
        """Give the messages since the last call."""
        messages, self._messages = self._messages, []
        return messages


class _Driver:
    """Keeps as many cells running as the cluster has room for."""

    def __init__(self, ray: ModuleType, settings: Settings) -> None:
        self.ray = ray
        self.settings = settings
        self.node_settings = NodeSettings(settings.timeout, settings.memory, settings.retries, settings.plugins)
        this_node = _affinity(ray.get_runtime_context().get_node_id())
        self.board = ray.remote(Board).options(num_cpus=0, scheduling_strategy=this_node).remote()
        #: Running cells, by the reference to their result.
        self.running: dict[Any, Cell] = {}
        self.attempts: Counter[str] = Counter()
        #: Digests of the environments that have been reported.
        self.environments: set[str] = set()
        #: How many cells of each device kind the cluster can run at once, and when that was read.
        self.capacity: dict[str, int] = {}
        self.capacity_read = -RESOURCES_EVERY

    def serve(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Record]]:
        """Yield a record for every cell that runs here, or for those that ran before the stop."""
        queue = deque(cells)
        try:
            while True:
                if self.settings.stop():
                    queue.clear()
                self._submit_cells(queue)
                if not queue and not self.running:
                    return
                ended, _ = self.ray.wait(list(self.running), timeout=MESSAGES_EVERY) if self.running else ([], [])
                self._pass_on_messages()
                for reference in ended:
                    yield from self._collect(reference, self.running.pop(reference), queue)
                if not self.running and not ended:
                    # The cells that are left run in another process, or wait for a node.
                    time.sleep(MESSAGES_EVERY)
        finally:
            for reference in self.running:
                self.ray.cancel(reference, force=True)

    def _submit_cells(self, queue: deque[Cell]) -> None:
        """Submit cells as long as the cluster has room for their kind of device."""
        if (now := time.monotonic()) - self.capacity_read > RESOURCES_EVERY:
            self.capacity_read = now
            resources = self.ray.cluster_resources()
            self.capacity = {"cpu": int(resources.get("CPU", 0)), "cuda": int(resources.get("GPU", 0))}
        free = Counter(self.capacity)
        free.subtract(Counter(cell.device for cell in self.running.values()))
        for _ in range(len(queue)):
            if not any(count > 0 for count in free.values()):
                return
            cell = queue.popleft()
            if free[cell.device] <= 0:
                queue.append(cell)
                continue
            owner = self.settings.take(cell)
            if owner == "running":
                queue.append(cell)
            elif owner == "free":
                free[cell.device] -= 1
                self._submit(cell)

    def _submit(self, cell: Cell) -> None:
        self.attempts[cell.id] += 1
        # This driver retries by itself, so that each attempt is counted.
        resources = {"num_cpus": 1, "num_gpus": 0 if cell.device == "cpu" else 1, "max_retries": 0}
        task = self.ray.remote(run_cell).options(name=f"{cell.method} on {cell.task}", **resources)
        self.running[task.remote(cell, self.node_settings, self.board)] = cell

    def _collect(self, reference: Any, cell: Cell, queue: deque[Cell]) -> Iterator[tuple[Cell, Record]]:
        """Yield the record of a cell that has ended, or retry it where its node was lost.

        Raises HarnessError where the node cannot take part.
        """
        try:
            record, environments, items = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            # ``run_cell`` raised it: failures of the cell itself come back as records.
            raise HarnessError(str(error.cause).strip().splitlines()[-1]) from None
        except self.ray.exceptions.RayError as error:
            cause = f"its node or the process on it was lost ({type(error).__name__})"
            record = record_of(cell, "crashed", cause, lost=True)
            if self.attempts[cell.id] <= self.settings.retries and not self.settings.stop():
                self.settings.on_retry(cell, record)
                queue.appendleft(cell)
                return
            environments, items = {}, ()
        for digest, environment in environments.items():
            if digest not in self.environments:
                self.environments.add(digest)
                self.settings.on_environment(digest, environment)
        for content in items:
            self.settings.on_items(content)
        yield cell, replace(record, attempts=record.attempts + self.attempts[cell.id] - 1)

    def _pass_on_messages(self) -> None:
        """Pass the nodes' messages on to the settings' callbacks."""
        cells = {cell.id: cell for cell in self.running.values()}
        for kind, cell, fraction in self.ray.get(self.board.take.remote()):
            if cell not in cells:
                continue
            if kind == "start":
                self.settings.on_start(cells[cell])
            else:
                self.settings.on_progress(cells[cell], fraction)


def _import_ray(alone: bool) -> ModuleType:
    """Import ray, quiet and without usage reports; ``alone`` for a Ray of this machine, which others cannot reach.

    Raises UsageError where it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if alone:
        # As on macOS and Windows: all that Ray starts then listens on the loopback address.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Ray hides all GPUs from a process that asks for none, and warns about it.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise UsageError("--engine ray: ray is not installed; 'pip install \"harness[ray]\"' installs it") from None
    return ray


def _connect(ray: ModuleType, settings: Settings) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    if settings.address is None:
        gpus = sum(not slot.startswith("cpu") for slot in settings.slots)
        ray.init(address="local", num_cpus=settings.jobs, num_gpus=gpus, include_dashboard=False, **quiet)
        _check_loopback(ray.nodes())
        return
    _check_address(settings.address)
    try:
        ray.init(address=settings.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"--address {settings.address}: no Ray cluster can be reached there: {reason}") from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces by one that raises SystemExit."""
    before = signal.getsignal(signal.SIGTERM)
    stopped = False
    try:
        yield
    except SystemExit as error:
        stopped = error.code == signal.SIGTERM
        if not stopped:
            raise
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    if stopped:
        signal.raise_signal(signal.SIGTERM)


def _check_loopback(nodes: Sequence[dict[str, Any]]) -> None:
    """Raise UsageError where the Ray that was started on this machine listens to others.

    Anybody who reaches its ports could run code here.
    """
    for node in nodes:
        address = node["NodeManagerAddress"]
        if not ipaddress.ip_address(address).is_loopback:
            advice = "start a cluster with 'ray start --head' where only you reach it, and name it with --address"
            raise UsageError(f"--engine ray: Ray would listen on {address}, which other machines may reach; {advice}")


def _check_address(address: str) -> None:
    """Raise UsageError where nothing listens: Ray itself would try for minutes."""
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
    # One cell for each code: the same method and task have several where their options name other methods.
    of_each_code = list({(cell.method, cell.task, cell.code): cell for cell in cells}.values())
    here = describe(of_each_code, settings.plugins)
    descriptions = {
        node["NodeManagerAddress"]: ray.remote(describe)
        .options(num_cpus=0, scheduling_strategy=_affinity(node["NodeID"]))
        .remote(of_each_code, settings.plugins)
        for node in ray.nodes()
        if node["Alive"]
    }
    for address, reference in descriptions.items():
        try:
            there = ray.get(reference, timeout=DESCRIBE_LIMIT)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UsageError(f"node {address} cannot take part: {reason}") from None
        if different := [f"{k} is {there.get(k)} there and {here[k]} here" for k in here if there.get(k) != here[k]]:
            shown = ", ".join(different[:MAX_DIFFERENCES])
            more = f", and {len(different) - MAX_DIFFERENCES} more" if len(different) > MAX_DIFFERENCES else ""
            raise UsageError(f"node {address} would compute something else: {shown}{more}; install the same on both")


def _affinity(node: str) -> Any:
    """The scheduling strategy that allows this node and no other."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)
