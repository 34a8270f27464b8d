"""The picture: a bump chart of every system's rank under every aggregate, the human drawn out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from harness.errors import HarnessError
from harness.spec import file_digest
from harness_plugins.leaderboard.benchmarks import BENCHMARKS

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
#: Systems drawn in one chart, the human beside them; of more, the best in the first column.
SHOWN = 15
#: Charts in one picture.
CHARTS = 4
#: What tells one chart from another.
SETTING = ("table", "human", "tasks", "incomplete", "rows", "scale", "best", "metric_pairs")
#: The setting that is drawn where it was run; others would only be shades of it.
PLAIN = {"rows": "all", "scale": "score", "metric_pairs": "mean"}

_LABELS, _COLUMN, _ROW, _DOT, _HEAD, _GAP = 200, 84, 24, 10, 84, 28
_LONGEST = 28


@dataclass(frozen=True)
class Chart:
    """Ranks of the systems that are drawn, by aggregate."""

    title: str
    human: str
    #: Names of the aggregates, left to right.
    columns: tuple[str, ...]
    #: Rank of each system in each column.
    ranks: Mapping[str, tuple[int, ...]]

    def places(self, column: int) -> dict[str, int]:
        """Height of each system in a column, 0 on top: by its rank there, equal ones by their ranks before."""

        def key(system: str) -> tuple[int, ...]:
            found = self.ranks[system]
            return (found[column], *reversed(found[:column]), *found[column + 1 :])

        return {system: place for place, system in enumerate(sorted(self.ranks, key=key))}


def draw(records: Sequence[Record]) -> str:
    """The charts of these records below each other, as one ``<svg>`` element.

    It takes its colours from the page: ``currentColor`` for lines and text, the custom properties ``--accent`` and
    ``--on-accent`` for the human.
    """
    charts = charts_of(records)
    width = 2 * _LABELS + _COLUMN * max(len(chart.columns) for chart in charts)
    parts, top = [], 0
    for chart in charts:
        parts.append(f'<g transform="translate(0 {top})">{_chart(chart)}</g>')
        top += _HEAD + _ROW * len(chart.ranks) + _GAP
    told = " ".join(_told(chart) for chart in charts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top - _GAP}" role="img" '
        f'style="width:100%;max-width:{width}px;height:auto" fill="currentColor" font-size="12" '
        f'font-family="system-ui, sans-serif"><title>{escape(told)}</title>{"".join(parts)}</svg>'
    )


def charts_of(records: Sequence[Record]) -> list[Chart]:
    """One chart for each setting, in an order of their own, at most ``CHARTS``: those of scores as printed, if any.

    Records come in the order in which cells happened to end, which says nothing.
    """
    groups: dict[tuple[tuple[str, object], ...], dict[str, Record]] = {}
    for record in sorted(records, key=_order):
        key = tuple((name, record.options[name]) for name in SETTING if name in record.options)
        groups.setdefault(key, {}).setdefault(record.method, record)
    plain = [key for key in groups if all(PLAIN.get(name, value) == value for name, value in key)]
    # One aggregate alone has nothing to be compared with, unless there is no other chart.
    several = [key for key in plain or groups if len(groups[key]) > 1]
    return [_of_setting(groups[key]) for key in (several or plain or list(groups))[:CHARTS]]


def _order(record: Record) -> tuple[int, str, int]:
    sets = [tasks for benchmark in BENCHMARKS for tasks in benchmark.left_out]
    tasks = record.options.get("tasks")
    return sets.index(tasks) if tasks in sets else len(sets), str(sorted(record.options.items())), record.seed


def _of_setting(by_method: Mapping[str, Record]) -> Chart:
    known = [name for name in COLUMNS if name in by_method]
    columns = tuple(known + [name for name in by_method if name not in known])
    first = by_method[columns[0]]
    names, human = names_of(first), str(first.options.get("human", "Human"))
    found: dict[str, tuple[int, ...]] = {}
    by_column = [dict(by_method[name].curves["rank"]) for name in columns]
    for row in by_column[0]:
        if all(row in ranks for ranks in by_column):
            name = names[row] if row < len(names) else f"row {row + 1}"
            found[name] = tuple(int(ranks[row]) for ranks in by_column)
    best = sorted(found, key=lambda name: found[name])[:SHOWN]
    shown = {name: ranks for name, ranks in found.items() if name in best or name == human}
    systems = int(first.metrics["systems"])
    return Chart(_title(first, len(shown), systems), human, columns, shown)


def _title(record: Record, shown: int, systems: int) -> str:
    options = record.options
    same = "each system by those it has" if options.get("incomplete") == "keep" else "the same for every system"
    text = f"{_of_what(options)}: {record.metrics['columns']:g} columns, {same}"
    told = [f"{name} = {options[name]}" for name, value in PLAIN.items() if options.get(name, value) != value]
    drawn = "" if shown >= systems else f", {shown} of them drawn: the first {SHOWN} and the human"
    return "; ".join([text, *told, f"{systems} systems{drawn}"])


def _of_what(options: Mapping[str, object]) -> str:
    return str(options["table"]) if "table" in options else f"tasks = {options.get('tasks')}"


def names_of(record: Record) -> tuple[str, ...]:
    """Names of the systems by row of the table that a record is about; none where that table is not at hand."""
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
            from harness_plugins.leaderboard import harness_datasets

            return snapshot_table(benchmark, load(harness_datasets()[0])).systems
        return typed_table(benchmark).systems
    except HarnessError:
        return ()


def _told(chart: Chart) -> str:
    """The human's ranks in words, for those who cannot see the picture."""
    if chart.human not in chart.ranks:
        return f"{chart.title}."
    ranks = ", ".join(f"{r} by {c}" for c, r in zip(chart.columns, chart.ranks[chart.human], strict=True))
    return f"{chart.title}: {chart.human} has rank {ranks}."


def _chart(chart: Chart) -> str:
    places = [chart.places(column) for column in range(len(chart.columns))]
    parts = [f'<text x="0" y="16" font-size="14" font-weight="600">{escape(chart.title)}</text>']
    parts += [_header(name, _x(column)) for column, name in enumerate(chart.columns)]
    # The human last, so that nothing is drawn over it.
    for system in sorted(chart.ranks, key=lambda name: name == chart.human):
        parts.append(_system(system, chart.ranks[system], [p[system] for p in places], system == chart.human))
    return "".join(parts)


def _header(name: str, x: int) -> str:
    """An aggregate's name, broken at its last hyphen."""
    first, hyphen, last = name.rpartition("-")
    lines = [first + hyphen, last] if hyphen else ["", name]
    return "".join(
        f'<text x="{x}" y="{y}" text-anchor="middle" font-size="12" opacity="0.8">{escape(line)}</text>'
        for line, y in zip(lines, (46, 61), strict=True)
        if line
    )


def _system(name: str, ranks: Sequence[int], places: Sequence[int], human: bool) -> str:
    accent = "var(--accent, #0b6bcb)"
    ys = [_y(place) for place in places]
    stroke = f'stroke="{accent}" stroke-width="3.5"' if human else 'stroke="currentColor" stroke-width="1.5"'
    lines = "".join(_curve(_x(i), y, _x(i + 1), ys[i + 1]) for i, y in enumerate(ys[:-1]))
    parts = [f"<title>{escape(name)}</title>"]
    # Lines end at the dots, so that numbers stand on the page itself, whatever its colour.
    parts.append(f'<path d="{lines}" fill="none" {stroke} opacity="{1 if human else 0.4}"/>' if lines else "")
    for column, (rank, y) in enumerate(zip(ranks, ys, strict=True)):
        if human:
            parts.append(f'<circle cx="{_x(column)}" cy="{y}" r="{_DOT}" fill="{accent}"/>')
        fill = ' fill="var(--on-accent, #fff)" font-weight="700"' if human else ' opacity="0.75"'
        parts.append(f'<text x="{_x(column)}" y="{y + 4}" text-anchor="middle" font-size="11"{fill}>{rank}</text>')
    weight = f' fill="{accent}" font-weight="700"' if human else ""
    label = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    for x, y, anchor in ((_x(0) - 18, ys[0], "end"), (_x(len(ys) - 1) + 18, ys[-1], "start")):
        parts.append(f'<text x="{x}" y="{y + 4}" text-anchor="{anchor}"{weight}>{escape(label)}</text>')
    return f"<g>{''.join(parts)}</g>"


def _x(column: int) -> int:
    return _LABELS + _COLUMN // 2 + column * _COLUMN


def _y(place: int) -> int:
    return _HEAD + _ROW * place


def _curve(x: int, y: int, next_x: int, next_y: int) -> str:
    start, end, middle = x + _DOT + 1, next_x - _DOT - 1, (x + next_x) / 2
    return f"M{start} {y}C{middle:g} {y} {middle:g} {next_y} {end} {next_y}"
