"""Summaries: what each method measured under each setting, over its seeds. The rows of tables and charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from harness.cell import Cell, Record
from harness.judge.intervals import t_interval
from harness.planning.setting import key_of
from harness.spec import Scalar


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of a metric over seeds; low, high and sd are None for one seed, which tells no spread."""

    mean: float
    #: Student's interval at 0.05 one-sided, a 90 % interval.
    low: float | None
    high: float | None
    n: int
    sd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The cells of a suite that differ only in their seed."""

    suite: str
    method: str
    task: str
    options: Mapping[str, Scalar]
    device: str
    dtype: str
    #: Seeds with a good record, which the numbers below rest on.
    n: int
    #: By metric.
    estimates: Mapping[str, Estimate]
    #: Median wall time of a cell.
    seconds: float | None
    #: Median of the cells' peaks: a worker's first cell also pays for what torch loads on first use.
    peak_bytes: int | None
    #: Cells that failed, ran past their time limit or crashed.
    failures: int
    #: Cells that cannot run here.
    skipped: int
    #: Why the first of both did not end well; "" where all did.
    cause: str


def summarise(cells: Iterable[Cell], records: Mapping[str, Record]) -> tuple[Summary, ...]:
    """One row for each group of cells that differ only in their seed, in the order of the plan.

    ``records`` are by cell id; a cell without one counts nowhere.
    """
    groups: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.suite, key_of(cell)), {})[cell.id] = cell
    return tuple(_summary(list(group.values()), records) for group in groups.values())


def _summary(cells: Sequence[Cell], records: Mapping[str, Record]) -> Summary:
    first = cells[0]
    recorded = [records[cell.id] for cell in cells if cell.id in records]
    good = [record for record in recorded if record.good]
    bad = [record for record in recorded if not record.good]
    metrics = dict.fromkeys(name for record in good for name in record.metrics)
    peaks = [record.peak_bytes for record in good if record.peak_bytes is not None]
    return Summary(
        suite=first.suite,
        method=first.method,
        task=first.task,
        options=dict(first.options),
        device=first.device,
        dtype=first.dtype,
        n=len(good),
        estimates={name: _estimate([r.metrics[name] for r in good if name in r.metrics]) for name in metrics},
        seconds=median(record.seconds for record in good) if good else None,
        peak_bytes=round(median(peaks)) if peaks else None,
        failures=sum(record.status != "skipped" for record in bad),
        skipped=sum(record.status == "skipped" for record in bad),
        cause=(bad[0].cause or bad[0].status) if bad else "",
    )


def _estimate(values: Sequence[float]) -> Estimate:
    if len(values) < 2:
        return Estimate(math.fsum(values), None, None, len(values), None)
    interval = t_interval(values)
    return Estimate(interval.mean, interval.low, interval.high, interval.n, interval.sd)
