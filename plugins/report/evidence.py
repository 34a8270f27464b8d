"""What a verdict rests on: every seed on every side of a claim's comparison, setting by setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from harness.cell import Cell, Record
from harness.files.claims import Claim, Holds, Ratio
from harness.judge import MIN_SEEDS, Interval, SuiteResult, Verdict, t_interval
from harness.judge.contrast import contrast
from harness.judge.pairing import Group, Side, labels, members, pair, sides, tested
from harness.planning.setting import Setting, label, varying
from harness.spec import Metric

#: By seed, the value on each side.
Values = Mapping[int, tuple[float, ...]]


@dataclass(frozen=True)
class Line:
    """One seed, or one setting where nothing depends on chance: the value on each side, and the number judged."""

    name: str
    values: tuple[float, ...]
    #: On the verdict's scale, positive in the method's favour.
    judged: float


@dataclass(frozen=True)
class Panel:
    """One setting of a comparison, or the average over all."""

    label: str
    lines: tuple[Line, ...]
    #: Of the numbers judged; None where nothing depends on chance, or with too few seeds.
    interval: Interval | None


@dataclass(frozen=True)
class Evidence:
    """All that was compared for one verdict."""

    metric: str
    unit: str
    better: str
    help: str
    #: Names of the sides, the method's first.
    sides: tuple[str, ...] = ()
    panels: tuple[Panel, ...] = ()
    #: A number that the method is compared with, where it is not compared with another method.
    reference: float | None = None
    log: bool = False
    #: How many settings each seed's values are averaged over.
    averaged: int = 1
    #: Cells and their counts, for a claim that nothing is violated.
    counts: tuple[tuple[str, float], ...] = ()


def evidence(claim: Claim, verdict: Verdict, result: SuiteResult) -> Evidence:
    """The numbers behind a verdict; without panels where the claim was not run."""
    test, records = tested(claim), result.records
    task = result.plan.registry.tasks.get(test.task)
    metric = task.metrics[test.metric] if task else Metric()
    no_numbers = Evidence(test.metric, metric.unit, metric.better or "", metric.help)
    cells = [cell for cell in result.plan.scope if cell.task == test.task and cell.method in test.names]
    groups, cause = pair(claim, cells, verdict.device)
    if verdict.verdict == "not-run" or cause:
        return no_numbers
    if isinstance(test, Holds):
        return replace(no_numbers, counts=_counts(members(groups), records, test.metric))
    series = contrast(claim, cells, records, metric.sign, verdict.device).series
    settings, names = _values_by_setting(groups, records, test.metric), labels(groups[0])
    averaged = len(settings) if len(series) < len(settings) else 1
    if averaged > 1:
        # A ratio is judged by the mean of its logarithms, which is the logarithm of the geometric mean.
        settings, names = [_average(settings, mean_of_logs if isinstance(test, Ratio) else fmean)], [""]
    rows = [(name, values, s.values) for name, values, s in zip(names, settings, series, strict=True)]
    return replace(
        no_numbers,
        sides=_side_names(sides(test)),
        panels=_panels(rows, verdict),
        reference=getattr(test, "value", None),
        log=isinstance(test, Ratio),
        averaged=averaged,
    )


def _values_by_setting(groups: Sequence[Group], records: Mapping[str, Record], metric: str) -> list[Values]:
    """For each setting and seed the mean over the cells of each side."""

    def mean(cells: Sequence[Cell]) -> float:
        return fmean(records[cell.id].metrics[metric] for cell in cells)

    return [
        {seed: tuple(mean(group[setting][seed]) for group in groups) for seed in seeds}
        for setting, seeds in groups[0].items()
    ]


def _average(settings: Sequence[Values], mean: Callable[[Sequence[float]], float]) -> Values:
    """The mean over settings, for each seed and side."""
    return {
        seed: tuple(mean(of_side) for of_side in zip(*(setting[seed] for setting in settings), strict=True))
        for seed in settings[0]
    }


def mean_of_logs(values: Sequence[float]) -> float:
    """The geometric mean: the exponential of the mean logarithm.

    >>> round(mean_of_logs([1.0, 100.0]), 9)
    10.0
    """
    return math.exp(fmean(map(math.log, values)))


#: Label of a setting, values of its seeds, and the numbers judged.
Row = tuple[str, Values, Sequence[float]]


def _panels(rows: Sequence[Row], verdict: Verdict) -> tuple[Panel, ...]:
    if verdict.deterministic:
        return (Panel("", tuple(line for row in rows for line in _lines_without_chance(*row)), None),)
    return tuple(_panel(*row, verdict.alpha) for row in rows)


def _panel(name: str, values: Values, judged: Sequence[float], alpha: float) -> Panel:
    lines = [Line(f"seed {seed}", v, j) for (seed, v), j in zip(values.items(), judged, strict=True)]
    return Panel(name, tuple(lines), t_interval(judged, alpha) if len(judged) >= MIN_SEEDS else None)


def _lines_without_chance(name: str, values: Values, judged: Sequence[float]) -> list[Line]:
    """A line for each seed of a setting; its name says the seed only where there are several."""
    seeds = [f"seed {seed}" if len(values) > 1 else "" for seed in values]
    return [
        Line(f"{name} {seed}".strip() or "value", v, j)
        for seed, v, j in zip(seeds, values.values(), judged, strict=True)
    ]


def _side_names(sides: Sequence[Side]) -> tuple[str, ...]:
    """Names of the sides: their methods, with the restrictions that tell them apart."""
    names = []
    for side in sides:
        own = {k: v for k, v in side.where.items() if any(other.where.get(k) != v for other in sides)}
        shown = {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in own.items()}
        names.append(f"{side.method} {label(shown, shown)}".strip())
    return tuple(names)


def _counts(cells: Sequence[Cell], records: Mapping[str, Record], metric: str) -> tuple[tuple[str, float], ...]:
    """The count of each cell, under the method and what tells the cell from the others."""
    axes = [{**Setting.of(cell).axes, "seed": cell.seed} for cell in cells]
    names = varying(axes)
    return tuple(
        (f"{cell.method} {label(own, names)}".strip(), records[cell.id].metrics[metric])
        for cell, own in zip(cells, axes, strict=True)
    )
