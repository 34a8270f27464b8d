"""Figures of plugins: draw them, refuse harmful ones, and make their ids unique in the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as Tree

from markupsafe import Markup

from harness.cell import Record
from harness.errors import HarnessError
from harness.judge import SuiteResult
from harness.spec import Figure, resolve

#: Characters of one figure: the whole report is to stay within 3 MB.
MOST_CHARACTERS = 400_000
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
#: Elements that draw, or that drawing needs. All others are refused.
_ALLOWED = {
    *("svg", "g", "defs", "title", "desc", "switch", "symbol", "use", "image", "clipPath", "mask", "marker", "pattern"),
    *("path", "line", "rect", "circle", "ellipse", "polyline", "polygon", "text", "tspan", "textPath"),
    *("linearGradient", "radialGradient", "stop"),
}
#: Elements that are removed. matplotlib writes both, and its style sheet would apply to the whole page.
_REMOVED = frozenset(("metadata", "style"))


class Refused(HarnessError):
    """A figure that must not stand in the report."""


@dataclass(frozen=True)
class Drawn:
    """A figure as it stands in the report, or why it is not shown."""

    name: str
    help: str
    drawing: Markup = Markup("")  # noqa: RUF009  Markup is immutable
    problem: str = ""


def drawn_figures(result: SuiteResult) -> list[Drawn]:
    """Every figure whose tasks have a good record in this suite."""
    good = result.measured
    return [
        draw(figure, own)
        for figure in result.plan.registry.figures.values()
        if (own := [record for record in good if record.task in figure.tasks])
    ]


def draw(figure: Figure, records: Iterable[Record]) -> Drawn:
    """Draw one figure; turn any failure of its code into a one-line problem."""
    try:
        text = resolve(figure.draw)(list(records))
        return Drawn(figure.name, figure.help, Markup(harmless(text, figure.name)))
    except Refused as error:
        return Drawn(figure.name, figure.help, problem=str(error))
    except Exception as error:  # noqa: BLE001  a plugin's figure may fail in any way; the report goes on
        return Drawn(figure.name, figure.help, problem=f"it raised {type(error).__name__}: {error}")


def harmless(text: object, name: str) -> str:
    """Check that an ``<svg>`` element runs, loads and restyles nothing; put the figure's name before its ids.

    Raises Refused, which says what is not allowed.

    >>> harmless('<svg xmlns="http://www.w3.org/2000/svg"><g id="a"/></svg>', "mine")
    '<svg xmlns="http://www.w3.org/2000/svg"><g id="mine-a" /></svg>'
    >>> harmless('<svg xmlns="http://www.w3.org/2000/svg" onload="go()"/>', "mine")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    Refused: attribute onload of <svg> is not allowed in a figure
    """
    if not isinstance(text, str):
        raise Refused(f"its code returned {type(text).__name__}, not the text of an <svg>")
    if len(text) > MOST_CHARACTERS:
        raise Refused(f"it has {len(text)} characters; at most {MOST_CHARACTERS} are allowed")
    if re.search(r"<!ENTITY", text, re.I):
        raise Refused("it declares entities")
    start = text.find("<svg")
    try:
        root = Tree.fromstring(text[start:] if start >= 0 else text)
    except Tree.ParseError as error:
        raise Refused(f"it is not well-formed: {error}") from None
    if _local(root.tag) != "svg":
        raise Refused(f"its outer element is <{_local(root.tag)}>, not <svg>")
    _check(root, re.sub(r"[^A-Za-z0-9]+", "-", name) + "-")
    if root.get("viewBox"):
        root.attrib.pop("width", None)
    Tree.register_namespace("", _SVG)
    Tree.register_namespace("xlink", _XLINK)
    return Tree.tostring(root, encoding="unicode")


def _check(element: Tree.Element, prefix: str) -> None:
    """Check an element and all below it; put the prefix before ids and remove what only describes the file."""
    tag = _local(element.tag)
    if tag not in _ALLOWED:
        raise Refused(f"element <{tag}> is not allowed in a figure")
    for name, value in list(element.attrib.items()):
        element.set(name, _checked(tag, _local(name), value, prefix))
    for child in list(element):
        if not isinstance(child.tag, str) or _local(child.tag) in _REMOVED:
            element.remove(child)
        else:
            _check(child, prefix)


def _checked(tag: str, attribute: str, value: str, prefix: str) -> str:
    """The value of an attribute, with the prefix before the ids in it."""
    if attribute.lower().startswith("on"):
        raise Refused(f"attribute {attribute} of <{tag}> is not allowed in a figure")
    if attribute == "id":
        return prefix + value
    if attribute == "href":
        if value.startswith("#"):
            return f"#{prefix}{value[1:]}"
        if tag == "image" and re.match(r"data:image/(png|jpeg);base64,", value):
            return value
        raise Refused(f"<{tag}> refers to {value[:60]!r}, outside of the figure")
    # CSS ignores comments and escapes, which could hide an address.
    squeezed = re.sub(r"\s|/\*.*?\*/|\\", "", value).lower()
    if any(start != "url(#" for start in re.findall(r"url\(['\"]?.?", squeezed)) or "@import" in squeezed:
        raise Refused(f"attribute {attribute} of <{tag}> loads something from elsewhere")
    if "javascript:" in squeezed or "expression(" in squeezed:
        raise Refused(f"attribute {attribute} of <{tag}> holds code")
    return re.sub(r"url\(\s*#", f"url(#{prefix}", value)


def _local(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


def by_name(figures: Iterable[Drawn]) -> Mapping[str, str]:
    """The drawings of the figures that can be shown, by name."""
    return {figure.name: str(figure.drawing) for figure in figures if not figure.problem}
