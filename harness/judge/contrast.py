"""Contrast: the numbers that a claim is judged by, one per setting and seed, from its paired cells' records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from harness.cell import Cell, Record
from harness.files.claims import Ratio
from harness.judge.pairing import AnyTest, Condition, Group, Statement, labels, members, pair, tested
from harness.spec import Scalar

#: Sums and differences of larger numbers would not be finite.
_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Series:
    """Per-seed values of one setting, or averaged over the settings; positive is in the method's favour."""

    #: Which setting, by the options that vary ("batch_size=8"); "" where there is one, or an average.
    label: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    #: By seed the metric of the method and of what it is compared with (a printed number has no part), or both gaps.
    sides: tuple[tuple[float, ...], ...]
    #: The largest magnitude among the numbers that the values were computed from: it bounds their rounding.
    scale: float

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each side."""
        return tuple(mean(side) for side in zip(*self.sides, strict=True))

    def first(self, count: int) -> Series:
        """The same for its first so many seeds."""
        return replace(self, seeds=self.seeds[:count], values=self.values[:count], sides=self.sides[:count])

    def without(self, place: int) -> Series:
        """The same without one of its seeds."""
        rest = [i for i in range(len(self.values)) if i != place]
        return replace(self, seeds=tuple(self.seeds[i] for i in rest), values=tuple(self.values[i] for i in rest))


@dataclass(frozen=True, slots=True)
class Contrast:
    """What a claim is judged by: one series, or one per setting where it must hold in each."""

    series: tuple[Series, ...] = ()
    #: The settings by the options that vary, averaged over where there is one series.
    settings: tuple[str, ...] = ()
    #: Why there are no numbers, or none from some seed on, in a sentence; "" where there are all.
    cause: str = ""


def contrast(
    claim: Statement,
    cells: Iterable[Cell],
    records: Mapping[str, Record],
    sign: int,
    device: str,
    apart: bool = False,
    most: int | None = None,
) -> Contrast:
    """Per-seed values d_s = o (A_s - B_s) of a claim's comparison, with o = ``sign``, or why there are none.

    The series end before the first seed of which a cell has no good result: seeds are looked at in their order, and
    one that failed is not passed over. They have at most so many seeds as ``most`` says.

    For a printed number B_s is that number; for `Ratio` d_s = o log(A_s / B_s); for a difference of
    differences d_s = o ((A_s - B_s) - (A'_s - B'_s)). Cells of one side that differ only in what the other
    side lacks are averaged first. A claim that must hold in each setting, or settings that are judged ``apart``
    because nothing depends on chance, get one series each; any other claim one series, averaged over the settings
    seed by seed; of several tasks each has the same weight.
    """
    test = tested(claim)
    groups, cause = pair(claim, cells, device, apart)
    if cause:
        return Contrast(cause=cause)
    cause = lacking(groups, records, test.metric)
    rows_of: dict[Condition, list[tuple[float, ...]]] = {condition: [] for condition in groups[0]}
    seeds: list[int] = []
    for seed in list(next(iter(groups[0].values())))[:most]:
        rows, problem = _rows(test, groups, seed, records)
        cause = cause or problem
        if problem:
            break
        seeds.append(seed)
        for condition, row in rows.items():
            rows_of[condition].append(row)
    names = labels(rows_of)
    if not seeds:
        return Contrast((), tuple(names), cause)
    series = [_series(test, name, tuple(seeds), rows, sign) for name, rows in zip(names, rows_of.values(), strict=True)]
    if not (apart or getattr(test, "each", False)):
        by_task: dict[Scalar | None, list[Series]] = {}
        for condition, one in zip(rows_of, series, strict=True):
            by_task.setdefault(dict(condition).get("task"), []).append(one)
        series = [_average([_average(of_task) for of_task in by_task.values()])]
    return Contrast(tuple(series), tuple(names), cause)


def _rows(
    test: AnyTest, groups: Sequence[Group], seed: int, records: Mapping[str, Record]
) -> tuple[dict[Condition, tuple[float, ...]], str]:
    """The numbers of the sides under one seed in each condition, or why they cannot be compared."""
    rows: dict[Condition, tuple[float, ...]] = {}
    for condition in groups[0]:
        of_sides = [group[condition][seed] for group in groups]
        values = [_values(cells, records, test.metric) for cells in of_sides]
        if None in values:
            return {}, lacking([{condition: {seed: cells}} for cells in of_sides], records, test.metric)
        row = tuple(_mean(own) for own in values if own)
        if cause := _unfit(test, row, [cells[0] for cells in of_sides]):
            return {}, cause
        rows[condition] = row
    return rows, ""


def _values(cells: Sequence[Cell], records: Mapping[str, Record], metric: str) -> list[float] | None:
    """The metric of each cell; None where one has no good result for it."""
    values = []
    for cell in cells:
        record = records.get(cell.id)
        if record is None or record.status != "done" or (value := record.metrics.get(metric)) is None:
            return None
        values.append(value)
    return values


def _mean(values: Sequence[float]) -> float:
    """The mean, rounded once; of a single value without the fractions that take ten times as long."""
    return values[0] + 0.0 if len(values) == 1 else mean(values)


def _unfit(test: AnyTest, row: Sequence[float], cells: Sequence[Cell]) -> str:
    """Why the numbers of the sides under one seed cannot be compared; "" where they can."""
    ratio = isinstance(test, Ratio)
    for number, cell in zip(row, cells, strict=True):
        not_positive = ratio and number <= 0
        if not_positive or abs(number) > _LARGEST:
            why = "a ratio needs positive values" if not_positive else "a number is too large to be judged"
            return f"{why}: {test.metric} is {number:g} for {cell}"
    return ""


def lacking(groups: Iterable[Group], records: Mapping[str, Record], metric: str) -> str:
    """A sentence on the cells that have no good result for ``metric``; "" where all have one."""
    cells = members(groups)
    bad = [c for c in cells if (r := records.get(c.id)) is None or not r.good or metric not in r.metrics]
    if not bad:
        return ""
    record = records.get(bad[0].id)
    if record is None:
        why = f"skipped: {bad[0].skip}" if bad[0].skip else "has not run"
    elif record.good:
        why = f"gave no finite {metric}"
    else:
        why = f"{record.status}: {record.cause or 'no cause recorded'}"
    if all(cell.id not in records and not cell.skip for cell in bad):
        return f"{len(bad)} of its {len(cells)} cells have not run"
    first = f"{bad[0].method} on {bad[0].task} seed={bad[0].seed} ({bad[0].id[:10]})"
    return f"{len(bad)} of {len(cells)} cells have no good record; first: {first} {why}"


def _series(test: AnyTest, label: str, seeds: tuple[int, ...], rows: Sequence[tuple[float, ...]], sign: int) -> Series:
    scale = max(abs(number) for row in rows for number in row)
    printed: float | None = getattr(test, "value", None)
    if printed is not None:
        scale = max(scale, abs(printed))
        values = [sign * (a - printed) for (a,) in rows]
    elif isinstance(test, Ratio):
        # One unit in the last place of A moves log(A) by as much as it moves 1.
        scale = max(1.0, *(abs(math.log(number)) for row in rows for number in row))
        values = [sign * (math.log(a) - math.log(b)) for a, b in rows]
    else:
        if len(rows[0]) == 4:
            rows = [(a - b, other_a - other_b) for a, b, other_a, other_b in rows]
        values = [sign * (a - b) for a, b in rows]
    return Series(label, seeds, tuple(values), tuple(rows), scale)


def _average(series: Sequence[Series]) -> Series:
    """The mean over settings of each seed's values."""
    values = tuple(_mean(of_seed) for of_seed in zip(*(s.values for s in series), strict=True))
    sides = tuple(
        tuple(_mean(of_side) for of_side in zip(*of_seed, strict=True))
        for of_seed in zip(*(s.sides for s in series), strict=True)
    )
    return Series("", series[0].seeds, values, sides, max(s.scale for s in series))
