"""The log-log picture: time and memory over the size, one panel each for a workload, as one HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.numbers import memory, short_time
from harness.planning.setting import varying
from harness.spec import resolve
from harness_plugins.report import svg
from harness_plugins.speed.points import Point, Row
from harness_plugins.speed.table import groups, heading, size_text

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 460, 330, 62, 446, 286, 24
#: Okabe and Ito's colours, which colour-blind readers can tell apart, and a grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  color: #1c1f24; background: #fff; }
h2 { font-size: 1.05rem; margin: 2rem 0 0.3rem; } .panels { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 1 1 420px; } .picture { width: 100%; height: auto; font-size: 11px; }
svg text { fill: #5a626e; } .side { fill: #1c1f24; } .grid { stroke: #e3e5e1; }
.curve { fill: none; stroke-width: 1.8; }
.keys { margin: 0.2rem 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 0.1rem 1rem;
  font-size: 0.85rem; } .keys svg { width: 2em; height: 0.75em; }
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
    time = "forward and backward" if group[0].conditions.backward else "forward"
    panels = [
        _panel(group, methods, time, Point.ranked, short_time),
        _panel(group, methods, "peak memory", _peak, memory),
    ]
    figures = "".join(f"<figure>{panel}</figure>" for panel in panels)
    return f'<h2>{svg.escape(heading(group))}</h2><div class="panels">{figures}</div>{svg.legend(methods, line=True)}'


def _peak(point: Point, row: Row) -> float | None:
    return float(row.cost.peak_bytes) if point.ranked(row) is not None and row.cost and row.cost.peak_bytes else None


def _panel(
    group: Sequence[Point],
    methods: Sequence[str],
    title: str,
    value_of: Callable[[Point, Row], float | None],
    text: Callable[[float], str],
) -> str:
    """One value over the size, a curve for each method; ``text`` writes a value."""
    name, across = _across(group)
    root = svg.picture(_WIDTH, _HEIGHT, f"{heading(group)}: {title}")
    svg.label(root, _LEFT, 12, title, "side", "start")
    curves: dict[str, list[tuple[float, float, Point]]] = {method: [] for method in methods}
    for point in group:
        for row in point.rows:
            if (value := value_of(point, row)) is not None:
                curves[row.method].append((across(point), value, point))
    values = [value for curve in curves.values() for _, value, _ in curve]
    if not values:
        svg.label(root, _WIDTH / 2, _HEIGHT / 2, "nothing was measured")
        return svg.text_of(root)
    x = svg.Axis.around([across(point) for point in group], _LEFT, _RIGHT, log=True)
    y = svg.Axis.around(values, _BOTTOM, _TOP, log=True)
    svg.vertical_grid(root, x, _TOP, _BOTTOM)
    svg.horizontal_grid(root, y, _LEFT, _RIGHT, text)
    svg.label(root, (_LEFT + _RIGHT) / 2, _HEIGHT - 8, name, "side")
    for series, (method, curve) in enumerate(curves.items()):
        places = [(x(size), y(value), value, point) for size, value, point in sorted(curve, key=lambda mark: mark[0])]
        svg.path(root, [place[:2] for place in places], f"curve {svg.series_class(series, line=True)}", method)
        for left, top, value, point in places:
            tip = f"{method}, {size_text(point, group)}: {text(value)}"
            svg.mark(root, left, top, svg.series_class(series), svg.mark_of(series), 3.6, tip)
    return svg.text_of(root)


def _across(group: Sequence[Point]) -> tuple[str, Callable[[Point], float]]:
    """The horizontal axis: the one dimension that varies, or the least operations where several do."""
    sizes = [point.conditions.dimensions for point in group]
    names = varying(sizes) or list(sizes[0])[:1]
    if len(names) == 1:
        return names[0], lambda point: float(point.conditions.dimensions[names[0]])
    flops = resolve(group[0].workload.flops)
    return f"least operations ({' and '.join(names)} vary)", lambda point: float(flops(**point.conditions.dimensions))
