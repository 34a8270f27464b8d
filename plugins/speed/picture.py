"""The log-log picture: time and memory over the size, one panel each for a workload, as one HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from harness.numbers import memory
from harness.spec import resolve
from harness_plugins.report import svg
from harness_plugins.speed.bench import Point, Row
from harness_plugins.speed.table import groups, heading, seconds_text, size_text

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 330, 62, 44, 24
#: Okabe and Ito's colours, which the colour-blind can tell apart, and a grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  color: #1c1f24; background: #fff; }
h2 { font-size: 1.05rem; margin: 2rem 0 0.3rem; } .panels { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 1 1 420px; } svg { width: 100%; height: auto; font-size: 11px; }
svg text { fill: #5a626e; } .side { fill: #1c1f24; } .grid { stroke: #e3e5e1; }
.curve { fill: none; stroke-width: 1.8; }
.key { margin: 0.2rem 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 0.1rem 1rem;
  font-size: 0.85rem; } .key svg { width: 1.6em; height: 0.9em; }
.d1 { stroke-dasharray: 5 3; } .d2 { stroke-dasharray: 1.5 2.5; } .stroked { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) { body { color: #e6e8ea; background: #16181b; }
  svg text { fill: #a5adb8; } .side { fill: #e6e8ea; } .grid { stroke: #33373d; } }
"""


def page(points: Sequence[Point]) -> str:
    """The page, which loads nothing from elsewhere."""
    style = _STYLE + "".join(
        f".m{n} {{ stroke: {c}; }} .mark.m{n} {{ fill: {c}; }} .mark.stroked.m{n} {{ fill: none; }}\n"
        for n, c in enumerate(_COLOURS)
    )
    body = "".join(_section(group) for group in groups(points))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>harness bench</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>'
        f"<body><h1>Time and memory over the size</h1>{body}</body></html>\n"
    )


def _section(group: Sequence[Point]) -> str:
    methods = list(dict.fromkeys(row.method for point in group for row in point.rows if point.ranked(row) is not None))
    if not methods:
        return ""
    panels = [
        _panel(
            group, methods, "forward and backward" if group[0].place.backward else "forward", Point.ranked, seconds_text
        ),
        _panel(group, methods, "peak memory", _peak, lambda count: memory(round(count))),
    ]
    key = "".join(f"<li>{_sample(number)} {escape(method)}</li>" for number, method in enumerate(methods))
    figures = "".join(f"<figure>{panel}</figure>" for panel in panels)
    return f'<h2>{escape(heading(group))}</h2><div class="panels">{figures}</div><ul class="key">{key}</ul>'


def _peak(point: Point, row: Row) -> float | None:
    return float(row.cost.peak_bytes) if point.ranked(row) is not None and row.cost and row.cost.peak_bytes else None


def _panel(
    group: Sequence[Point],
    methods: Sequence[str],
    title: str,
    of: Callable[[Point, Row], float | None],
    told: Callable[[float], str],
) -> str:
    name, across = _across(group)
    root = svg.picture(_WIDTH, _HEIGHT, f"{heading(group)}: {title}")
    values = [value for point in group for row in point.rows if (value := of(point, row)) is not None]
    svg.label(root, _LEFT, 12, title, "side", "start")
    if not values:
        svg.label(root, _WIDTH / 2, _HEIGHT / 2, "nothing was measured")
        return svg.text_of(root)
    x = svg.Axis.around([across(point) for point in group], _LEFT, _WIDTH - 14, log=True)
    y = svg.Axis.around(values, _HEIGHT - _BOTTOM, _TOP, log=True)
    for tick in x.ticks():
        svg.line(root, x(tick), _TOP, x(tick), _HEIGHT - _BOTTOM, "grid")
        svg.label(root, x(tick), _HEIGHT - _BOTTOM + 15, _short(tick))
    for tick in y.ticks():
        svg.line(root, _LEFT, y(tick), _WIDTH - 14, y(tick), "grid")
        svg.label(root, _LEFT - 6, y(tick) + 4, told(tick), anchor="end")
    svg.label(root, (_LEFT + _WIDTH) / 2, _HEIGHT - 8, name, "side")
    for number, method in enumerate(methods):
        found = [
            (across(point), value, point)
            for point in group
            for row in point.rows
            if row.method == method and (value := of(point, row)) is not None
        ]
        found.sort(key=lambda one: one[0])
        svg.path(root, [(x(at), y(value)) for at, value, _ in found], f"curve {_kind(number)}", method)
        for at, value, point in found:
            tip = f"{method}, {size_text(point, group)}: {told(value)}"
            svg.mark(root, x(at), y(value), f"m{number % len(_COLOURS)}", svg.MARKS[number % len(svg.MARKS)], 3.6, tip)
    return svg.text_of(root)


def _across(group: Sequence[Point]) -> tuple[str, Callable[[Point], float]]:
    """What sizes are laid out by: the one dimension that varies, or the least operations where several do."""
    sizes = [dict(point.place.size) for point in group]
    varying = [name for name in sizes[0] if len({size[name] for size in sizes}) > 1] or list(sizes[0])[:1]
    if len(varying) == 1:
        return varying[0], lambda point: float(point.place.dimensions[varying[0]])
    flops = resolve(group[0].workload.flops)
    return f"least operations ({' and '.join(varying)} vary)", lambda point: float(flops(**point.place.dimensions))


def _kind(number: int) -> str:
    return f"m{number % len(_COLOURS)} d{number // len(_COLOURS) % 3}"


def _sample(number: int) -> str:
    root = svg.picture(32, 18, "")
    svg.path(root, [(0, 9), (32, 9)], f"curve {_kind(number)}")
    svg.mark(root, 16, 9, f"m{number % len(_COLOURS)}", svg.MARKS[number % len(svg.MARKS)], 4)
    return svg.text_of(root)


def _short(value: float) -> str:
    """A round number, short.

    >>> _short(1000.0), _short(2e7), _short(500.0)
    ('1k', '20M', '500')
    """
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"
