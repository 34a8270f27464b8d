"""Methods over all tasks of a suite, where several tasks or settings share a metric and methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.cell import Cell, Record
from harness.judge import SuiteResult
from harness.numbers import number, with_interval
from harness.planning.setting import Setting, label, varying_axes
from harness_plugins.report import aggregates, charts, svg
from harness_plugins.report.aggregates import Estimate
from harness_plugins.report.elements import Picture, Table

if TYPE_CHECKING:
    import numpy as np

    from harness_plugins.report.aggregates import Scores

#: Pairs of methods that are compared; of more methods each is compared with the first.
MOST_PAIRS = 15
#: Levels of a performance profile, and every how many stand in its table.
_LEVELS, _TABLE_STEP = 41, 10
#: A task in one setting.
Unit = tuple[str, str]
#: The seeds of each method in each unit, the same number everywhere.
Runs = dict[str, dict[Unit, list[float]]]


@dataclass(frozen=True)
class OverallSection:
    """One metric over all units."""

    metric: str
    explanation: str
    legend: Markup
    pictures: Sequence[Picture]
    tables: Sequence[Table]


def overall_sections(result: SuiteResult) -> list[OverallSection]:
    """A section for each metric that claims speak of, or that has a direction where no claim speaks of one.

    It takes two units and two methods with two seeds each: a unit is a task in one setting of the options that are
    not a method's own. Where methods have different units, those with the most are shown.
    """
    plan = result.plan
    claimed = {c.test.metric for c in plan.suite.claims.values() if c.test is not None}
    signs: dict[str, int] = {}
    for task in dict.fromkeys(cell.task for cell in result.cells):
        for name, metric in plan.registry.tasks[task].metrics.items():
            compared = metric.better and metric.unit != "count" and metric.split is None
            if compared and (name in claimed or not claimed):
                signs.setdefault(name, metric.sign)
    runs = {name: _runs(result.cells, result.outcomes, name) for name in signs}
    return [_section(name, sign, runs[name]) for name, sign in signs.items() if len(runs[name]) >= 2]


def _runs(cells: Sequence[Cell], records: Mapping[str, Record], metric: str) -> Runs:
    """The metric by method, unit and seed; empty where too little is shared."""
    good = [c for c in cells if (r := records.get(c.id)) is not None and r.good and metric in r.metrics]
    axes = {task: _shared_axes([cell for cell in good if cell.task == task]) for task in {cell.task for cell in good}}
    values: dict[str, dict[Unit, dict[int, list[float]]]] = {}
    for cell in good:
        unit = cell.task, label(Setting.of(cell).axes, axes[cell.task])
        seeds = values.setdefault(cell.method, {}).setdefault(unit, {})
        seeds.setdefault(cell.seed, []).append(records[cell.id].metrics[metric])
    units = {m: {u for u, seeds in own.items() if len(seeds) >= 2} for m, own in values.items()}
    largest = max(units.values(), key=len, default=set())
    methods = [method for method, own in units.items() if own >= largest]
    if len(largest) < 2 or len(methods) < 2:
        return {}
    order = [unit for unit in values[methods[0]] if unit in largest]
    count = min(len(values[m][u]) for m in methods for u in order)
    return {m: {u: [fmean(v) for _, v in sorted(values[m][u].items())][:count] for u in order} for m in methods}


def _shared_axes(cells: Sequence[Cell]) -> list[str]:
    """The options, device and dtype that vary and that every method has."""
    return [name for name in varying_axes(cells) if all(name in Setting.of(cell).axes for cell in cells)]


def _section(metric: str, sign: int, runs: Runs) -> OverallSection:
    import numpy as np

    # The generator has a fixed seed: the same records give the same report.
    generator = np.random.default_rng(0)
    scores = aggregates.normalised({m: list(units.values()) for m, units in runs.items()}, sign)
    methods = list(scores)
    tasks, seeds = next(iter(scores.values())).shape[::-1]
    means = [(m, i, aggregates.estimated_interquartile_mean(scores[m], generator)) for i, m in enumerate(methods)]
    improvements = _improvements(scores, generator)
    levels = np.linspace(0.0, 1.0, _LEVELS)
    profiles = {i: _profile(scores[m], levels, generator) for i, m in enumerate(methods)}
    profile_chart = charts.profiles(list(levels), profiles, f"performance profiles of {metric}")
    return OverallSection(
        metric=metric,
        explanation=f"{seeds} seeds in each of {tasks} tasks or settings that {len(methods)} methods share. In each "
        "of them scores go from 0 for the worst run of any method to 1 for the best. Intervals: 90 %, stratified "
        "bootstrap.",
        legend=Markup(svg.legend(methods)),
        pictures=[
            _bars("Interquartile mean: the middle half of all runs", means),
            _bars("Probability that a run of the first beats one of the second", improvements, 0.5),
            Picture(Markup(profile_chart), "Performance profile: share of runs that score above"),
        ],
        tables=[
            _table(("method", "interquartile mean"), means),
            _table(("first over second", "probability of improvement"), improvements),
            Table.of(
                ("share of runs above", *(number(level) for level in levels[::_TABLE_STEP])),
                [(m, *(number(s, 2) for s in profiles[i][0][::_TABLE_STEP])) for i, m in enumerate(methods)],
            ),
        ],
    )


#: Name, series and estimate of each row of a chart.
Rows = Sequence[tuple[str, int, Estimate]]


def _improvements(scores: Mapping[str, Scores], generator: np.random.Generator) -> Rows:
    """Each pair of methods with its probability of improvement."""
    methods = list(scores)
    pairs = list(combinations(range(len(methods)), 2))
    if len(pairs) > MOST_PAIRS:
        pairs = [(0, i) for i in range(1, len(methods))]
    return [
        (
            f"{methods[a]} over {methods[b]}",
            a,
            aggregates.estimated_improvement(scores[methods[a]], scores[methods[b]], generator),
        )
        for a, b in pairs
    ]


def _profile(scores: Scores, levels: Scores, generator: np.random.Generator) -> charts.Profile:
    """A performance profile with its band."""
    low, high = aggregates.stratified_bootstrap(
        lambda resampled: aggregates.performance_profile(resampled, levels), scores, generator
    )
    return list(aggregates.performance_profile(scores, levels)), list(low), list(high)


def _bars(caption: str, rows: Rows, reference: float | None = None) -> Picture:
    bars = [charts.Bar(name, series, e.value, e.low, e.high) for name, series, e in rows]
    return Picture(Markup(charts.intervals(bars, caption, reference)), caption)


def _table(columns: Sequence[str], rows: Rows) -> Table:
    return Table.of(columns, [(name, with_interval(e.value, e.low, e.high)) for name, _, e in rows])
