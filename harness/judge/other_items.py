"""What other test items would give for a claim: its paired cells' outcomes, read from the results folder."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cell import Cell, Record
from harness.files.claims import Claim, Equal, Greater
from harness.judge.items import ItemIntervals, item_intervals
from harness.judge.pairing import Condition, Group, labels, members, pair, tested
from harness.judge.scales import scale_of
from harness.judge.verdicts import Verdict
from harness.records.items import MEAN_TOLERANCE, items_path, read_items
from harness.spec import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Outcomes = NDArray[np.uint8]


@dataclass(frozen=True)
class OtherItems:
    """The outcomes of items that a plan's records name."""

    cells: Sequence[Cell]
    records: Mapping[str, Record]
    tasks: Mapping[str, Task]
    folder: Path
    #: Tasks and metrics that some record has outcomes for.
    named: frozenset[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        named = frozenset((record.task, metric) for record in self.records.values() for metric in record.items)
        object.__setattr__(self, "named", named)

    def of(self, claim: Claim, verdict: Verdict) -> ItemIntervals | None:
        """The intervals beside the verdict on a claim that compares two sides on one fixed test set; else None.

        They are of the seeds that the verdict rests on. What is missing or damaged costs them alone.
        """
        test = tested(claim)
        if not isinstance(test, Greater | Equal) or verdict.scale != "difference" or not verdict.n:
            return None
        if verdict.deterministic or not any((task, test.metric) in self.named for task in test.tasks):
            return None
        groups, cause = pair(claim, self.cells, verdict.device)
        if cause or len(groups) != 2 or not (groups := _of_setting(groups, verdict)):
            return None
        compared = members(groups)
        if {self.tasks[cell.task].test_set_of(cell.options) for cell in compared} != {"fixed"}:
            return None
        if len({cell.task for cell in compared}) > 1:
            return None
        seeds = list(next(iter(groups[0].values())))[: verdict.n]
        sign = -1 if verdict.better == "lower" else 1
        intervals = self._intervals(groups, seeds, test.metric, sign)
        return intervals.beside(verdict.verdict, scale_of(test, sign).region)

    def _intervals(self, groups: Sequence[Group], seeds: Sequence[int], metric: str, sign: int) -> ItemIntervals:
        """The intervals over the pairs of cells under these seeds."""
        import numpy as np

        cells = [c for group in groups for by_seed in group.values() for seed in seeds for c in by_seed[seed]]
        if problem := self._problem(cells, metric):
            return ItemIntervals(cause=problem)
        outcomes: dict[str, Outcomes] = {}
        for cell in cells:
            read = self._read(self.records[cell.id], metric)
            if isinstance(read, str):
                return ItemIntervals(cause=read)
            outcomes[cell.id] = read
        if len(counts := sorted({len(own) for own in outcomes.values()})) > 1:
            return ItemIntervals(cause=f"some cells have outcomes of {counts[0]} items and some of {counts[-1]}")

        def difference(condition: Condition, seed: int) -> Array:
            """Of each item, from the mean over the cells of each side."""
            first, other = (
                np.mean([outcomes[c.id] for c in group[condition][seed]], axis=0, dtype=float) for group in groups
            )
            return np.asarray(sign * (first - other))

        digests = "".join(self.records[cell.id].items[metric] for cell in cells)
        entropy = int.from_bytes(hashlib.sha256(digests.encode()).digest()[:8], "big")
        rows = ([difference(condition, seed) for condition in groups[0]] for seed in seeds)
        return item_intervals(rows, entropy, single=len(cells) == 2)

    def _problem(self, cells: Sequence[Cell], metric: str) -> str:
        """Why these cells have no outcomes of the same items, as far as their records say; "" where they have."""
        records = [record for cell in cells if (record := self.records.get(cell.id)) and metric in record.items]
        if without := len(cells) - len(records):
            return f"{without} of {len(cells)} records name no outcomes"
        if any(r.data.get(name, digest) != digest for r in records for name, digest in records[0].data.items()):
            return "the records are of different data"
        return ""

    def _read(self, record: Record, metric: str) -> Outcomes | str:
        """The outcomes that a record names, or why there are none."""
        import numpy as np

        path = items_path(self.folder, record.items[metric])
        content = read_items(path)
        if not isinstance(content, bytes):
            return f"items/{path.name} is {content}"
        outcomes = np.frombuffer(content, dtype=np.uint8)
        if abs(float(outcomes.mean()) - record.metrics.get(metric, math.inf)) > MEAN_TOLERANCE:
            return f"items/{path.name} does not have the mean that record {record.id[:10]} says"
        return outcomes


def _of_setting(groups: Sequence[Group], verdict: Verdict) -> list[Group]:
    """The groups, of a claim that must hold in each setting only the setting whose numbers the verdict shows."""
    conditions = list(groups[0])
    if verdict.averaged or len(conditions) == 1:
        return list(groups)
    chosen = [c for c, name in zip(conditions, labels(conditions), strict=True) if name == verdict.weakest]
    return [{condition: group[condition] for condition in chosen} for group in groups] if len(chosen) == 1 else []
