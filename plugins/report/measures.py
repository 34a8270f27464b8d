"""What each task measured: estimates by method and setting, metrics against their cost, and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.cell import Cell, HasSetting, Record
from harness.judge import SuiteResult, Summary, summarise
from harness.numbers import duration, memory, number, with_half, with_interval
from harness.planning.setting import Setting, label, varying_axes
from harness.spec import Metric
from harness_plugins.report import charts, svg
from harness_plugins.report.elements import Picture, Table
from harness_plugins.report.tuning import TuningSection, tuning_section

#: Charts of one kind for a task; the tables hold all numbers.
MOST_CHARTS = 12
#: Metrics of a task that are drawn against their cost.
MOST_METRICS = 3
#: Points of a curve in the table.
TABLE_POINTS = 6


@dataclass(frozen=True)
class TaskSection:
    """One task of a suite."""

    name: str
    help: str
    #: Each metric, and what it means.
    metrics: Sequence[tuple[str, str]]
    estimates: Table
    #: Of the metrics that neither the suite nor its claims name.
    further: Table | None
    #: How many columns of that table hold names; the others hold numbers.
    names: int
    legend: Markup
    costs: Sequence[Picture]
    cost_table: Table | None
    curves: Sequence[Picture]
    curve_table: Table | None
    #: How many charts of curves were left out.
    more: int
    #: What tuning came to; None where nothing was tuned.
    tuning: TuningSection | None = None


@dataclass(frozen=True)
class _Measured:
    """What the sections of one task are made from."""

    #: One for each setting with a good or a failed record.
    summaries: Sequence[Summary]
    #: Cells with a record.
    cells: Sequence[Cell]
    #: In the order of the suite; the place of a method is its series in every chart.
    methods: Sequence[str]
    #: Names of the options, and of device and dtype, that vary.
    axes: Sequence[str]

    def values(self, item: HasSetting) -> list[str]:
        """The value on each axis, "" where the method has no such option."""
        axes = Setting.of(item).axes
        return [str(axes.get(name, "")) for name in self.axes]

    def label(self, item: HasSetting) -> str:
        """The setting in a few words, without the method."""
        return label(Setting.of(item).axes, self.axes)


def task_sections(result: SuiteResult) -> list[TaskSection]:
    """The tasks that have a good or a failed record, in the order of the suite."""
    summaries = [s for s in summarise(result.cells, result.outcomes) if s.n or s.failures]
    sections = []
    for name in dict.fromkeys(summary.task for summary in summaries):
        own = [summary for summary in summaries if summary.task == name]
        cells = [cell for cell in result.cells if cell.task == name and cell.id in result.outcomes]
        ran = [cell for cell in cells if result.outcomes[cell.id].status != "skipped"]
        methods = list(dict.fromkeys(summary.method for summary in own))
        measured = _Measured(own, cells, methods, varying_axes(ran))
        sections.append(_task_section(result, name, measured))
    return sections


def _task_section(result: SuiteResult, name: str, measured: _Measured) -> TaskSection:
    task = result.plan.registry.tasks[name]
    shown = result.plan.suite.shown_metrics(task)
    others = [metric for metric in task.metrics if metric not in shown]
    metrics = [*shown, *others]
    # What chose among trials is the best of several values, and no measure of what came of it.
    directed = [metric for metric in metrics if task.metrics[metric].better and task.metrics[metric].split is None]
    drawn = [metric for metric in directed if metric in shown] or directed
    costs, cost_table = _costs(measured, drawn[:MOST_METRICS])
    curves, curve_table, more = _curves(measured, result.outcomes)
    return TaskSection(
        name=name,
        help=task.help,
        metrics=[(metric, _meaning(task.metrics[metric])) for metric in metrics],
        estimates=_estimates(measured, shown),
        further=_estimates(measured, others, cost=False) if others else None,
        names=1 + len(measured.axes),
        legend=Markup(svg.legend(measured.methods)),
        costs=costs,
        cost_table=cost_table,
        curves=curves,
        curve_table=curve_table,
        more=more,
        tuning=tuning_section(result, name, measured.methods),
    )


def _estimates(measured: _Measured, metrics: Sequence[str], cost: bool = True) -> Table:
    rows = [
        [
            s.method,
            *measured.values(s),
            *(with_half(e.mean, e.low, e.high) if (e := s.estimates.get(metric)) else "–" for metric in metrics),
            *([number(s.seconds, significant=3), memory(s.peak_bytes)] if cost else []),
            f"{s.n} ({s.failures} failed)" if s.failures else f"{s.n}",
        ]
        for s in measured.summaries
    ]
    return Table.of(["method", *measured.axes, *metrics, *["seconds", "memory"] * cost, "seeds"], rows)


def _meaning(metric: Metric) -> str:
    direction = f"{metric.better} is better" if metric.better else "no direction is better"
    return "; ".join(filter(None, (metric.help, metric.unit, direction)))


def _costs(measured: _Measured, metrics: Sequence[str]) -> tuple[list[Picture], Table | None]:
    """Each metric against seconds and against memory, with a table; nothing where all settings are alike."""
    pictures: list[Picture] = []
    rows: list[list[str]] = []
    for metric in metrics:
        own = [s for s in measured.summaries if metric in s.estimates]
        if len({s.estimates[metric].mean for s in own}) < 2:
            continue
        for cost, caption in (("seconds", "seconds"), ("memory", "peak memory in MB")):
            points = [p for s in own if (p := _cost_point(measured, s, metric, cost)) is not None]
            if len(points) > 1:
                caption = f"{metric} against {caption}"
                caption += f"; beside the points {measured.axes[0]}" if len(measured.axes) == 1 else ""
                pictures.append(Picture(Markup(charts.against_cost(points, caption)), caption))
        rows += [
            [metric, s.method, *measured.values(s), _estimate(s, metric), _seconds(s), memory(s.peak_bytes)]
            for s in own
            if _cost_point(measured, s, metric, "seconds") is not None
        ]
    columns = ["metric", "method", *measured.axes, "mean [90 % interval]", "seconds", "memory"]
    return pictures[:MOST_CHARTS], Table.of(columns, rows) if rows else None


def _cost_point(measured: _Measured, summary: Summary, metric: str, cost: str) -> charts.CostPoint | None:
    """A setting as a point of a chart; None where its cost is not known or a number is not finite."""
    estimate, seconds, peak = summary.estimates[metric], summary.seconds, summary.peak_bytes
    amount = seconds if cost == "seconds" else None if peak is None else peak / 1e6
    if amount is None or not math.isfinite(amount) or not math.isfinite(estimate.mean):
        return None
    spent = duration(amount) if cost == "seconds" else memory(peak)
    name = f"{summary.method} {measured.label(summary)}".rstrip()
    return charts.CostPoint(
        series=measured.methods.index(summary.method),
        cost=amount,
        value=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        tip=f"{name}: {_estimate(summary, metric)}, {spent}",
        label=measured.values(summary)[0] if len(measured.axes) == 1 else "",
    )


def _estimate(summary: Summary, metric: str) -> str:
    estimate = summary.estimates[metric]
    return with_interval(estimate.mean, estimate.low, estimate.high)


def _seconds(summary: Summary) -> str:
    return number(summary.seconds, significant=3)


def _curves(measured: _Measured, records: Mapping[str, Record]) -> tuple[list[Picture], Table | None, int]:
    """A chart for each curve and each setting that methods share, a table, and how many charts were left out."""
    seeds: dict[tuple[str, str], dict[str, list[charts.Points]]] = {}
    for cell in measured.cells:
        for name, recorded in records[cell.id].curves.items():
            if points := [(int(step), float(value)) for step, value in recorded]:
                by_method = seeds.setdefault((name, measured.label(cell)), {})
                by_method.setdefault(cell.method, []).append(points)
    pictures: list[Picture] = []
    rows: list[list[str]] = []
    for (name, setting), by_method in sorted(seeds.items(), key=lambda item: item[0][0]):
        curves = [
            charts.MethodCurve(measured.methods.index(m), m, charts.averaged(own) or own[0], own)
            for m, own in by_method.items()
        ]
        caption = f"{name}, {setting}, over steps" if setting else f"{name}, over steps"
        if len(pictures) < MOST_CHARTS:
            pictures.append(Picture(Markup(charts.curves(curves, caption)), caption))
        for curve in curves:
            points = charts.thinned(curve.mean, TABLE_POINTS)
            text = ", ".join(f"{step}: {number(value)}" for step, value in points)
            rows.append([name, setting, curve.method, str(len(curve.seeds)), text])
    table = Table.of(("curve", "setting", "method", "seeds", "step: mean"), rows) if rows else None
    return pictures, table, max(0, len(seeds) - MOST_CHARTS)
