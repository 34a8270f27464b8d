"""The one writer of charts: SVG elements, axes with round numbers, marks, legends, escaped text.

The report draws with it, and plugins draw charts of their own with it. A chart names CSS classes and no
colours, so that the style sheet of its page decides about light, dark and print; text stays text. A chart that is
also a file of its own passes SVG's presentation attributes (``font_size=12``, ``fill="currentColor"``) and is written
with ``standalone=True``.

>>> root = picture(100, 40, "accuracy of two methods")
>>> axis = Axis.around([0.9, 0.94], 10, 90)
>>> mark(root, axis(0.94), 20, series_class(0), mark_of(0), tip="flatnce 0.94")
>>> text_of(root)[-90:]
'<circle cx="85.7" cy="20" r="4" class="mark m0"><title>flatnce 0.94</title></circle></svg>'
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args
from xml.etree import ElementTree as Tree

from harness.numbers import number

#: More series than this share colours; their marks and dashes differ.
COLOURS = 8
#: Dashes of lines: none, long, short.
DASHES = 3
Mark = Literal["circle", "square", "diamond", "triangle", "cross"]
MARKS: tuple[Mark, ...] = get_args(Mark)
Element = Tree.Element
#: A place in a chart: x to the right, y downwards.
Place = tuple[float, float]

# Functions with many parameters take an element's attributes one by one, as SVG does.


def picture(width: float, height: float, title: str, classes: str = "", **attributes: str | float) -> Element:
    """An empty ``<svg>`` of this size, scaled by CSS, with a title for people who cannot see it.

    >>> text_of(picture(100, 40, "a < b", "scatter"))[:83]
    '<svg viewBox="0 0 100 40" role="img" class="picture scatter" style="max-width:100px'
    """
    size = {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "class": f"picture {classes}".strip()}
    root = Tree.Element("svg", size | {"style": f"max-width:{width:g}px"} | _attributes(attributes))
    _add_title(root, title)
    return root


def text_of(root: Element, standalone: bool = False) -> str:
    """The picture as text to put into a page, or into a file of its own, which needs a namespace.

    >>> text_of(picture(9, 9, ""), standalone=True)[:40]
    '<svg xmlns="http://www.w3.org/2000/svg" '
    """
    text = Tree.tostring(root, encoding="unicode")
    return text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) if standalone else text


def group(parent: Element, x: float = 0, y: float = 0, title: str = "", **attributes: str | float) -> Element:
    """A group of elements, moved by x and y; the title is shown where a pointer rests on one of them."""
    moved = {"transform": f"translate({_n(x)} {_n(y)})"} if x or y else {}
    element = Tree.SubElement(parent, "g", moved | _attributes(attributes))
    _add_title(element, title)
    return element


def line(
    parent: Element, x1: float, y1: float, x2: float, y2: float, classes: str = "", **attributes: str | float
) -> None:
    """A straight line."""
    ends = {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2)}
    Tree.SubElement(parent, "line", ends | _class(classes) | _attributes(attributes))


def box(
    parent: Element, x: float, y: float, width: float, height: float, classes: str = "", **attributes: str | float
) -> Element:
    """A rectangle."""
    size = {"x": _n(x), "y": _n(y), "width": _n(max(width, 0)), "height": _n(max(height, 0))}
    return Tree.SubElement(parent, "rect", size | _class(classes) | _attributes(attributes))


def path(parent: Element, points: Iterable[Place], classes: str = "", tip: str = "", **attributes: str | float) -> None:
    """Straight lines from point to point; ``tip`` is shown where a pointer rests on them."""
    if drawn := "L".join(f"{_n(x)} {_n(y)}" for x, y in points):
        element = Tree.SubElement(parent, "path", {"d": f"M{drawn}"} | _class(classes) | _attributes(attributes))
        _add_title(element, tip)


def links(
    parent: Element, points: Sequence[Place], classes: str = "", gap: float = 0.0, **attributes: str | float
) -> None:
    """S-shaped lines from each point to the next one on its right, level at both ends.

    Each line begins and ends ``gap`` away from its points, which leaves room for marks or numbers.

    >>> root = picture(100, 40, "")
    >>> links(root, [(10, 10), (50, 30)], gap=5)
    >>> root[0].get("d")
    'M15 10C30 10 30 30 45 30'
    """
    drawn = "".join(
        f"M{_n(x + gap)} {_n(y)}C{_n((x + right) / 2)} {_n(y)} {_n((x + right) / 2)} {_n(below)} "
        f"{_n(right - gap)} {_n(below)}"
        for (x, y), (right, below) in pairwise(points)
    )
    if drawn:
        Tree.SubElement(parent, "path", {"d": drawn, "fill": "none"} | _class(classes) | _attributes(attributes))


def label(
    parent: Element,
    x: float,
    y: float,
    text: str,
    classes: str = "",
    anchor: str = "middle",
    **attributes: str | float,
) -> None:
    """Text whose start, middle or end is at x."""
    place = {"x": _n(x), "y": _n(y), "text-anchor": anchor}
    element = Tree.SubElement(parent, "text", place | _class(classes) | _attributes(attributes))
    element.text = clean(text)


def mark(
    parent: Element,
    x: float,
    y: float,
    classes: str = "",
    shape: Mark = "circle",
    size: float = 4.0,
    tip: str = "",
    **attributes: str | float,
) -> None:
    """A point of one of five shapes; ``tip`` is shown where a pointer rests on it."""
    r = size
    match shape:
        case "circle":
            element = Tree.SubElement(parent, "circle", {"cx": _n(x), "cy": _n(y), "r": _n(r)})
        case "square":
            element = box(parent, x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r)
        case "diamond":
            corners = f"M{_n(x)} {_n(y - 1.3 * r)}l{_n(1.3 * r)} {_n(1.3 * r)} {_n(-1.3 * r)} {_n(1.3 * r)} "
            element = Tree.SubElement(parent, "path", {"d": corners + f"{_n(-1.3 * r)} {_n(-1.3 * r)}z"})
        case "triangle":
            corners = f"M{_n(x)} {_n(y - 1.2 * r)}l{_n(1.15 * r)} {_n(2 * r)}h{_n(-2.3 * r)}z"
            element = Tree.SubElement(parent, "path", {"d": corners})
        case "cross":
            corners = f"M{_n(x - r)} {_n(y - r)}l{_n(2 * r)} {_n(2 * r)}m0 {_n(-2 * r)}l{_n(-2 * r)} {_n(2 * r)}"
            element = Tree.SubElement(parent, "path", {"d": corners})
            classes += " stroked"
    element.attrib |= {"class": f"mark {classes}".strip()} | _attributes(attributes)
    _add_title(element, tip)


# Axes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """A scale, linear or logarithmic: it maps a value to a place, and chooses round numbers to write beside it.

    >>> axis = Axis(0, 10, 100, 200)
    >>> axis(5.0), axis.ticks()
    (150.0, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, log: bool = False, room: float = 0.06) -> Axis:
        """An axis that shows all these values, with some room at both ends.

        ``log`` is ignored where a value is not positive.
        """
        low, high = min(values), max(values)
        log = log and low > 0
        if log:
            low, high = math.log10(low), math.log10(high)
        pad = room * (high - low) or 0.5 * (0.2 if log else abs(low) * 0.1 or 1.0)
        low, high = low - pad, high + pad
        return cls(10**low, 10**high, start, end, True) if log else cls(low, high, start, end)

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About so many round numbers inside the axis.

        >>> Axis(0.912, 0.941, 0, 100).ticks()
        [0.915, 0.92, 0.925, 0.93, 0.935, 0.94]
        >>> Axis(0.5, 2000, 0, 100, log=True).ticks()
        [1.0, 10.0, 100.0, 1000.0]
        """
        if self.log:
            return _log_ticks(self.low, self.high, count)
        rough = (self.high - self.low) / count
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = magnitude * next(s for s in (1, 2, 2.5, 5, 10) if s * magnitude >= 0.8 * rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    powers = [10.0**i for i in range(first, last + 1)]
    if len(powers) > count + 1:
        return powers[:: math.ceil(len(powers) / (count + 1))]
    if len(powers) > 1:
        return powers
    # Less than two powers of ten: round numbers between them.
    return [t for t in Axis(low, high, 0, 1).ticks(count - 1) if low <= t <= high and t > 0]


def horizontal_grid(
    parent: Element, axis: Axis, left: float, right: float, text: Callable[[float], str] = number
) -> None:
    """For a vertical axis: a line across the chart at each round number, which ``text`` writes left of it.

    Numbers that differ by less than is written have one label.
    """
    written = ""
    for tick in axis.ticks():
        line(parent, left, axis(tick), right, axis(tick), "grid")
        if (number_text := text(tick)) != written:
            label(parent, left - 5, axis(tick) + 3.5, number_text, "tick", "end")
        written = number_text


def vertical_grid(
    parent: Element, axis: Axis, top: float, bottom: float, text: Callable[[float], str] = number, count: int = 5
) -> None:
    """For a horizontal axis: a line down the chart at each round number, which ``text`` writes below it."""
    for tick in axis.ticks(count):
        line(parent, axis(tick), top, axis(tick), bottom, "grid")
        label(parent, axis(tick), bottom + 15, text(tick), "tick")


def bottom_axis(
    parent: Element,
    axis: Axis,
    left: float,
    y: float,
    text: Callable[[float], str] = number,
    ticks: Sequence[float] = (),
) -> None:
    """A horizontal axis without a grid: its line at height y from ``left`` on, with short ticks and their numbers.

    These are round numbers where no ``ticks`` are given.
    """
    line(parent, left, y, axis.end + 8, y, "axis")
    for tick in ticks or axis.ticks(6):
        line(parent, axis(tick), y, axis(tick), y + 4, "axis")
        label(parent, axis(tick), y + 15, text(tick), "tick")


# Series: methods by their place in a list -------------------------------------------------------------------


def series_class(series: int, line: bool = False) -> str:
    """The classes of a series: its colour and, for a line, its dash.

    >>> series_class(1), series_class(9), series_class(9, line=True)
    ('m1', 'm1', 'm1 d1')
    """
    colour = f"m{series % COLOURS}"
    return f"{colour} d{series // COLOURS % DASHES}" if line else colour


def mark_of(series: int) -> Mark:
    """The shape of a series' points; series that share a colour have different ones.

    >>> mark_of(0), mark_of(8)
    ('circle', 'cross')
    """
    return MARKS[(series + series // COLOURS) % len(MARKS)]


def sample(series: int, line: bool = False) -> str:
    """The mark of a series as a small picture for a legend, on a piece of its line where there are lines."""
    width = 32 if line else 16
    root = picture(width, 12, "", "key")
    if line:
        path(root, [(0, 6), (width, 6)], f"curve {series_class(series, line)}")
    mark(root, width / 2, 6, series_class(series), mark_of(series), 4.6)
    return text_of(root)


def legend(names: Sequence[str], line: bool = False) -> str:
    """A list in HTML of all series with their marks.

    >>> legend(["a < b"])[-25:]
    '</svg> a &lt; b</li></ul>'
    """
    entries = "".join(f"<li>{sample(series, line)} {escape(name)}</li>" for series, name in enumerate(names))
    return f'<ul class="keys">{entries}</ul>'


# Text -------------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Text for HTML or for an attribute's value.

    >>> escape('<b>"')
    '&lt;b&gt;&quot;'
    """
    return html.escape(clean(text))


def clean(text: str) -> str:
    """Text without the control characters that XML does not allow."""
    return "".join(c for c in text if c >= " " or c in "\t\n")


def _add_title(element: Element, title: str) -> None:
    if title:
        Tree.SubElement(element, "title").text = clean(title)


def _class(classes: str) -> dict[str, str]:
    return {"class": classes} if classes else {}


def _attributes(attributes: dict[str, str | float]) -> dict[str, str]:
    """Presentation attributes as SVG spells them: ``font_size=12`` is ``font-size="12"``."""
    return {
        name.replace("_", "-"): value if isinstance(value, str) else f"{value:g}" for name, value in attributes.items()
    }


def _n(value: float) -> str:
    """A coordinate, to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")
