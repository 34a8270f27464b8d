"""Contrast: the numbers that a claim is judged by, one per setting and seed, from its paired cells' records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from harness.cell import Cell, Record
from harness.files.claims import Claim, Ratio
from harness.judge.pairing import AnyTest, Condition, Group, labels, members, pair, tested

#: Sums and differences of larger numbers would not be finite.
_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Series:
    """Per-seed values of one setting, or averaged over the settings; positive is in the method's favour."""

    #: Which setting, by the options that vary ("batch_size=8"); "" where there is one, or an average.
    label: str
    values: tuple[float, ...]
    #: Mean metric of the method and of what it is compared with (None for a printed number), or mean gaps.
    a: float
    b: float | None
    #: The largest magnitude among the numbers that the values were computed from: it bounds their rounding.
    scale: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """What a claim is judged by: one series, or one per setting where it must hold in each."""

    series: tuple[Series, ...] = ()
    settings: int = 0
    #: Why there are no numbers, in a sentence; "" where there are.
    cause: str = ""


def contrast(claim: Claim, cells: Iterable[Cell], records: Mapping[str, Record], sign: int, device: str) -> Contrast:
    """Per-seed values d_s = o (A_s - B_s) of a claim's comparison, with o = ``sign``, or why there are none.

    For a printed number B_s is that number; for `Ratio` d_s = o log(A_s / B_s); for a difference of
    differences d_s = o ((A_s - B_s) - (A'_s - B'_s)). Cells of one side that differ only in what the other
    side lacks are averaged first. A claim that must hold in each setting, or that does not depend on chance,
    gets one series per setting; any other claim one series, averaged over the settings seed by seed.
    """
    test = tested(claim)
    groups, cause = pair(claim, cells, device)
    cause = cause or lacking(groups, records, test.metric)
    if cause:
        return Contrast(cause=cause)
    rows_of: dict[Condition, list[tuple[float, ...]]] = {}
    for condition, seeds in groups[0].items():
        for seed in seeds:
            of_sides = [group[condition][seed] for group in groups]
            row = tuple(mean(records[c.id].metrics[test.metric] for c in cells) for cells in of_sides)
            if cause := _unfit(test, row, [cells[0] for cells in of_sides]):
                return Contrast(cause=cause)
            rows_of.setdefault(condition, []).append(row)
    named = zip(labels(rows_of), rows_of.values(), strict=True)
    series = [_series(test, label, rows, sign) for label, rows in named]
    if not (getattr(test, "each", False) or test.seeds == 1):
        series = [_average(series)]
    return Contrast(tuple(series), len(rows_of))


def _unfit(test: AnyTest, row: Sequence[float], cells: Sequence[Cell]) -> str:
    """Why the numbers of the sides under one seed cannot be compared; "" where they can."""
    for number, cell in zip(row, cells, strict=True):
        not_positive = isinstance(test, Ratio) and number <= 0
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


def _series(test: AnyTest, label: str, rows: Sequence[tuple[float, ...]], sign: int) -> Series:
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
    b = None if printed is not None else mean(row[1] for row in rows)
    return Series(label, tuple(values), mean(row[0] for row in rows), b, scale)


def _average(series: Sequence[Series]) -> Series:
    """The mean over settings of each seed's values."""
    values = tuple(mean(of_seed) for of_seed in zip(*(s.values for s in series), strict=True))
    b = [s.b for s in series if s.b is not None]
    return Series("", values, mean(s.a for s in series), mean(b) if b else None, max(s.scale for s in series))
