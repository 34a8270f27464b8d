"""Charts of a suite: paired seeds, measure against cost, curves. Each is one ``<svg>`` beside others of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.numbers import number
from harness_plugins.report import svg
from harness_plugins.report.evidence import Evidence, Panel
from harness_plugins.report.svg import Axis

#: Seeds of a curve are drawn one by one up to so many in a picture, each thinned to so many points.
DRAWN_SEEDS, DRAWN_POINTS = 60, 40
_LEFT, _TOP, _BOTTOM = 46.0, 10.0, 24.0


@dataclass(frozen=True)
class Point:
    """A setting in a chart against cost."""

    method: int
    x: float
    y: float
    low: float | None
    high: float | None
    tip: str
    #: Written beside the point where there is room.
    label: str = ""


@dataclass(frozen=True)
class Bar:
    """An estimate with its interval."""

    name: str
    method: int
    value: float
    low: float
    high: float


#: Shares at each level, and the lower and upper ends of their band.
Profile = tuple[Sequence[float], Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Track:
    """The curves of one method in one setting: their mean over seeds, and each seed."""

    method: int
    name: str
    average: Sequence[tuple[int, float]]
    seeds: Sequence[Sequence[tuple[int, float]]]


def pairs(found: Evidence) -> list[tuple[str, str]]:
    """For each setting its label and the seeds of both sides, each joined by a line; all on one scale."""
    every = [x for panel in found.panels for line in panel.lines for x in line.values]
    if found.reference is not None:
        every.append(found.reference)
    return [(panel.label, _pairs(found, panel, every)) for panel in found.panels]


def _pairs(found: Evidence, panel: Panel, every: Sequence[float]) -> str:
    sides = len(found.sides)
    share = max(84.0, *(5.8 * len(part) for name in found.sides for part in name.split(" ", 1)))
    width, height = _LEFT + share * max(sides, 2), 220.0
    title = f"{found.metric} of {', '.join(found.sides)}, {len(panel.lines)} lines"
    root = svg.picture(width, height, f"{title}; {panel.label}" if panel.label else title, "pairs")
    axis = Axis.around(every, height - _BOTTOM - 14, _TOP, log=found.log)
    _grid(root, axis, width)
    places = [_LEFT + (i + 0.5) * (width - _LEFT) / sides for i in range(sides)]
    if found.reference is not None:
        y = axis(found.reference)
        svg.line(root, _LEFT, y, width, y, "reference")
        svg.label(root, width - 2, y - 4, f"claimed {number(found.reference)}", "tick", "end")
    for place, name in zip(places, found.sides, strict=True):
        for row, part in enumerate(name.split(" ", 1)):
            svg.label(root, place, height - 20 + 14 * row, part, "side")
    for i, one in enumerate(panel.lines):
        kind = "up" if one.judged > 0 else "down"
        spread = (i - (len(panel.lines) - 1) / 2) * min(7.0, 40 / len(panel.lines)) if sides == 1 else 0.0
        for start in range(0, sides - 1, 2):
            ends = [(places[k], axis(one.values[k])) for k in (start, start + 1)]
            svg.line(root, *ends[0], *ends[1], f"pair {kind}")
        for place, name, value in zip(places, found.sides, one.values, strict=True):
            tip = f"{one.name}: {name} {number(value)}"
            svg.mark(root, place + spread, axis(value), f"dot {kind}", size=3.6, tip=tip)
    if len(panel.lines) > 1 and not found.log:
        for i, place in enumerate(places):
            y = axis(fmean(one.values[i] for one in panel.lines))
            svg.line(root, place - 14, y, place + 14, y, "mean")
    return svg.text_of(root)


def against_cost(points: Sequence[Point], title: str) -> str:
    """A scatter of settings: cost to the right, the measure upwards with its interval."""
    width, height = 380.0, 250.0
    root = svg.picture(width, height, title, "scatter")
    heights = [y for p in points for y in (p.y, p.low, p.high) if y is not None]
    y_axis = Axis.around(heights, height - _BOTTOM - 4, _TOP, log=_spread(heights) > 50)
    costs = [p.x for p in points]
    x_axis = Axis.around(costs, _LEFT + 6, width - 8, log=_spread(costs) > 5)
    _grid(root, y_axis, width)
    _foot(root, x_axis, height - _BOTTOM)
    for p in points:
        if p.low is not None and p.high is not None:
            svg.line(
                root, x_axis(p.x), y_axis(p.low), x_axis(p.x), y_axis(p.high), f"whisker m{p.method % svg.COLOURS}"
            )
    taken = [(x_axis(p.x), y_axis(p.y)) for p in points]
    for p in points:
        x, y = x_axis(p.x) + 7, y_axis(p.y) - 5
        if p.label and all(
            abs(x + 3 * len(p.label) - a) > 6 + 3 * len(p.label) or abs(y - 3 - b) > 10 for a, b in taken
        ):
            svg.label(root, x, y, p.label, "tick", "start")
            taken.append((x + 3 * len(p.label), y - 3))
        svg.mark(root, x_axis(p.x), y_axis(p.y), f"m{p.method % svg.COLOURS}", mark_of(p.method), 4.6, p.tip)
    return svg.text_of(root)


def curves(tracks: Sequence[Track], every: Sequence[float], steps: int, title: str) -> str:
    """Curves over steps: each method's mean over seeds, its seeds in the background."""
    width, height = 380.0, 230.0
    root = svg.picture(width, height, title, "curves")
    y_axis = Axis.around(every, height - _BOTTOM - 4, _TOP, log=_spread(every) > 50)
    x_axis = Axis(0, max(steps, 1), _LEFT + 2, width - 8)
    _grid(root, y_axis, width)
    _foot(root, x_axis, height - _BOTTOM)
    if sum(len(track.seeds) for track in tracks) <= DRAWN_SEEDS:
        for track in tracks:
            for seed in track.seeds:
                if len(seed) > 1:
                    points = [(x_axis(x), y_axis(y)) for x, y in thinned(seed, DRAWN_POINTS)]
                    svg.path(root, points, f"curve faint m{track.method % svg.COLOURS}")
    for track in tracks:
        points = [(x_axis(x), y_axis(y)) for x, y in thinned(track.average, 2 * DRAWN_POINTS)]
        kind = f"curve m{track.method % svg.COLOURS} d{track.method // svg.COLOURS % 3}"
        svg.path(root, points, kind, track.name)
    return svg.text_of(root)


def intervals(rows: Sequence[Bar], title: str, reference: float | None = None) -> str:
    """Estimates with their intervals, one below the other, each with its name before it."""
    left = max(60.0, *(5.9 * len(row.name) + 12 for row in rows))
    width, height = left + 260.0, 24.0 * len(rows) + 26
    root = svg.picture(width, height, title, "bars")
    ends = [x for row in rows for x in (row.low, row.value, row.high)] + ([] if reference is None else [reference])
    axis = Axis.around(ends, left, width - 10)
    floor = height - 22
    for tick in axis.ticks(4):
        svg.line(root, axis(tick), 2, axis(tick), floor, "grid")
        svg.label(root, axis(tick), height - 7, number(tick), "tick")
    if reference is not None:
        svg.line(root, axis(reference), 2, axis(reference), floor, "border")
    for i, row in enumerate(rows):
        y, colour = 24.0 * i + 14, f"m{row.method % svg.COLOURS}"
        svg.label(root, left - 8, y + 4, row.name, "side", "end")
        svg.line(root, axis(row.low), y, axis(row.high), y, f"interval {colour}")
        svg.mark(root, axis(row.value), y, colour, mark_of(row.method), 4.6, f"{row.name} {number(row.value)}")
    return svg.text_of(root)


def profiles(levels: Sequence[float], shares: Mapping[int, Profile], title: str) -> str:
    """For each method the share of runs above each level, with its band."""
    width, height = 380.0, 230.0
    root = svg.picture(width, height, title, "curves")
    y_axis = Axis(0, 1.04, height - _BOTTOM - 4, _TOP)
    x_axis = Axis(levels[0], levels[-1], _LEFT + 2, width - 8)
    _grid(root, y_axis, width)
    _foot(root, x_axis, height - _BOTTOM)
    places = [x_axis(level) for level in levels]
    for method, (_, low, high) in shares.items():
        edge = [*zip(places, map(y_axis, low), strict=True), *zip(places[::-1], map(y_axis, high[::-1]), strict=True)]
        svg.path(root, edge, f"band m{method % svg.COLOURS}")
    for method, (middle, _, _) in shares.items():
        kind = f"curve m{method % svg.COLOURS} d{method // svg.COLOURS % 3}"
        svg.path(root, zip(places, map(y_axis, middle), strict=True), kind)
    return svg.text_of(root)


def mark_of(method: int) -> svg.Mark:
    """The shape of a method's points; methods that share a colour have different ones."""
    return svg.MARKS[(method + method // svg.COLOURS) % len(svg.MARKS)]


def key(method: int) -> str:
    """A method's mark for the legend."""
    root = svg.picture(16, 12, "", "key")
    svg.mark(root, 8, 6, f"m{method % svg.COLOURS}", mark_of(method), 4.6)
    return svg.text_of(root)


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most so many points, the first and the last among them.

    >>> [x for x, _ in thinned([(i, 0.0) for i in range(100)], 4)]
    [0, 33, 66, 99]
    """
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def averaged(curves: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """The mean over seeds at the steps that all of them have.

    >>> averaged([[(0, 1.0), (1, 2.0)], [(0, 3.0), (1, 4.0), (2, 9.0)]])
    [(0, 2.0), (1, 3.0)]
    """
    by_step: list[Mapping[int, float]] = [dict(curve) for curve in curves]
    common = set.intersection(*(set(curve) for curve in by_step)) if by_step else set()
    return [(step, fmean(curve[step] for curve in by_step)) for step in sorted(common)]


def _grid(root: svg.Element, axis: Axis, width: float) -> None:
    for tick in axis.ticks():
        svg.line(root, _LEFT, axis(tick), width, axis(tick), "grid")
        svg.label(root, _LEFT - 5, axis(tick) + 3.5, number(tick), "tick", "end")


def _foot(root: svg.Element, axis: Axis, y: float) -> None:
    svg.line(root, _LEFT, y, axis.end + 8, y, "axis")
    for tick in axis.ticks(6):
        svg.line(root, axis(tick), y, axis(tick), y + 4, "axis")
        svg.label(root, axis(tick), y + 15, number(tick), "tick")


def _spread(values: Sequence[float]) -> float:
    """The largest value over the smallest; 1 where not all are positive."""
    return max(values) / min(values) if min(values) > 0 else 1.0
