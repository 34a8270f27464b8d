"""The forest plot: a strip for each claim, with its interval and the region that the claim speaks of.

Every strip has a scale of its own, in the unit and direction of its verdict, so that accuracies and counts stand
in one plot; that of a ratio is logarithmic. The border of the region is in the middle of the strip; for "equal" and
"reaches" it is the middle of the region. The region is shaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from harness.judge import Verdict, Word
from harness.judge.pairing import AnyTest
from harness.judge.strip import strip_places
from harness.numbers import number
from harness_plugins.report import svg
from harness_plugins.report.svg import Mark

#: Width of a strip, height of one verdict in it, and of the numbers below.
WIDTH, ROW, _FOOT = 280.0, 22.0, 15.0
#: Room left and right of the outermost value; width of a letter of the labels, about.
_EDGE, _LETTER = 14.0, 5.6
#: The shape says the same as the colour.
MARKS: Mapping[Word, Mark] = {
    "reproduced": "circle",
    "contradicted": "square",
    "inconclusive": "diamond",
    "not-informative": "triangle",
    "not-run": "cross",
}


def strip(test: AnyTest, verdicts: Sequence[Verdict], title: str, same_scale: Sequence[Verdict] = ()) -> str:
    """The strip of one claim as ``<svg>``; several verdicts on it stand one below the other.

    The scale also holds the numbers of the verdicts in ``same_scale``. Gives "" where no verdict has an estimate.
    """
    judged = [verdict for verdict in verdicts if verdict.estimate is not None]
    if not judged:
        return ""
    height = ROW * len(verdicts) + _FOOT
    root = svg.picture(WIDTH, height, title, "strip")
    if judged[0].scale == "count":
        _draw_counts(root, verdicts, height)
        return svg.text_of(root)
    low, high = judged[0].region
    borders = [bound for bound in (low, high) if math.isfinite(bound)]
    alike = _where_alike(test, judged[0])
    place = _scale(judged[0], [*judged, *same_scale], alike)
    bottom = height - _FOOT
    start = place(low) if low in borders else 0.0
    end = place(high) if high in borders else WIDTH
    svg.box(root, start, 1, max(end - start, 2), bottom - 1, "region")
    svg.line(root, 0, bottom, WIDTH, bottom, "axis")
    if alike not in borders:
        svg.line(root, place(alike), 1, place(alike), bottom, "zero")
    for bound in borders:
        svg.line(root, place(bound), 1, place(bound), bottom + 3, "border")
    _label_axis(root, height, [*borders, alike], place, tick_text(judged[0]))
    for row, verdict in enumerate(verdicts):
        if verdict.estimate is not None:
            _draw_interval(root, verdict, ROW * (row + 0.5) + 1, place)
    return svg.text_of(root)


def _where_alike(test: AnyTest, verdict: Verdict) -> float:
    """The number at which both sides are alike: a margin means nothing without it."""
    printed: float | None = getattr(test, "value", None)
    if printed is not None:
        return printed
    return 1.0 if verdict.scale == "times" else 0.0


def _scale(first: Verdict, verdicts: Sequence[Verdict], alike: float) -> Callable[[float], float]:
    """The map from numbers to places: the border of the region, or its middle, is in the middle of the strip."""
    numbers = [x for v in verdicts for x in (v.estimate, v.low, v.high, *v.values) if x is not None]
    place = strip_places(first, [*numbers, alike])
    return lambda x: WIDTH / 2 + place(x) * (WIDTH / 2 - _EDGE)


def _draw_interval(root: svg.Element, verdict: Verdict, y: float, place: Callable[[float], float]) -> None:
    """Draw the seeds of a verdict, its interval and its estimate."""
    for value in verdict.values if not verdict.deterministic else ():
        svg.mark(root, place(value), y, "seed", size=2.2)
    if verdict.low is not None and verdict.high is not None:
        ends = place(verdict.low), place(verdict.high)
        svg.line(root, ends[0], y, ends[1], y, f"interval {verdict.verdict}")
        for end in ends:
            svg.line(root, end, y - 4, end, y + 4, f"interval {verdict.verdict}")
    svg.mark(root, place(verdict.estimate or 0.0), y, verdict.verdict, MARKS[verdict.verdict], 4.6)


def _label_axis(
    root: svg.Element,
    height: float,
    values: Sequence[float],
    place: Callable[[float], float],
    text_of: Callable[[float], str],
) -> None:
    """Write the values below the strip, each where there is room beside those before it."""
    taken: list[tuple[float, float]] = []
    for value in values:
        x, text = place(value), text_of(value)
        half = _LETTER / 2 * len(text)
        x = min(max(x, half), WIDTH - half)
        if all(abs(x - other) > half + other_half + _LETTER for other, other_half in taken):
            svg.label(root, x, height - 2, text, "tick")
            taken.append((x, half))


def tick_text(verdict: Verdict) -> Callable[[float], str]:
    """How a number on the verdict's scale is written: ratios as times."""
    if verdict.scale == "times":
        return lambda x: f"{number(x, significant=3)} times"
    return number


def _draw_counts(root: svg.Element, verdicts: Sequence[Verdict], height: float) -> None:
    """Draw counts of violations on a logarithmic scale: none in the middle, more to the left of it."""
    bottom, middle = height - _FOOT, WIDTH / 2
    most = max(abs(verdict.estimate or 0.0) for verdict in verdicts)
    svg.box(root, middle - 5, 1, 10, bottom - 1, "region")
    svg.line(root, 0, bottom, WIDTH, bottom, "axis")
    svg.label(root, middle, height - 2, "no violation", "tick")
    for row, verdict in enumerate(verdicts):
        count = abs(verdict.estimate or 0.0)
        # The smallest count stands a quarter of the way from the middle, apart from none.
        share = 0.25 + 0.75 * math.log1p(count) / math.log1p(most) if count else 0.0
        x = middle - share * (middle - _EDGE)
        if verdict.estimate is not None:
            svg.mark(root, x, ROW * (row + 0.5) + 1, verdict.verdict, MARKS[verdict.verdict], 4.6)
        if count:
            svg.label(root, x, height - 2, number(count), "tick")
