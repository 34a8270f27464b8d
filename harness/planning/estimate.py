"""How long cells will take, by past records of cells like them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapreplace
from statistics import median

from harness.cell import Cell, Record


class PastSeconds:
    """Seconds of past cells: of the same method and setting, else of the same setting, else of the task."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._known: dict[object, list[float]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learn from a record."""
        if record.good:
            for key in self._keys(record):
                self._known.setdefault(key, []).append(record.seconds)

    def of(self, cell: Cell) -> float | None:
        """Seconds that the cell will probably take, or None where nothing like it is known."""
        return next((median(self._known[k]) for k in self._keys(cell) if k in self._known), None)

    def total(self, cells: Collection[Cell]) -> float | None:
        """Seconds that all these cells will probably take together; None where nothing is known of any.

        A cell of which nothing is known counts as much as the others do on average.
        """
        counts = Counter(next(iter(self._keys(cell))) for cell in cells)
        example = {next(iter(self._keys(cell))): cell for cell in cells}
        estimates = [(count, self.of(example[key])) for key, count in counts.items()]
        known = [(count, seconds) for count, seconds in estimates if seconds is not None]
        if not known:
            return None
        mean = sum(count * seconds for count, seconds in known) / sum(count for count, _ in known)
        return mean * sum(counts.values())

    def wall(self, cells: Sequence[Cell], workers: Mapping[str, int], more: float = 0.0) -> float | None:
        """Seconds until all these cells have ended, each taken by the first free worker of its device kind.

        ``workers`` are by device kind; each cell takes so many seconds ``more`` than a record of it says. None where
        nothing is known of any.
        """
        total = self.total(cells)
        if total is None:
            return None if cells else 0.0
        free = {kind: [0.0] * count for kind, count in workers.items()}
        known: dict[object, float | None] = {}
        for cell in cells:
            kind = next(iter(self._keys(cell)))
            seconds = known[kind] if kind in known else known.setdefault(kind, self.of(cell))
            ends = (total / len(cells) if seconds is None else seconds) + more + free[cell.device][0]
            heapreplace(free[cell.device], ends)
        return max(max(ends) for ends in free.values())

    @staticmethod
    def _keys(item: Cell | Record) -> Iterator[object]:
        options = tuple(sorted(item.options.items()))
        yield item.method, item.task, item.device, item.dtype, options
        yield item.task, item.device, options
        yield item.task, item.device
