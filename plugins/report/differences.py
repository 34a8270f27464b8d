"""What differs between the records of one suite in two folders, setting by setting, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.cell import Cell, Record
from harness.judge import MIN_SEEDS, Interval, SuiteResult, holm, p_values, t_interval
from harness.numbers import number, with_interval
from harness.planning.setting import Setting, key_of, label, varying_axes

Word = Literal["same bits", "noise", "differs", "too few seeds"]
#: Level of the two-sided test.
ALPHA = 0.05


@dataclass(frozen=True)
class SharedSetting:
    """A setting that both folders have."""

    task: str
    #: The method, and the options that vary.
    label: str
    #: Good records of the first and of the second folder, for each seed that both have.
    pairs: Sequence[tuple[Record, Record]]


@dataclass(frozen=True)
class Difference:
    """One metric of one setting in both folders; the difference is the second minus the first."""

    task: str
    setting: str
    metric: str
    means: tuple[float, float]
    n: int
    interval: Interval | None
    word: Word
    #: Two-sided, after Holm's correction; None where there is no interval.
    p: float | None = None

    @property
    def row(self) -> tuple[str, ...]:
        """Its row in the table."""
        i = self.interval
        ends = (i.low, i.high) if i is not None and i.sd else (None, None)
        difference = with_interval(self.means[1] - self.means[0], *ends)
        means = number(self.means[0]), number(self.means[1])
        return (self.setting, self.metric, *means, difference, str(self.n), self.word)


def shared_settings(first: SuiteResult, second: SuiteResult) -> tuple[list[SharedSetting], list[str]]:
    """The settings that both folders have, and the names of those that only one has.

    A folder with records of a single device is compared with the other one whatever their devices are.
    """
    folders = _good_cells(first), _good_cells(second)
    cells = [cell for folder in folders for cell, _ in folder]
    axes = {task: varying_axes(c for c in cells if c.task == task) for task in {cell.task for cell in cells}}
    before, after = map(_by_setting, folders)
    shared, alone = [], []
    for key, cell in {key_of(cell): cell for cell in cells}.items():
        names = [axis for axis in axes[cell.task] if axis != "device" or cell.device]
        name = f"{cell.method} {label(Setting.of(cell).axes, names)}".rstrip()
        if key in before and key in after:
            seeds = sorted(before[key].keys() & after[key].keys())
            shared.append(SharedSetting(cell.task, name, [(before[key][s], after[key][s]) for s in seeds]))
        else:
            alone.append(f"{cell.task} {name}")
    return shared, alone


def _good_cells(result: SuiteResult) -> list[tuple[Cell, Record]]:
    """Cells with a good record; where all ran on one device, it is left out of them."""
    cells = [(c, r) for c in result.cells if (r := result.outcomes.get(c.id)) is not None and r.good]
    if len({cell.device for cell, _ in cells}) > 1:
        return cells
    return [(replace(cell, device=""), record) for cell, record in cells]


def _by_setting(cells: Iterable[tuple[Cell, Record]]) -> dict[str, dict[int, Record]]:
    """Records by the key of their setting, then by seed."""
    by_setting: dict[str, dict[int, Record]] = {}
    for cell, record in cells:
        by_setting.setdefault(key_of(cell), {})[cell.seed] = record
    return by_setting


def differences(settings: Iterable[SharedSetting]) -> list[Difference]:
    """The differences of every metric in every setting.

    They are paired by seed, since one seed draws the same numbers everywhere. Holm's correction covers all rows that
    depend on chance.
    """
    rows = []
    for setting in settings:
        for metric in dict.fromkeys(m for record, _ in setting.pairs for m in record.metrics):
            both = [(a.metrics, b.metrics) for a, b in setting.pairs]
            values = [(a[metric], b[metric]) for a, b in both if metric in a and metric in b]
            if values:
                rows.append(_difference(setting, metric, values))
    uncertain = [i for i, row in enumerate(rows) if row.p is not None]
    adjusted = holm([rows[i].p or 0.0 for i in uncertain])
    for i, p in zip(uncertain, adjusted, strict=True):
        rows[i] = replace(rows[i], word="differs" if p <= ALPHA else "noise", p=p)
    return rows


def _difference(setting: SharedSetting, metric: str, pairs: Sequence[tuple[float, float]]) -> Difference:
    n = len(pairs)
    means = math.fsum(a for a, _ in pairs) / n, math.fsum(b for _, b in pairs) / n
    if all(a == b for a, b in pairs):
        return Difference(setting.task, setting.label, metric, means, n, None, "same bits")
    if n < MIN_SEEDS:
        return Difference(setting.task, setting.label, metric, means, n, None, "too few seeds")
    interval = t_interval([b - a for a, b in pairs], scale=max(max(abs(a), abs(b)) for a, b in pairs))
    # Above zero or below it: twice the smaller one-sided p-value.
    p = min(1.0, 2 * min(p_values(interval, (0.0, math.inf))))
    return Difference(setting.task, setting.label, metric, means, n, interval, "noise", p)


def time_ratios(settings: Iterable[SharedSetting]) -> list[tuple[str, ...]]:
    """Rows of task, setting, mean seconds in both folders, and how many times as long the second took."""
    rows = []
    for setting in settings:
        seconds = [(a.seconds, b.seconds) for a, b in setting.pairs]
        if not seconds or min(x for pair in seconds for x in pair) <= 0:
            continue
        logs = [math.log(b / a) for a, b in seconds]
        ratio = math.exp(math.fsum(logs) / len(logs))
        ends: tuple[float | None, float | None] = (None, None)
        if len(logs) >= MIN_SEEDS and (interval := t_interval(logs, scale=1.0)).sd:
            ends = math.exp(interval.low), math.exp(interval.high)
        means = [number(math.fsum(column) / len(seconds)) for column in zip(*seconds, strict=True)]
        rows.append((setting.task, setting.label, *means, f"{with_interval(ratio, *ends)} ×"))
    return rows
