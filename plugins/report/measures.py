"""What each task measured: estimates by method and setting, the measure against its cost, and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.cell import Cell, Record
from harness.judge import SuiteResult, Summary, summarise
from harness.numbers import duration, memory, number, with_half, with_interval
from harness.spec import Task
from harness_plugins.report import charts, svg
from harness_plugins.report.page import Picture, Table

#: Charts of one kind for a task; what is beyond stands in the tables.
MOST_CHARTS = 12
#: Steps of a curve that its table gives.
TABLE_STEPS = 6
_AXES = ("device", "dtype")


@dataclass(frozen=True)
class TaskView:
    """One task of a suite."""

    name: str
    help: str
    #: Each metric with its direction, unit and meaning.
    metrics: Sequence[tuple[str, str]]
    estimates: Table
    #: Columns of the table that hold names, before those with numbers.
    names: int
    legend: Markup
    costs: Sequence[Picture]
    cost_table: Table | None
    curves: Sequence[Picture]
    curve_table: Table | None
    #: Charts that were left out.
    more: int


def task_views(result: SuiteResult) -> list[TaskView]:
    """The tasks that have a good record, in the order of the suite."""
    plan = result.plan
    known = [s for s in summarise(plan.scope, result.records) if s.n or s.failures]
    views = []
    for name in dict.fromkeys(s.task for s in known):
        rows = [s for s in known if s.task == name]
        cells = [cell for cell in plan.scope if cell.task == name and cell.id in result.records]
        claimed = {c.test.metric for c in plan.suite.claims.values() if c.test is not None and c.test.task == name}
        views.append(_task_view(result, name, rows, cells, claimed))
    return views


def _task_view(
    result: SuiteResult, name: str, rows: Sequence[Summary], cells: Sequence[Cell], claimed: set[str]
) -> TaskView:
    task = result.plan.registry.tasks[name]
    methods = list(dict.fromkeys(s.method for s in rows))
    axes = _varying(rows, task)
    metrics = [m for m in task.metrics if m in claimed] + [m for m in task.metrics if m not in claimed]
    columns = ["method", *axes, *metrics, "seconds", "memory", "seeds"]
    table = [
        [
            s.method,
            *(str(_axis(s, a)) for a in axes),
            *(with_half(e.mean, e.low, e.high) if (e := s.estimates.get(m)) else "–" for m in metrics),
            "" if s.seconds is None else f"{s.seconds:.3g}",
            memory(s.peak_bytes),
            f"{s.n}" + (f" ({s.failures} failed)" if s.failures else ""),
        ]
        for s in rows
    ]
    judged = [m for m in metrics if m in claimed and task.metrics[m].better] or [
        m for m in metrics if task.metrics[m].better
    ]
    costs, cost_table = _costs(rows, judged[:3], methods, axes)
    curves, curve_table, more = _curves(cells, result.records, methods, axes)
    return TaskView(
        name=name,
        help=task.help,
        metrics=[(m, _metric(task.metrics[m].better, task.metrics[m].unit, task.metrics[m].help)) for m in metrics],
        estimates=Table.of(columns, table),
        names=1 + len(axes),
        legend=Markup(svg.legend(methods)),
        costs=costs,
        cost_table=cost_table,
        curves=curves,
        curve_table=curve_table,
        more=more,
    )


def _metric(better: str | None, unit: str, meaning: str) -> str:
    direction = f"{better} is better" if better else "no direction is better"
    return "; ".join(filter(None, (meaning, unit, direction)))


def _costs(
    rows: Sequence[Summary], metrics: Sequence[str], methods: Sequence[str], axes: Sequence[str]
) -> tuple[list[Picture], Table | None]:
    """The measure against seconds and against memory; nothing where there is no choice to make."""
    pictures, table = [], []
    for metric in metrics:
        own = [s for s in rows if metric in s.estimates]
        if len(own) < 2 or len({s.estimates[metric].mean for s in own}) == 1:
            continue
        for unit in ("seconds", "memory"):
            points = []
            for s in own:
                cost = s.seconds if unit == "seconds" else None if s.peak_bytes is None else s.peak_bytes / 1e6
                e = s.estimates[metric]
                if cost is None or not all(math.isfinite(x) for x in (cost, e.mean)):
                    continue
                spent = duration(cost) if unit == "seconds" else memory(s.peak_bytes)
                tip = f"{_setting(s, axes)}: {with_interval(e.mean, e.low, e.high)}, {spent}"
                beside = str(_axis(s, axes[0])) if len(axes) == 1 else ""
                points.append(charts.CostPoint(methods.index(s.method), cost, e.mean, e.low, e.high, tip, beside))
                if unit == "seconds":
                    cells = [with_interval(e.mean, e.low, e.high), f"{s.seconds:.3g}", memory(s.peak_bytes)]
                    table.append([metric, s.method, *(str(_axis(s, a)) for a in axes), *cells])
            if len(points) > 1:
                caption = f"{metric} against {'seconds' if unit == 'seconds' else 'peak memory in MB'}"
                caption += f"; beside the points {axes[0]}" if len(axes) == 1 else ""
                pictures.append(Picture(Markup(charts.against_cost(points, caption)), caption))
    columns = ["metric", "method", *axes, "mean [90 % interval]", "seconds", "memory"]
    return pictures[:MOST_CHARTS], Table.of(columns, table) if table else None


def _curves(
    cells: Sequence[Cell], records: Mapping[str, Record], methods: Sequence[str], axes: Sequence[str]
) -> tuple[list[Picture], Table | None, int]:
    """One chart for each curve and each setting that the methods share."""
    found: dict[tuple[str, str], dict[str, list[list[tuple[int, float]]]]] = {}
    for cell in cells:
        for name, curve in records[cell.id].curves.items():
            points = [(int(step), float(value)) for step, value in curve]
            if points:
                setting = " ".join(f"{a}={_axis(cell, a)}" for a in axes if _axis(cell, a) != "")
                found.setdefault((name, setting), {}).setdefault(cell.method, []).append(points)
    pictures: list[Picture] = []
    rows: list[list[str]] = []
    for (name, setting), by_method in sorted(found.items(), key=lambda item: item[0][0]):
        tracks = [
            charts.MethodCurve(methods.index(m), m, charts.averaged(seeds) or seeds[0], seeds)
            for m, seeds in by_method.items()
        ]
        caption = f"{name}, {setting}" if setting else name
        caption += ", over steps"
        if len(pictures) < MOST_CHARTS:
            pictures.append(Picture(Markup(charts.curves(tracks, caption)), caption))
        for track in tracks:
            told = charts.thinned(track.mean, TABLE_STEPS)
            text = ", ".join(f"{step}: {number(value)}" for step, value in told)
            rows.append([name, setting, track.method, str(len(track.seeds)), text])
    table = Table.of(("curve", "setting", "method", "seeds", "step: mean"), rows) if rows else None
    return pictures, table, max(0, len(found) - MOST_CHARTS)


def _varying(rows: Sequence[Summary], task: Task) -> list[str]:
    """Options and axes with several values: anywhere for those of the task, under one method for its own.

    Two methods' different defaults for an option of their own are no setting.
    """
    names = dict.fromkeys(name for s in rows for name in (*s.options, *_AXES))
    found = []
    for name in names:
        values: dict[str, set[str]] = {}
        for s in rows:
            if _axis(s, name) != "":
                values.setdefault(s.method, set()).add(repr(_axis(s, name)))
        shared = name in task.options or name in _AXES
        if any(len(own) > 1 for own in values.values()) or (shared and len(set().union(*values.values())) > 1):
            found.append(name)
    return found


def _axis(item: Summary | Cell, name: str) -> object:
    return getattr(item, name) if name in _AXES else item.options.get(name, "")


def _setting(item: Summary, axes: Sequence[str]) -> str:
    return " ".join([item.method, *(f"{a}={_axis(item, a)}" for a in axes if _axis(item, a) != "")])
