"""What runs on a node: one cell at a time in a worker of the local engine, and a look at what is installed there."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.cell import PROTOCOL, Cell, Record
from harness.errors import HarnessError, UsageError
from harness.registry import Registry, load_registry
from harness.registry.datasets import locate
from harness.running.engines import Settings
from harness.running.engines.local import Pool, warm_up


@dataclass(frozen=True)
class Order:
    """How a node is to run a cell; everything in it can be sent."""

    timeout: float | None
    memory: int | None
    retries: int
    plugins: tuple[str, ...]


def run_cell(cell: Cell, order: Order, board: Any) -> tuple[Record, dict[str, Mapping[str, Any]]]:
    """Run a cell on this node, in a process of its own, and give its record and the environments it met.

    The local engine does it, so that a crash, a hang or a flood ends here as it does anywhere. ``board`` is told of
    the start and of progress.
    """
    check_cell(cell, _registry(order.plugins))
    pool, heard = _pool(order, cell.device)
    heard.board, heard.cell = board, cell.id
    board.put.remote(("start", cell.id, 0.0))
    found: list[Record] = [record for _, record in pool.serve([cell])]
    return found[0], dict(heard.environments)


def describe(pairs: Sequence[tuple[str, str]], plugins: tuple[str, ...]) -> dict[str, str]:
    """What results on this node depend on, by name: versions, and the code of each method with its task."""
    registry = _registry(plugins)
    found = {
        "harness": importlib.metadata.version("harness"),
        "protocol": str(PROTOCOL),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch").partition("+")[0],
        "numpy": importlib.metadata.version("numpy"),
    }
    for method, task in pairs:
        found[f"code of {method} on {task}"] = registry.code(method, task)
    return found


def check_cell(cell: Cell, registry: Registry) -> None:
    """Raise UsageError where this node has other code or other data than the cell was planned with."""
    here = registry.code(cell.method, cell.task, cell.options)
    if here != cell.code:
        raise UsageError(f"{platform.node()} has other code of {cell.method} on {cell.task} than the machine that asks")
    for name, digest in cell.data.items():
        try:
            found = locate(registry.datasets[name]).digest
        except HarnessError as error:
            raise UsageError(f"{platform.node()}: {error}") from None
        if found != digest:
            raise UsageError(f"{platform.node()} has other files of the data set {name} than the machine that asks")


class _Heard:
    """What this process's workers say, for the cell that is running."""

    def __init__(self) -> None:
        self.board: Any = None
        self.cell = ""
        self.environments: dict[str, Mapping[str, Any]] = {}

    def progress(self, cell: Cell, fraction: float) -> None:
        self.board.put.remote(("progress", cell.id, fraction))


@cache
def _registry(plugins: tuple[str, ...]) -> Registry:
    return load_registry(plugins)


#: The pool of this process, by what it was opened for.
_OPEN: dict[tuple[Order, str, str | None], tuple[Pool, _Heard]] = {}


def _pool(order: Order, device: str) -> tuple[Pool, _Heard]:
    """The worker of this process, kept from cell to cell: starting one takes seconds."""
    # Ray may show this process another GPU than before.
    key = (order, device, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if key in _OPEN:
        return _OPEN[key]
    while _OPEN:
        _OPEN.popitem()[1][0].close()
    warm_up()
    heard = _Heard()
    settings = Settings(
        jobs=1,
        # Ray shows this process the one GPU that it may use.
        slots=(device if device == "cpu" else f"{device}:0",),
        timeout=order.timeout,
        memory=order.memory,
        retries=order.retries,
        plugins=order.plugins,
        on_progress=heard.progress,
        on_environment=heard.environments.__setitem__,
    )
    _OPEN[key] = Pool(settings, stay=True), heard
    return _OPEN[key]
