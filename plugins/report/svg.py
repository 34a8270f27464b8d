"""Pictures as SVG: an element tree, axes with round numbers, and marks whose colours are classes of the page's CSS.

No colour stands in a picture, so that light, dark and print are a matter of the style sheet alone; text stays text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from xml.etree import ElementTree as Tree

#: Methods beyond so many share colours and are told apart by their marks.
COLOURS = 8
Mark = Literal["circle", "square", "diamond", "triangle", "cross"]
MARKS: tuple[Mark, ...] = get_args(Mark)
Element = Tree.Element


def picture(width: float, height: float, title: str, kind: str = "") -> Element:
    """An empty ``<svg>`` of so many units, scaled by CSS, with a title for those who cannot see it."""
    root = Tree.Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "class": f"picture {kind}"})
    root.set("style", f"max-width:{width:g}px")
    if title:
        Tree.SubElement(root, "title").text = clean(title)
    return root


def text_of(root: Element) -> str:
    """The picture as text to put into a page."""
    return Tree.tostring(root, encoding="unicode")


def line(parent: Element, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
    """A straight line."""
    ends = {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2)}
    Tree.SubElement(parent, "line", {**ends, "class": kind})


def box(parent: Element, x: float, y: float, width: float, height: float, kind: str) -> Element:
    """A rectangle."""
    size = {"x": _n(x), "y": _n(y), "width": _n(max(width, 0)), "height": _n(max(height, 0))}
    return Tree.SubElement(parent, "rect", {**size, "class": kind})


def path(parent: Element, points: Iterable[tuple[float, float]], kind: str, tip: str = "") -> None:
    """A line through points; ``tip`` is shown where a pointer rests on it."""
    drawn = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
    made = Tree.SubElement(parent, "path", {"d": drawn, "class": kind})
    if tip:
        Tree.SubElement(made, "title").text = clean(tip)


def label(parent: Element, x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> None:
    """Text, placed by its middle, start or end."""
    made = Tree.SubElement(parent, "text", {"x": _n(x), "y": _n(y), "text-anchor": anchor, "class": kind})
    made.text = clean(text)


def mark(
    parent: Element, x: float, y: float, kind: str, shape: Mark = "circle", size: float = 4.0, tip: str = ""
) -> None:
    """A point of one of five shapes; ``tip`` is shown where a pointer rests on it."""
    r = size
    match shape:
        case "circle":
            made = Tree.SubElement(parent, "circle", {"cx": _n(x), "cy": _n(y), "r": _n(r)})
        case "square":
            made = box(parent, x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r, "")
        case "diamond":
            corners = f"M{_n(x)} {_n(y - 1.3 * r)}l{_n(1.3 * r)} {_n(1.3 * r)} {_n(-1.3 * r)} {_n(1.3 * r)} "
            made = Tree.SubElement(parent, "path", {"d": corners + f"{_n(-1.3 * r)} {_n(-1.3 * r)}z"})
        case "triangle":
            corners = f"M{_n(x)} {_n(y - 1.2 * r)}l{_n(1.15 * r)} {_n(2 * r)}h{_n(-2.3 * r)}z"
            made = Tree.SubElement(parent, "path", {"d": corners})
        case "cross":
            corners = f"M{_n(x - r)} {_n(y - r)}l{_n(2 * r)} {_n(2 * r)}m0 {_n(-2 * r)}l{_n(-2 * r)} {_n(2 * r)}"
            made = Tree.SubElement(parent, "path", {"d": corners})
            kind += " stroked"
    made.set("class", f"mark {kind}")
    if tip:
        Tree.SubElement(made, "title").text = clean(tip)


@dataclass(frozen=True)
class Axis:
    """A mapping of values to places, linear or logarithmic, with round numbers to write beside it."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, log: bool = False, room: float = 0.06) -> Axis:
        """An axis that shows all these values, with some room at both ends."""
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

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers inside the axis.

        >>> Axis(0.912, 0.941, 0, 100).ticks()
        [0.915, 0.92, 0.925, 0.93, 0.935, 0.94]
        >>> Axis(0.5, 2000, 0, 100, log=True).ticks()
        [1.0, 10.0, 100.0, 1000.0]
        """
        if self.log:
            return _log_ticks(self.low, self.high, most)
        rough = (self.high - self.low) / most
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = magnitude * next(s for s in (1, 2, 2.5, 5, 10) if s * magnitude >= 0.8 * rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    powers = [10.0**i for i in range(first, last + 1)]
    if len(powers) > most + 1:
        return powers[:: math.ceil(len(powers) / (most + 1))]
    if len(powers) > 1:
        return powers
    # Less than two powers of ten: round numbers between them.
    return [t for t in Axis(low, high, 0, 1).ticks(most - 1) if low <= t <= high and t > 0]


def clean(text: str) -> str:
    """Text without the control characters that XML does not allow."""
    return "".join(c for c in text if c >= " " or c in "\t\n")


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
