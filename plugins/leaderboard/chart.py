"""The bump charts: the rank of every system under every aggregate, with the human's line in colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.numbers import plural
from harness.spec import file_digest
from harness_plugins.leaderboard.benchmarks import BENCHMARKS
from harness_plugins.report import svg

if TYPE_CHECKING:
    from harness.cell import Record

#: Aggregates from left to right; others follow in the order of the records.
COLUMNS = (
    "arithmetic",
    "geometric",
    "harmonic",
    "median",
    "interquartile-mean",
    "mean-rank",
    "mean-win-rate",
    "borda",
    "bradley-terry",
)
#: Of a larger table, the first systems in the first column are drawn, and the human.
SHOWN = 15
#: Charts in one picture.
CHARTS = 4
#: Options that tell one chart from another.
SETTING = ("table", "human", "tasks", "incomplete", "rows", "scale", "best", "metric_pairs")
#: Charts of other values are drawn only where there is none of these: they are variations of it.
PLAIN = {"rows": "all", "scale": "score", "metric_pairs": "mean"}

_LABELS, _COLUMN, _ROW, _DOT, _HEAD, _GAP = 200, 84, 24, 10, 84, 28
#: Characters of a system's name.
_LONGEST = 28
#: The human's colour, and that of a number on it. A page may set both.
_ACCENT = "var(--accent, #0b6bcb)"
_ON_ACCENT = "var(--on-accent, #fff)"


@dataclass(frozen=True)
class Chart:
    """The ranks of the drawn systems, by aggregate."""

    title: str
    human: str
    #: Names of the aggregates, left to right.
    columns: tuple[str, ...]
    #: Rank of each system in each column.
    ranks: Mapping[str, tuple[int, ...]]

    @property
    def description(self) -> str:
        """The human's ranks in words, for people who cannot see the picture."""
        if self.human not in self.ranks:
            return f"{self.title}."
        ranks = ", ".join(f"{r} by {c}" for c, r in zip(self.columns, self.ranks[self.human], strict=True))
        return f"{self.title}: {self.human} has rank {ranks}."

    def places(self, column: int) -> dict[str, int]:
        """Place of each system in a column, 0 on top: by its rank there, equal ranks by those in earlier columns."""

        def key(system: str) -> tuple[int, ...]:
            ranks = self.ranks[system]
            return (ranks[column], *reversed(ranks[:column]), *ranks[column + 1 :])

        return {system: place for place, system in enumerate(sorted(self.ranks, key=key))}


def draw(records: Sequence[Record]) -> str:
    """The charts of these records below each other, as one ``<svg>`` element.

    Its colours come from the page: ``currentColor`` for lines and text, the custom properties ``--accent`` and
    ``--on-accent`` for the human.
    """
    charts = charts_of(records)
    width = 2 * _LABELS + _COLUMN * max(len(chart.columns) for chart in charts)
    heights = [_HEAD + _ROW * len(chart.ranks) for chart in charts]
    height = sum(heights) + _GAP * (len(charts) - 1)
    root = svg.picture(
        width,
        height,
        " ".join(chart.description for chart in charts),
        fill="currentColor",
        font_size=12,
        font_family="system-ui, sans-serif",
        # The class and style of the report's own charts would overrule the attributes of this one.
        **{"class": "bump-charts", "style": f"width:100%;max-width:{width}px;height:auto"},
    )
    top = 0
    for chart, chart_height in zip(charts, heights, strict=True):
        _draw_chart(svg.group(root, 0, top), chart)
        top += chart_height + _GAP
    return svg.text_of(root, standalone=True)


def charts_of(records: Sequence[Record]) -> list[Chart]:
    """One chart for each setting, at most ``CHARTS``, in an order that does not depend on that of the records."""
    groups: dict[tuple[tuple[str, object], ...], dict[str, Record]] = {}
    for record in sorted(records, key=_order):
        key = tuple((name, record.options[name]) for name in SETTING if name in record.options)
        groups.setdefault(key, {}).setdefault(record.method, record)
    plain = [key for key in groups if all(PLAIN.get(name, value) == value for name, value in key)]
    # A single aggregate has no other one beside it: it is drawn only where there is no other chart.
    several = [key for key in plain or groups if len(groups[key]) > 1]
    return [_chart_of(groups[key]) for key in (several or plain or list(groups))[:CHARTS]]


def _order(record: Record) -> tuple[int, str, int]:
    task_sets = [tasks for benchmark in BENCHMARKS for tasks in benchmark.left_out]
    tasks = record.options.get("tasks")
    place = task_sets.index(tasks) if tasks in task_sets else len(task_sets)
    return place, str(sorted(record.options.items())), record.seed


def _chart_of(by_method: Mapping[str, Record]) -> Chart:
    """The chart of one setting's records, by method."""
    known = [name for name in COLUMNS if name in by_method]
    columns = tuple(known + [name for name in by_method if name not in known])
    first = by_method[columns[0]]
    names, human = names_of(first), str(first.options.get("human", "Human"))
    by_column = [dict(by_method[name].curves["rank"]) for name in columns]
    ranks: dict[str, tuple[int, ...]] = {}
    for row in by_column[0]:
        if all(row in column for column in by_column):
            name = names[row] if row < len(names) else f"row {row + 1}"
            ranks[name] = tuple(int(column[row]) for column in by_column)
    best = sorted(ranks, key=lambda name: ranks[name])[:SHOWN]
    drawn = {name: r for name, r in ranks.items() if name in best or name == human}
    return Chart(_title(first, len(drawn)), human, columns, drawn)


def _title(record: Record, drawn: int) -> str:
    options = record.options
    name = str(options["table"]) if "table" in options else f"tasks = {options.get('tasks')}"
    columns = plural(int(record.metrics["columns"]), "column")
    same = "each system by those it has" if options.get("incomplete") == "keep" else "the same for every system"
    other = [f"{option} = {options[option]}" for option, plain in PLAIN.items() if options.get(option, plain) != plain]
    systems = plural(int(record.metrics["systems"]), "system")
    if drawn < record.metrics["systems"]:
        systems += f", {drawn} of them drawn: the first {SHOWN} and the human"
    return "; ".join([f"{name}: {columns}, {same}", *other, systems])


def names_of(record: Record) -> tuple[str, ...]:
    """Names of the systems by row of the record's table; none where that table is not here."""
    from harness_plugins.leaderboard.published import benchmark_of, snapshot_table, typed_table
    from harness_plugins.leaderboard.scores import read_table

    try:
        if record.task == "leaderboard/table":
            path = Path(str(record.options["table"]))
            same = path.is_file() and file_digest(path).startswith(str(record.data.get("option table")))
            return read_table(path).systems if same else ()
        benchmark = benchmark_of(record.task)
        if benchmark is None:
            return ()
        if record.task.endswith("-2021"):
            from harness.registry.datasets import load
            from harness_plugins.leaderboard.datasets import SNAPSHOTS

            return snapshot_table(benchmark, load(SNAPSHOTS)).systems
        return typed_table(benchmark).systems
    except HarnessError:
        return ()


def _draw_chart(parent: svg.Element, chart: Chart) -> None:
    svg.label(parent, 0, 16, chart.title, anchor="start", font_size=14, font_weight=600)
    for column, name in enumerate(chart.columns):
        _draw_header(parent, _x(column), name)
    places = [chart.places(column) for column in range(len(chart.columns))]
    # The human last, so that nothing is drawn over it.
    for system in sorted(chart.ranks, key=lambda name: name == chart.human):
        points = [(_x(column), _y(place[system])) for column, place in enumerate(places)]
        _draw_system(svg.group(parent, title=system), system, chart, points)


def _draw_header(parent: svg.Element, x: float, name: str) -> None:
    """An aggregate's name, broken at its last hyphen."""
    first, hyphen, last = name.rpartition("-")
    if hyphen:
        svg.label(parent, x, 46, first + hyphen, font_size=12, opacity=0.8)
    svg.label(parent, x, 61, last, font_size=12, opacity=0.8)


def _draw_system(parent: svg.Element, system: str, chart: Chart, points: Sequence[svg.Place]) -> None:
    """One system: lines from column to column, its rank in each, its name at both ends."""
    human = system == chart.human
    colour, width, opacity = (_ACCENT, 3.5, 1.0) if human else ("currentColor", 1.5, 0.4)
    # Lines end at the dots, so that numbers stand on the page itself, whatever its colour.
    svg.links(parent, points, gap=_DOT + 1, stroke=colour, stroke_width=width, opacity=opacity)
    for rank, (x, y) in zip(chart.ranks[system], points, strict=True):
        if human:
            svg.mark(parent, x, y, size=_DOT, fill=_ACCENT)
            svg.label(parent, x, y + 4, str(rank), font_size=11, fill=_ON_ACCENT, font_weight=700)
        else:
            svg.label(parent, x, y + 4, str(rank), font_size=11, opacity=0.75)
    name = system if len(system) <= _LONGEST else system[: _LONGEST - 1] + "…"
    emphasis: dict[str, Any] = {"fill": _ACCENT, "font_weight": 700} if human else {}
    (left, top), (right, bottom) = points[0], points[-1]
    svg.label(parent, left - 18, top + 4, name, anchor="end", **emphasis)
    svg.label(parent, right + 18, bottom + 4, name, anchor="start", **emphasis)


def _x(column: int) -> float:
    return _LABELS + _COLUMN // 2 + column * _COLUMN


def _y(place: int) -> float:
    return _HEAD + _ROW * place
