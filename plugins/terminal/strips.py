"""A verdict's interval drawn with characters: the forest plot of the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.judge import Verdict, Word, strip_places

#: The shape says the same as the colour.
MARKS: Mapping[Word, str] = {
    "reproduced": "●",
    "contradicted": "■",
    "inconclusive": "◆",
    "not-informative": "▲",
    "not-run": "×",
}
REGION, BORDER, CROSSING, LINE = "░", "│", "┼", "─"
ENDS = ("├", "┤")


def text_strip(verdict: Verdict, width: int) -> str:
    """The region of the claim shaded, its border in the middle, the interval as a line and the estimate as a mark.

    Every strip has a scale of its own. Gives blanks where there is no estimate.

    >>> verdict = Verdict(claim="a/b", device="cpu", verdict="inconclusive", alone="inconclusive", scale="difference",
    ...                   estimate=1.0, low=-1.0, high=3.0, region=(0.0, math.inf))
    >>> text_strip(verdict, 13)
    '    ├─┼─◆───┤'
    """
    if verdict.estimate is None:
        return " " * width
    half = (width - 1) // 2
    if verdict.scale == "count":
        return _counts(verdict, half).ljust(width)
    numbers = [x for x in (verdict.estimate, verdict.low, verdict.high) if x is not None]
    place = strip_places(verdict, numbers)

    def column(number: float) -> int:
        return round(half + place(number) * half)

    low, high = verdict.region
    start = column(low) if math.isfinite(low) else 0
    end = column(high) if math.isfinite(high) else 2 * half
    cells = [REGION if start <= i <= end else " " for i in range(2 * half + 1)]
    borders = [column(bound) for bound in verdict.region if math.isfinite(bound)]
    for border in borders:
        cells[border] = BORDER
    if verdict.low is not None and verdict.high is not None:
        first, last = column(verdict.low), column(verdict.high)
        for i in range(first, last + 1):
            cells[i] = CROSSING if i in borders else LINE
        cells[first], cells[last] = ENDS
    cells[column(verdict.estimate)] = MARKS[verdict.verdict]
    return "".join(cells).ljust(width)


def _counts(verdict: Verdict, half: int) -> str:
    """None stands in the middle, violations left of it."""
    cells = [" "] * half + [BORDER] + [" "] * half
    cells[half // 2 if verdict.estimate else half] = MARKS[verdict.verdict]
    return "".join(cells)
