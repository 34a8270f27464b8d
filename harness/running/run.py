"""The run of one cell as its task sees it: device, dtype, seeded generators, options, data, and a place to log."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.cell import Cell
from harness.errors import UnknownName, UsageError
from harness.records.items import MOST_ITEMS
from harness.registry.datasets import load
from harness.registry.registry import Named
from harness.spec import Dataset, Scalar

if TYPE_CHECKING:
    import numpy as np
    import torch

#: Curves are thinned to at most this many points by leaving out every other one, evenly.
CURVE_POINTS = 300


class Run:
    """Everything a task may read beside its method; it reads nothing from the outside world.

    ``slot`` is the device in full ("cuda:1"); ``report`` takes the fraction done.
    """

    def __init__(
        self,
        cell: Cell,
        options: Mapping[str, Scalar],
        datasets: Mapping[str, Dataset],
        slot: str = "cpu",
        report: Callable[[float], None] = lambda fraction: None,
        named: Named | None = None,
    ) -> None:
        #: The task's options, every one it declares.
        self.options: dict[str, Any] = dict(options)
        #: Start of every random generator; equal for all methods under one seed of the suite.
        self.seed = cell.random_seed
        #: What was logged, by name: lists of (step, value).
        self.curves: dict[str, list[tuple[int, float]]] = {}
        #: Outcomes of scored items by metric, one byte an item.
        self.items: dict[str, bytes] = {}
        #: The whole setting, for tasks about methods themselves, such as how fast one is. No random number may depend
        #: on it.
        self.cell = cell
        #: The methods and workloads that the cell's options name, by option, and their references.
        self.named = named or Named()
        self._datasets = dict(datasets)
        self._slot = slot
        self._report = report
        self._stride: dict[str, int] = {}

    @cached_property
    def device(self) -> torch.device:
        """Where tensors belong."""
        import torch

        return torch.device(self._slot)

    @cached_property
    def dtype(self) -> torch.dtype:
        """The floating-point type the cell asks for."""
        import torch

        dtype = getattr(torch, self.cell.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    @cached_property
    def generator(self) -> torch.Generator:
        """A seeded torch generator on the CPU, so that every device draws the same numbers."""
        import torch

        return torch.Generator().manual_seed(self.seed)

    @cached_property
    def rng(self) -> np.random.Generator:
        """A seeded numpy generator."""
        import numpy as np

        return np.random.default_rng(self.seed)

    def data(self, name: str) -> Any:
        """What the loader of one of the task's data sets returned. Arrays in it are read-only: copy to change."""
        if name not in self._datasets:
            raise UnknownName("data set of this task", name, self._datasets)
        return load(self._datasets[name])

    def log(self, step: int, **values: float) -> None:
        """Add a point to curves by name. Values that are not finite are left out."""
        for name, value in values.items():
            stride = self._stride.setdefault(name, 1)
            curve = self.curves.setdefault(name, [])
            if step % stride == 0 and math.isfinite(value := float(value)):
                curve.append((int(step), value))
            if len(curve) > CURVE_POINTS:
                self._stride[name] = stride = 2 * stride
                curve[:] = [point for point in curve if point[0] % stride == 0]

    def outcomes(self, metric: str, outcomes: Any) -> None:
        """Keep what became of each item of a fixed test set: 1 or True for right, 0 or False for wrong.

        ``metric`` is their mean. Items stand in the same order under every seed and for every method. Raises
        UsageError for anything but one row of booleans or whole numbers 0 and 1, and for more than ten million items.
        """
        import numpy as np

        detach = getattr(outcomes, "detach", None)
        try:
            values = np.asarray(detach().cpu() if detach else outcomes)
        except (TypeError, ValueError) as error:
            raise UsageError(f"outcomes of {metric}: no row of numbers: {str(error)[:200]}") from None
        if values.ndim != 1 or not values.size or values.dtype.kind not in "bui":
            problem = f"shape {list(values.shape)} of {values.dtype}"
            raise UsageError(
                f"outcomes of {metric}: {problem}; one row of booleans or of whole numbers 0 and 1 is needed"
            )
        if values.dtype.kind != "b" and len(strange := values[(values != 0) & (values != 1)]):
            raise UsageError(f"outcomes of {metric}: {strange[0]} is among them; 0 and 1 are allowed")
        if values.size + sum(map(len, self.items.values())) > MOST_ITEMS:
            raise UsageError(f"outcomes of {metric}: a cell may hand over at most {MOST_ITEMS:,} items in all")
        if metric in self.items:
            raise UsageError(f"outcomes of {metric} were handed over before")
        self.items[metric] = values.astype(np.uint8).tobytes()

    def progress(self, done: float, total: float) -> None:
        """Say how far the task has come; shown live."""
        if total > 0:
            self._report(min(max(done / total, 0.0), 1.0))
