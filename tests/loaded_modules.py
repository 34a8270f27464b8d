"""Runs cells of a suite, each in a process of its own, and prints which modules of plugins each of them loaded.

``python loaded_modules.py SUITE`` prints one JSON object a line for each pair of method and task: the modules that
were not loaded before the cell ran, and those that its key digests. Whole-number options are at their lower bounds.
"""

from __future__ import annotations

import json
import os
import sys

# Imported before the forks, as each would take seconds for it.
import scipy.stats  # noqa: F401
import sklearn.linear_model  # noqa: F401
import torch

import harness.running.engines.preload  # noqa: F401
from harness.cell import Cell
from harness.files.suite import Cross, Suite, read_suite
from harness.planning.cross import cells_of
from harness.registry import Registry, load_registry
from harness.running.execute import execute
from harness_plugins.authors.role_calls import smallest


def cells(suite: Suite, registry: Registry) -> list[Cell]:
    """The first cell of each pair of method and task, at the lower bounds of its options."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in cells_of(suite, registry):
        first.setdefault((cell.method, cell.task), cell)
    return [_small(cell, suite, registry) for cell in first.values() if cell.skip is None]


def _small(cell: Cell, suite: Suite, registry: Registry) -> Cell:
    declared = {**registry.methods[cell.method].options, **registry.tasks[cell.task].options}
    options = {**cell.options, **smallest(declared)}
    block = Cross.model_validate({"task": cell.task, "methods": [cell.method], "dtype": cell.dtype, "options": options})
    (small,) = cells_of(Suite(suite.name, suite.path, suite.title, (block,), {}), registry)
    return small


def loaded() -> set[str]:
    """The modules of plugins that are loaded."""
    return {name for name in sys.modules if name.startswith("harness_plugins.")}


def main(name: str) -> None:
    """Run the suite's cells, one forked process each."""
    registry = load_registry()
    torch.set_num_threads(1)
    before = loaded()
    for cell in cells(read_suite(name, registry), registry):
        sys.stdout.flush()
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        record = execute(cell, registry)
        document = {
            "cell": str(cell),
            "status": record.status,
            "cause": record.cause,
            "loaded": sorted(loaded() - before),
            "keyed": sorted(registry.modules(cell.method, cell.task, cell.options)),
        }
        print(json.dumps(document), flush=True)  # noqa: T201
        os._exit(0)


if __name__ == "__main__":
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  tracebacks of cells that fail at their bounds
    main(sys.argv[1])
