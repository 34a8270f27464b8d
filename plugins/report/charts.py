"""The report's charts of a suite: seeds in pairs, a metric against its cost, curves. Each is one ``<svg>`` as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.numbers import number
from harness_plugins.report import svg
from harness_plugins.report.evidence import Evidence, Line, Panel
from harness_plugins.report.svg import Axis

#: Single seeds are drawn while a chart has no more curves than this, each thinned to so many points.
MOST_SEED_CURVES, POINTS_PER_CURVE = 60, 40
#: Room left of the charts for the numbers of the vertical axis, above them, and below them for the horizontal axis.
_LEFT, _TOP, _BOTTOM = 46.0, 10.0, 24.0
#: Values of an option that an axis names; more of them would touch.
_MOST_TICKS = 6
#: Width of a letter of the labels, about.
_LETTER = 5.8

#: Step and value of each point of a curve.
Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class CostPoint:
    """One setting of a method in a chart of a metric against its cost."""

    series: int
    cost: float
    value: float
    low: float | None
    high: float | None
    tip: str
    #: Written beside the point where there is room.
    label: str = ""


@dataclass(frozen=True)
class Bar:
    """An estimate with its interval."""

    name: str
    series: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OptionLine:
    """A metric of one method over the values of an option."""

    series: int
    #: Value of the option, mean, both ends of its interval where there is one, and what a pointer shows.
    points: Sequence[tuple[float, float, float | None, float | None, str]]
    #: Whether the points lie on one line.
    joined: bool = True


#: Shares at each level, and the lower and upper ends of their band.
Profile = tuple[Sequence[float], Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class MethodCurve:
    """The curve of one method in one setting: the mean over its seeds, and each seed."""

    series: int
    method: str
    mean: Points
    seeds: Sequence[Points]


def seed_pairs(evidence: Evidence) -> list[tuple[str, str]]:
    """For each setting its label and a chart of the seeds on every side, joined by lines; all charts on one scale."""
    values = [value for panel in evidence.panels for line in panel.lines for value in line.values]
    if evidence.reference is not None:
        values.append(evidence.reference)
    return [(panel.label, _seed_pairs(evidence, panel, values)) for panel in evidence.panels]


def _seed_pairs(evidence: Evidence, panel: Panel, values: Sequence[float]) -> str:
    sides = len(evidence.sides)
    longest_label = max(len(part) for side in evidence.sides for part in side.split(" ", 1))
    column = max(84.0, _LETTER * longest_label + 14)
    width, height = _LEFT + column * max(sides, 2), 220.0
    title = f"{evidence.metric} of {', '.join(evidence.sides)}, {len(panel.lines)} lines"
    root = svg.picture(width, height, f"{title}; {panel.label}" if panel.label else title, "pairs")
    axis = Axis.around(values, height - _BOTTOM - 14, _TOP, log=evidence.log)
    svg.horizontal_grid(root, axis, _LEFT, width)
    if evidence.reference is not None:
        y = axis(evidence.reference)
        svg.line(root, _LEFT, y, width, y, "reference")
        svg.label(root, width - 2, y - 4, f"claimed {number(evidence.reference)}", "tick", "end")
    places = [_LEFT + (i + 0.5) * (width - _LEFT) / sides for i in range(sides)]
    for x, side in zip(places, evidence.sides, strict=True):
        for row, part in enumerate(side.split(" ", 1)):
            svg.label(root, x, height - 20 + 14 * row, part, "side")
    for i, line in enumerate(panel.lines):
        # Points of a single side lie beside each other; those of two sides are the ends of a line.
        shift = (i - (len(panel.lines) - 1) / 2) * min(7.0, 40 / len(panel.lines)) if sides == 1 else 0.0
        _draw_line(root, line, evidence.sides, [(x + shift, axis(y)) for x, y in zip(places, line.values, strict=True)])
    if len(panel.lines) > 1 and not evidence.log:
        for i, x in enumerate(places):
            y = axis(fmean(line.values[i] for line in panel.lines))
            svg.line(root, x - 14, y, x + 14, y, "mean")
    return svg.text_of(root)


def _draw_line(root: svg.Element, line: Line, sides: Sequence[str], points: Sequence[svg.Place]) -> None:
    """Draw one seed: its value on each side, and a line from each method to what it is compared with."""
    direction = "up" if line.ahead else "down"
    for start in range(0, len(points) - 1, 2):
        svg.line(root, *points[start], *points[start + 1], f"pair {direction}")
    for (x, y), side, value in zip(points, sides, line.values, strict=True):
        svg.mark(root, x, y, f"dot {direction}", size=3.6, tip=f"{line.name}: {side} {number(value)}")


def against_cost(points: Sequence[CostPoint], title: str) -> str:
    """A scatter chart of settings: cost to the right, the metric upwards with its interval."""
    width, height = 380.0, 250.0
    root = svg.picture(width, height, title, "scatter")
    values = [y for p in points for y in (p.value, p.low, p.high) if y is not None]
    costs = [p.cost for p in points]
    y_axis = Axis.around(values, height - _BOTTOM - 4, _TOP, log=_spread(values) > 50)
    # A cost is read as a length: its axis begins at nothing.
    x_axis = Axis(0.0, 1.06 * max(costs) or 1.0, _LEFT + 6, width - 8)
    svg.horizontal_grid(root, y_axis, _LEFT, width)
    svg.bottom_axis(root, x_axis, _LEFT, height - _BOTTOM)
    for p in points:
        if p.low is not None and p.high is not None:
            x = x_axis(p.cost)
            svg.line(root, x, y_axis(p.low), x, y_axis(p.high), f"whisker {svg.series_class(p.series)}")
    taken = [(x_axis(p.cost), y_axis(p.value)) for p in points]
    for p in points:
        x, y = x_axis(p.cost), y_axis(p.value)
        middle = (x + 7 + 3 * len(p.label), y - 8)
        if p.label and _is_free(middle, 3 * len(p.label), taken):
            svg.label(root, x + 7, y - 5, p.label, "tick", "start")
            taken.append(middle)
        svg.mark(root, x, y, svg.series_class(p.series), svg.mark_of(p.series), 4.6, p.tip)
    return svg.text_of(root)


def _is_free(middle: svg.Place, half: float, taken: Sequence[svg.Place]) -> bool:
    """Whether a label of this middle and half width covers none of the places that are taken."""
    return all(abs(middle[0] - x) > 6 + half or abs(middle[1] - y) > 10 for x, y in taken)


def curves(methods: Sequence[MethodCurve], title: str) -> str:
    """Curves over steps: each method's mean over seeds, its seeds in the background."""
    width, height = 380.0, 230.0
    root = svg.picture(width, height, title, "curves")
    values = [y for method in methods for points in (*method.seeds, method.mean) for _, y in points]
    steps = max(x for method in methods for points in method.seeds for x, _ in points)
    y_axis = Axis.around(values, height - _BOTTOM - 4, _TOP, log=_spread(values) > 50)
    x_axis = Axis(0, max(steps, 1), _LEFT + 2, width - 8)
    svg.horizontal_grid(root, y_axis, _LEFT, width)
    svg.bottom_axis(root, x_axis, _LEFT, height - _BOTTOM)
    if sum(len(method.seeds) for method in methods) <= MOST_SEED_CURVES:
        for method in methods:
            for points in method.seeds:
                if len(points) > 1:
                    drawn = [(x_axis(x), y_axis(y)) for x, y in thinned(points, POINTS_PER_CURVE)]
                    svg.path(root, drawn, f"curve faint {svg.series_class(method.series)}")
    for method in methods:
        drawn = [(x_axis(x), y_axis(y)) for x, y in thinned(method.mean, 2 * POINTS_PER_CURVE)]
        svg.path(root, drawn, f"curve {svg.series_class(method.series, line=True)}", method.method)
    return svg.text_of(root)


def over_option(lines: Sequence[OptionLine], title: str, log: bool) -> str:
    """A metric over the values of an option, a line for each method, each mean with its interval."""
    width, height = 380.0, 230.0
    root = svg.picture(width, height, title, "curves")
    points = [point for option_line in lines for point in option_line.points]
    numbers = [y for _, mean, low, high, _ in points for y in (mean, low, high) if y is not None]
    y_axis = Axis.around(numbers, height - _BOTTOM - 4, _TOP)
    tried = sorted({point[0] for point in points})
    x_axis = Axis.around(tried, _LEFT + 6, width - 8, log=log)
    svg.horizontal_grid(root, y_axis, _LEFT, width)
    # Of a linear axis or of random draws some may be too near to each other to be named.
    apart = log and len(tried) <= _MOST_TICKS and all(option_line.joined for option_line in lines)
    svg.bottom_axis(root, x_axis, _LEFT, height - _BOTTOM, ticks=tried if apart else ())
    for number_of_line, option_line in enumerate(lines):
        # Intervals at one value stand beside each other.
        shift = 4.0 * (number_of_line - (len(lines) - 1) / 2)
        places = [(x_axis(x) + shift, y_axis(mean)) for x, mean, *_ in option_line.points]
        if option_line.joined:
            svg.path(root, places, f"curve {svg.series_class(option_line.series, line=True)}")
        for (x, y), (_, _, low, high, tip) in zip(places, option_line.points, strict=True):
            colour = svg.series_class(option_line.series)
            if low is not None and high is not None:
                svg.line(root, x, y_axis(low), x, y_axis(high), f"whisker {colour}")
            svg.mark(root, x, y, colour, svg.mark_of(option_line.series), 4.0, tip)
    return svg.text_of(root)


def intervals(bars: Sequence[Bar], title: str, reference: float | None = None) -> str:
    """Estimates with their intervals, one below the other, each with its name before it."""
    left = max(60.0, *(5.9 * len(bar.name) + 12 for bar in bars))
    width, height = left + 260.0, 24.0 * len(bars) + 26
    root = svg.picture(width, height, title, "bars")
    values = [x for bar in bars for x in (bar.low, bar.value, bar.high)] + ([] if reference is None else [reference])
    axis = Axis.around(values, left, width - 10)
    bottom = height - 22
    svg.vertical_grid(root, axis, 2, bottom, count=4)
    if reference is not None:
        svg.line(root, axis(reference), 2, axis(reference), bottom, "border")
    for i, bar in enumerate(bars):
        y, colour = 24.0 * i + 14, svg.series_class(bar.series)
        svg.label(root, left - 8, y + 4, bar.name, "side", "end")
        svg.line(root, axis(bar.low), y, axis(bar.high), y, f"interval {colour}")
        svg.mark(root, axis(bar.value), y, colour, svg.mark_of(bar.series), 4.6, f"{bar.name} {number(bar.value)}")
    return svg.text_of(root)


def profiles(levels: Sequence[float], shares: Mapping[int, Profile], title: str) -> str:
    """For each method the share of runs above each level, with its band. Keys of ``shares`` are series."""
    width, height = 380.0, 230.0
    root = svg.picture(width, height, title, "curves")
    y_axis = Axis(0, 1.04, height - _BOTTOM - 4, _TOP)
    x_axis = Axis(levels[0], levels[-1], _LEFT + 2, width - 8)
    svg.horizontal_grid(root, y_axis, _LEFT, width)
    svg.bottom_axis(root, x_axis, _LEFT, height - _BOTTOM)
    places = [x_axis(level) for level in levels]
    for series, (_, low, high) in shares.items():
        edge = [*zip(places, map(y_axis, low), strict=True), *zip(places[::-1], map(y_axis, high[::-1]), strict=True)]
        svg.path(root, edge, f"band {svg.series_class(series)}")
    for series, (share, _, _) in shares.items():
        svg.path(root, zip(places, map(y_axis, share), strict=True), f"curve {svg.series_class(series, line=True)}")
    return svg.text_of(root)


def thinned(points: Points, most: int) -> list[tuple[int, float]]:
    """At most so many of the points, evenly spread, the first and the last among them.

    >>> [x for x, _ in thinned([(i, 0.0) for i in range(100)], 4)]
    [0, 33, 66, 99]
    """
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def averaged(curves: Sequence[Points]) -> list[tuple[int, float]]:
    """The mean over seeds at the steps that all of them have.

    >>> averaged([[(0, 1.0), (1, 2.0)], [(0, 3.0), (1, 4.0), (2, 9.0)]])
    [(0, 2.0), (1, 3.0)]
    """
    by_step: list[Mapping[int, float]] = [dict(curve) for curve in curves]
    common = set.intersection(*(set(curve) for curve in by_step)) if by_step else set()
    return [(step, fmean(curve[step] for curve in by_step)) for step in sorted(common)]


def _spread(values: Sequence[float]) -> float:
    """The largest value over the smallest; 1 where not all are positive."""
    return max(values) / min(values) if min(values) > 0 else 1.0
