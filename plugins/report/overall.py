"""The view over all tasks of a suite: where several tasks or settings share a metric and methods, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from markupsafe import Markup

from harness.cell import Cell, Record
from harness.judge import SuiteResult
from harness.numbers import with_interval
from harness_plugins.report import aggregates, charts, svg
from harness_plugins.report.aggregates import Estimate
from harness_plugins.report.page import Picture, Table

#: Pairs of methods that are compared; of many methods each is compared with the first.
MOST_PAIRS = 15
_LEVELS = 41
#: A task in one setting.
Unit = tuple[str, str]


@dataclass(frozen=True)
class Overall:
    """One metric over all units."""

    metric: str
    explanation: str
    legend: Markup
    pictures: Sequence[Picture]
    tables: Sequence[Table]


def overall_views(result: SuiteResult) -> list[Overall]:
    """A view for each metric that claims ask for, or that has a direction where none does.

    It takes two units and two methods with two seeds each: a unit is a task in one setting of the options that are
    not a method's own. Of methods with different units those with the most are taken.
    """
    plan = result.plan
    asked = {c.test.metric for c in plan.suite.claims.values() if c.test is not None}
    directions: dict[str, int] = {}
    for task in dict.fromkeys(cell.task for cell in plan.scope):
        for name, metric in plan.registry.tasks[task].metrics.items():
            if metric.better and metric.unit != "count" and (name in asked or not asked):
                directions.setdefault(name, metric.sign)
    views = []
    for name, sign in directions.items():
        runs = _runs(plan.scope, result.records, name)
        if len(runs) >= 2:
            views.append(_overall(name, sign, runs))
    return views


def _runs(cells: Sequence[Cell], records: Mapping[str, Record], metric: str) -> dict[str, dict[Unit, list[float]]]:
    """Seeds by method and unit, as many for every method and unit; empty where too little is shared."""
    good = [c for c in cells if (r := records.get(c.id)) is not None and r.good and metric in r.metrics]
    names = {task: _shared_options([c for c in good if c.task == task]) for task in {c.task for c in good}}
    found: dict[str, dict[Unit, dict[int, list[float]]]] = {}
    for cell in good:
        unit = cell.task, " ".join(f"{name}={cell.value(name)}" for name in names[cell.task])
        seeds = found.setdefault(cell.method, {}).setdefault(unit, {})
        seeds.setdefault(cell.seed, []).append(records[cell.id].metrics[metric])
    units = {m: {u for u, seeds in own.items() if len(seeds) >= 2} for m, own in found.items()}
    largest = max(units.values(), key=len, default=set())
    methods = [method for method, own in units.items() if own >= largest]
    if len(largest) < 2 or len(methods) < 2:
        return {}
    order = [unit for unit in found[methods[0]] if unit in largest]
    least = min(len(found[m][u]) for m in methods for u in order)
    return {m: {u: [fmean(v) for _, v in sorted(found[m][u].items())][:least] for u in order} for m in methods}


def _shared_options(cells: Sequence[Cell]) -> list[str]:
    """The options that make a setting: those of every method, but for defaults that are each method's own."""
    values: dict[str, dict[str, set[str]]] = {}
    for cell in cells:
        for name, value in {**cell.options, "dtype": cell.dtype, "device": cell.device}.items():
            values.setdefault(name, {}).setdefault(cell.method, set()).add(repr(value))
    methods = {cell.method for cell in cells}
    return [
        name
        for name, of_method in values.items()
        if of_method.keys() == methods
        and (len(set.union(*of_method.values())) == 1 or any(len(found) > 1 for found in of_method.values()))
    ]


def _overall(metric: str, sign: int, runs: Mapping[str, Mapping[Unit, Sequence[float]]]) -> Overall:
    import numpy as np

    # A fixed start: the same records give the same report.
    generator = np.random.default_rng(0)
    scores = aggregates.normalised({m: list(units.values()) for m, units in runs.items()}, sign)
    methods = list(scores)
    middle = {m: aggregates.estimated_middle(scores[m], generator) for m in methods}
    pairs = list(combinations(range(len(methods)), 2))
    pairs = pairs if len(pairs) <= MOST_PAIRS else [(0, i) for i in range(1, len(methods))]
    better = {
        (a, b): aggregates.estimated_improvement(scores[methods[a]], scores[methods[b]], generator) for a, b in pairs
    }
    levels = np.linspace(0.0, 1.0, _LEVELS)
    shares: dict[int, charts.Profile] = {}
    for i, method in enumerate(methods):
        low, high = aggregates.stratified_bootstrap(
            lambda taken: aggregates.performance_profile(taken, levels), scores[method], generator=generator
        )
        shares[i] = (list(aggregates.performance_profile(scores[method], levels)), list(low), list(high))
    tasks, seeds = next(iter(scores.values())).shape[::-1]
    return Overall(
        metric=metric,
        explanation=f"{seeds} seeds in each of {tasks} tasks or settings that {len(methods)} methods share. Scores go, "
        "in each of them, from 0 for the worst run of any method to 1 for the best. Intervals: 90 %, stratified "
        "bootstrap.",
        legend=Markup(svg.legend(methods)),
        pictures=[
            _bars(
                "Interquartile mean: the middle half of all runs", [(m, i, middle[m]) for i, m in enumerate(methods)]
            ),
            _bars(
                "Probability that a run of the first beats one of the second",
                [(f"{methods[a]} over {methods[b]}", a, found) for (a, b), found in better.items()],
                0.5,
            ),
            Picture(
                Markup(charts.profiles(list(levels), shares, f"performance profiles of {metric}")),
                "Performance profile: share of runs that score above",
            ),
        ],
        tables=[
            Table.of(("method", "interquartile mean"), [(m, _text(found)) for m, found in middle.items()]),
            Table.of(
                ("first over second", "probability of improvement"),
                [(f"{methods[a]} over {methods[b]}", _text(found)) for (a, b), found in better.items()],
            ),
            Table.of(
                ("share of runs above", *(f"{level:.2g}" for level in levels[::10])),
                [(m, *(f"{share:.2f}" for share in shares[i][0][::10])) for i, m in enumerate(methods)],
            ),
        ],
    )


def _bars(caption: str, rows: Sequence[tuple[str, int, Estimate]], reference: float | None = None) -> Picture:
    bars = [charts.Bar(name, method, one.value, one.low, one.high) for name, method, one in rows]
    return Picture(Markup(charts.intervals(bars, caption, reference)), caption)


def _text(found: Estimate) -> str:
    return with_interval(found.value, found.low, found.high)
