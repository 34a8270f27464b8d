"""What a verdict rests on, laid open: every seed of every side of a claim's comparison, setting by setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from harness.cell import Record
from harness.files.claims import Claim, Holds, Ratio
from harness.judge import MIN_SEEDS, Interval, SuiteResult, Verdict, t_interval
from harness.judge.contrast import contrast
from harness.judge.pairing import Side, labels, members, pair, sides, tested
from harness.spec import Metric


@dataclass(frozen=True)
class Line:
    """One seed, or one setting where nothing depends on chance: what each side measured, and what was judged."""

    name: str
    values: tuple[float, ...]
    #: On the verdict's scale, positive in the method's favour.
    judged: float


@dataclass(frozen=True)
class Panel:
    """One setting of a comparison, or their average."""

    label: str
    lines: tuple[Line, ...]
    #: Of the judged values; None without chance or with too few seeds.
    interval: Interval | None


@dataclass(frozen=True)
class Evidence:
    """All that was compared for one verdict."""

    metric: str
    unit: str
    better: str
    help: str
    #: What the sides are called, the method first.
    sides: tuple[str, ...] = ()
    panels: tuple[Panel, ...] = ()
    #: A number the method is compared with, where it is not another method.
    reference: float | None = None
    log: bool = False
    #: How many settings each seed's values are averaged over.
    averaged: int = 1
    #: Cells and their counts, for a claim that nothing is violated.
    counts: tuple[tuple[str, float], ...] = ()


def evidence(claim: Claim, verdict: Verdict, result: SuiteResult) -> Evidence:
    """The numbers behind a verdict; without panels where it was not run."""
    test = tested(claim)
    plan = result.plan
    task = plan.registry.tasks.get(test.task)
    metric = task.metrics[test.metric] if task else Metric()
    empty = Evidence(test.metric, metric.unit, metric.better or "", metric.help)
    cells = [cell for cell in plan.scope if cell.task == test.task and cell.method in test.names]
    groups, cause = pair(claim, cells, verdict.device)
    if verdict.verdict == "not-run" or cause:
        return empty
    if isinstance(test, Holds):
        cells = members(groups)
        names = _cell_names([(c.method, dict(c.options), c.dtype, c.seed) for c in cells])
        counts = [result.records[c.id].metrics[test.metric] for c in cells]
        return replace(empty, counts=tuple(zip(names, counts, strict=True)))
    found = contrast(claim, cells, result.records, metric.sign, verdict.device)
    rows = [
        {seed: tuple(_mean(group[setting][seed], result.records, test.metric) for group in groups) for seed in seeds}
        for setting, seeds in groups[0].items()
    ]
    named = labels(groups[0])
    averaged = 1
    if len(found.series) < len(rows):
        averaged, named = len(rows), [""]
        average = mean_of_logs if isinstance(test, Ratio) else fmean
        rows = [{s: tuple(average([row[s][i] for row in rows]) for i in range(len(groups))) for s in rows[0]}]
    series = [one.values for one in found.series]
    if verdict.deterministic:
        lines = [
            Line(" ".join(filter(None, (name, f"seed {seed}" * (len(row) > 1)))) or "value", values, judged)
            for name, row, of_setting in zip(named, rows, series, strict=True)
            for (seed, values), judged in zip(row.items(), of_setting, strict=True)
        ]
        panels = [Panel("", tuple(lines), None)]
    else:
        panels = [_panel(name, row, own, verdict.alpha) for name, row, own in zip(named, rows, series, strict=True)]
    value = getattr(test, "value", None)
    return replace(
        empty,
        sides=_names(sides(test)),
        panels=tuple(panels),
        reference=value,
        log=isinstance(test, Ratio),
        averaged=averaged,
    )


def mean_of_logs(values: Sequence[float]) -> float:
    """The geometric mean, which is what averaging log ratios amounts to."""
    return math.exp(fmean(map(math.log, values)))


def _panel(name: str, row: Mapping[int, tuple[float, ...]], judged: Sequence[float], alpha: float) -> Panel:
    lines = [Line(f"seed {s}", values, j) for (s, values), j in zip(row.items(), judged, strict=True)]
    return Panel(name, tuple(lines), t_interval(judged, alpha) if len(judged) >= MIN_SEEDS else None)


def _mean(cells: Sequence[object], records: Mapping[str, Record], metric: str) -> float:
    return fmean(records[cell.id].metrics[metric] for cell in cells)  # type: ignore[attr-defined]


def _names(every: Sequence[Side]) -> tuple[str, ...]:
    """What the sides are called: their methods, with the restrictions that tell them apart."""
    names = []
    for side in every:
        own = {k: v for k, v in side.where.items() if any(other.where.get(k) != v for other in every)}
        limits = " ".join(f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in own.items())
        names.append(f"{side.method} {limits}".strip())
    return tuple(names)


def _cell_names(cells: Sequence[tuple[str, dict[str, object], str, int]]) -> list[str]:
    """What tells cells apart."""
    values: dict[str, set[str]] = {}
    for _, options, dtype, seed in cells:
        for name, value in {**options, "dtype": dtype, "seed": seed}.items():
            values.setdefault(name, set()).add(repr(value))
    return [
        " ".join([method, *(f"{k}={v}" for k, v in {**o, "dtype": d, "seed": s}.items() if len(values[k]) > 1)])
        for method, o, d, s in cells
    ]
