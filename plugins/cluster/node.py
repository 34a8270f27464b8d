"""What runs on a node: one cell at a time in a worker of the local engine, and a description of what is installed."""

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
from harness.planning.cross import option_files
from harness.planning.setting import label
from harness.registry import Registry, load_registry
from harness.registry.datasets import locate
from harness.running.engines import Settings
from harness.running.engines.local import Pool


@dataclass(frozen=True)
class NodeSettings:
    """The part of the engine's settings that is sent to the nodes; see ``harness.running.engines.Settings``."""

    timeout: float | None
    memory: int | None
    retries: int
    plugins: tuple[str, ...]


def run_cell(
    cell: Cell, settings: NodeSettings, board: Any
) -> tuple[Record, dict[str, Mapping[str, Any]], tuple[bytes, ...]]:
    """Run a cell on this node; give its record, the environments of the node's workers by digest, and the outcomes of
    its items.

    The local engine runs the cell in a process of its own, so that a crash, a hang or a flood of output costs that
    process alone. The start and the progress go to ``board``, a handle of the actor ``driver.Board``.
    """
    check_cell(cell, _registry(settings.plugins))
    pool, reporter = _pool(settings, cell.device)
    reporter.board = board
    board.put.remote(("start", cell.id, 0.0))
    reporter.items.clear()
    (record,) = [record for _, record in pool.serve([cell])]
    return record, dict(reporter.environments), tuple(reporter.items)


def describe(cells: Sequence[Cell], plugins: tuple[str, ...]) -> dict[str, str]:
    """What the results of these cells depend on here, by name: versions, and a digest of each cell's code."""
    registry = _registry(plugins)
    description = {
        "harness": importlib.metadata.version("harness"),
        "protocol": str(PROTOCOL),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch").partition("+")[0],
        "numpy": importlib.metadata.version("numpy"),
    }
    for cell in cells:
        naming = [name for name, option in registry.tasks[cell.task].options.items() if option.names]
        name = f"code of {cell.method} on {cell.task} {label(cell.options, naming)}".rstrip()
        description[name] = registry.code(cell.method, cell.task, cell.options)
    return description


def check_cell(cell: Cell, registry: Registry) -> None:
    """Raise UsageError where this node has other code or other data than the cell was planned with."""
    node = platform.node()
    if registry.code(cell.method, cell.task, cell.options) != cell.code:
        raise UsageError(f"{node} has other code of {cell.method} on {cell.task} than the machine that plans")
    for name, digest in cell.data.items():
        try:
            digest_here = _data_digest(name, cell, registry)
        except HarnessError as error:
            raise UsageError(f"{node}: {error}") from None
        if digest_here != digest:
            data = (
                f"another file of the {name}" if name.startswith("option ") else f"other files of the data set {name}"
            )
            raise UsageError(f"{node} has {data} than the machine that plans")


def _data_digest(name: str, cell: Cell, registry: Registry) -> str:
    """Digest on this node of an entry of ``Cell.data``: a data set, or the file that an option names."""
    if name in registry.datasets:
        return locate(registry.datasets[name]).digest
    return option_files(cell.options, registry.tasks[cell.task], registry.methods[cell.method])[name]


class _Reporter:
    """Passes on what this process's worker reports about the running cell."""

    def __init__(self) -> None:
        #: The board of the driver whose cell runs.
        self.board: Any = None
        self.environments: dict[str, Mapping[str, Any]] = {}
        #: Outcomes of items of the running cell.
        self.items: list[bytes] = []

    def progress(self, cell: Cell, fraction: float) -> None:
        self.board.put.remote(("progress", cell.id, fraction))


@cache
def _registry(plugins: tuple[str, ...]) -> Registry:
    return load_registry(plugins)


#: The open pool of this process, by settings, device and visible GPUs; never more than one.
_OPEN: dict[tuple[NodeSettings, str, str | None], tuple[Pool, _Reporter]] = {}


def _pool(settings: NodeSettings, device: str) -> tuple[Pool, _Reporter]:
    """A pool with one worker that stays from cell to cell: starting a worker takes seconds."""
    # Ray may show this process another GPU than before.
    key = (settings, device, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if key in _OPEN:
        return _OPEN[key]
    while _OPEN:
        pool, _ = _OPEN.popitem()[1]
        pool.close()
    reporter = _Reporter()
    engine_settings = Settings(
        jobs=1,
        # Ray shows this process only the GPU that it may use.
        slots=(device if device == "cpu" else f"{device}:0",),
        timeout=settings.timeout,
        memory=settings.memory,
        retries=settings.retries,
        plugins=settings.plugins,
        on_progress=reporter.progress,
        on_environment=reporter.environments.__setitem__,
        on_items=reporter.items.append,
    )
    _OPEN[key] = Pool(engine_settings, stay=True), reporter
    return _OPEN[key]
