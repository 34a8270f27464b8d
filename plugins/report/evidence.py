"""What a verdict rests on: every seed on every side of a claim's comparison, setting by setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.cell import Cell, Record
from harness.files.claims import Holds, Ratio
from harness.judge import SuiteResult, Verdict
from harness.judge.contrast import Series, contrast
from harness.judge.pairing import Side, Statement, members, pair, sides, tested
from harness.judge.scales import Scale, scale_of
from harness.planning.setting import Setting, label, varying
from harness.spec import Metric


@dataclass(frozen=True)
class Line:
    """One seed, or one setting where nothing depends on chance: the value on each side, and the number judged."""

    name: str
    values: tuple[float, ...]
    #: In the unit and direction of the verdict.
    judged: float
    #: Whether the first side is ahead of what it is compared with.
    ahead: bool


@dataclass(frozen=True)
class Panel:
    """One setting of a comparison, or the average over all."""

    label: str
    lines: tuple[Line, ...]


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
    #: Seeds with records beyond those of the look that the verdict is from.
    further: int = 0
    #: Cells and their counts, for a claim that nothing is violated.
    counts: tuple[tuple[str, float], ...] = ()


def evidence(claim: Statement, verdict: Verdict, result: SuiteResult) -> Evidence:
    """The numbers behind a verdict; without panels where the claim was not run."""
    test, records = tested(claim), result.outcomes
    task = next((result.plan.registry.tasks[name] for name in test.tasks if name in result.plan.registry.tasks), None)
    metric = task.metrics[test.metric] if task else Metric()
    no_numbers = Evidence(test.metric, metric.unit, metric.better or "", metric.help)
    if verdict.estimate is None:
        return no_numbers
    cells = [cell for cell in result.cells if cell.task in test.tasks and cell.method in test.names]
    if isinstance(test, Holds):
        groups, _ = pair(claim, cells, verdict.device)
        return replace(no_numbers, counts=_counts(members(groups), records, test.metric))
    every = contrast(claim, cells, records, metric.sign, verdict.device, apart=verdict.deterministic).series
    look = [series.first(verdict.n) for series in every]
    scale = scale_of(test, metric.sign)
    return replace(
        no_numbers,
        sides=_side_names(sides(test)),
        panels=_without_chance(look, scale) if verdict.deterministic else tuple(_panel(s, scale) for s in look),
        reference=getattr(test, "value", None),
        log=isinstance(test, Ratio),
        further=len(every[0].seeds) - len(look[0].seeds),
    )


def _panel(series: Series, scale: Scale) -> Panel:
    """A line for each seed."""
    return Panel(series.label, tuple(_lines([f"seed {seed}" for seed in series.seeds], series, scale)))


def _without_chance(every: Sequence[Series], scale: Scale) -> tuple[Panel, ...]:
    """One panel with a line for each setting, and for each of its seeds where there are several."""
    lines = []
    for series in every:
        seeds = [f"seed {seed}" if len(series.seeds) > 1 else "" for seed in series.seeds]
        lines += _lines([f"{series.label} {seed}".strip() or "value" for seed in seeds], series, scale)
    return (Panel("", tuple(lines)),)


def _lines(names: Sequence[str], series: Series, scale: Scale) -> list[Line]:
    """The judged numbers are positive in the method's favour until they are on the scale of the verdict."""
    rows = zip(names, series.sides, series.values, strict=True)
    return [Line(name, values, scale.shown(judged), judged > 0) for name, values, judged in rows]


def _side_names(sides: Sequence[Side]) -> tuple[str, ...]:
    """Names of the sides: their methods, with the restrictions that tell them apart; of four sides both gaps."""
    if len(sides) == 4:
        first, second = (_own_restrictions(sides[place], sides) for place in (0, 2))
        return tuple(f"{sides[0].method} - {sides[1].method} {own}".strip() for own in (first, second))
    return tuple(f"{side.method} {_own_restrictions(side, sides)}".strip() for side in sides)


def _own_restrictions(side: Side, sides: Sequence[Side]) -> str:
    own = {k: v for k, v in side.where.items() if any(other.where.get(k) != v for other in sides)}
    shown = {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in own.items()}
    return label(shown, shown)


def _counts(cells: Sequence[Cell], records: Mapping[str, Record], metric: str) -> tuple[tuple[str, float], ...]:
    """The count of each cell, under the method and what tells the cell from the others."""
    axes = [{**Setting.of(cell).axes, "seed": cell.seed} for cell in cells]
    names = varying(axes)
    return tuple(
        (f"{cell.method} {label(own, names)}".strip(), records[cell.id].metrics[metric])
        for cell, own in zip(cells, axes, strict=True)
    )
