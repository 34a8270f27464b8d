"""The forest plot: one strip a claim, its interval against the region that the claim speaks of.

Every strip has a scale of its own, so that accuracies, ratios and counts stand in one plot: the border of the region
is in the middle (for "equal" and "reaches" the middle of the region), and the region is shaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.files.claims import Greater, Reaches
from harness.judge import Verdict, Word, position
from harness.judge.intervals import Position
from harness.judge.pairing import AnyTest
from harness.numbers import number
from harness_plugins.report import svg
from harness_plugins.report.evidence import Evidence
from harness_plugins.report.svg import Mark

WORDS: Mapping[Position, Word] = {"inside": "reproduced", "outside": "contradicted", "across": "inconclusive"}
WIDTH, ROW = 340.0, 22.0
_EDGE = 14.0
_FOOT = 15.0
#: The shape says the same as the colour.
MARKS: Mapping[Word, Mark] = {
    "reproduced": "circle",
    "contradicted": "square",
    "inconclusive": "diamond",
    "not-run": "cross",
}


def strip(test: AnyTest, verdicts: Sequence[Verdict], title: str, among: Sequence[Verdict] = ()) -> str:
    """The strip of one claim as ``<svg>``; several verdicts on it stand one below the other.

    Strips that are to share one scale name each other in ``among``. Empty where no verdict has an estimate.
    """
    judged = [verdict for verdict in verdicts if verdict.estimate is not None]
    if not judged:
        return ""
    height = ROW * len(verdicts) + _FOOT
    root = svg.picture(WIDTH, height, title, "strip")
    first = judged[0]
    if first.scale == "count":
        _counts(root, verdicts, height)
        return svg.text_of(root)
    low, high = first.region
    middle = (low + high) / 2 if math.isfinite(high) else low
    told = [x for v in (*judged, *among) for x in (v.estimate, v.low, v.high, *v.values) if x is not None]
    borders = [bound for bound in (low, high) if math.isfinite(bound)]
    # Equality belongs in the picture: a margin means nothing without it.
    reach = max(abs(x - middle) for x in (*told, *borders, 0.0)) * 1.05 or 1.0

    def place(x: float) -> float:
        return WIDTH / 2 + (x - middle) / reach * (WIDTH / 2 - _EDGE)

    floor = height - _FOOT
    end = place(high) if math.isfinite(high) else WIDTH
    svg.box(root, place(low), 1, max(end - place(low), 2), floor - 1, "region")
    svg.line(root, 0, floor, WIDTH, floor, "axis")
    if 0.0 not in borders:
        svg.line(root, place(0), 1, place(0), floor, "zero")
    for bound in borders:
        svg.line(root, place(bound), 1, place(bound), floor + 3, "border")
    _label_axis(root, height, borders, place, written(test, first))
    for row, verdict in enumerate(verdicts):
        if verdict.estimate is not None:
            _interval(root, verdict, ROW * (row + 0.5) + 1, place)
    return svg.text_of(root)


def of_settings(verdict: Verdict, found: Evidence) -> list[Verdict]:
    """The verdict on a claim that must hold in each setting, setting by setting, uncorrected for their number."""
    return [
        replace(
            verdict,
            verdict=WORDS[position(panel.interval, verdict.region)],
            estimate=panel.interval.mean,
            low=panel.interval.low,
            high=panel.interval.high,
            values=tuple(line.judged for line in panel.lines),
            weakest=panel.label,
        )
        for panel in found.panels
        if panel.interval is not None
    ]


def _interval(root: svg.Element, verdict: Verdict, y: float, place: Callable[[float], float]) -> None:
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
    borders: Sequence[float],
    place: Callable[[float], float],
    written: Callable[[float], str],
) -> None:
    """Write the borders, and equality where there is room beside them."""
    taken: list[float] = []
    for value in (*borders, 0.0):
        x, text = place(value), written(value)
        half = 3.2 * len(text)
        if all(abs(x - other) > half + 16 for other in taken):
            svg.label(root, min(max(x, half), WIDTH - half), height - 2, text, "tick")
            taken.append(x)


def written(test: AnyTest, verdict: Verdict) -> Callable[[float], str]:
    """How a place on the verdict's scale is written: as a ratio, an absolute number, or a difference."""
    if verdict.scale == "log ratio":
        return lambda x: f"{number(float(f'{math.exp(x):.3g}'))}×"
    if isinstance(test, (Reaches, Greater)) and test.value is not None:
        sign = -1 if verdict.better == "lower" else 1
        value = test.value
        return lambda x: number(value + sign * x)
    return lambda x: number(x)


def _counts(root: svg.Element, verdicts: Sequence[Verdict], height: float) -> None:
    """Violations: none stands in the middle, more to the left of it, on a logarithmic scale."""
    floor = height - _FOOT
    most = max(abs(v.estimate or 0.0) for v in verdicts)
    svg.box(root, WIDTH / 2 - 5, 1, 10, floor - 1, "region")
    svg.line(root, 0, floor, WIDTH, floor, "axis")
    svg.label(root, WIDTH / 2, height - 2, "no violation", "tick")
    for row, verdict in enumerate(verdicts):
        count = abs(verdict.estimate or 0.0)
        x = (
            WIDTH / 2 - (0.25 + 0.75 * math.log1p(count) / math.log1p(most)) * (WIDTH / 2 - _EDGE)
            if count
            else WIDTH / 2
        )
        if verdict.estimate is not None:
            svg.mark(root, x, ROW * (row + 0.5) + 1, verdict.verdict, MARKS[verdict.verdict], 4.6)
        if count:
            svg.label(root, x, height - 2, number(count), "tick")
