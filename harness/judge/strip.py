"""The strip: a verdict's numbers on a line around the border of what its claim needs, for every forest plot."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable

from harness.judge.verdicts import Verdict


def strip_places(verdict: Verdict, numbers: Iterable[float]) -> Callable[[float], float]:
    """The map from numbers of the verdict's scale to places between -1 and 1 on a strip that holds all ``numbers``.

    The border of the claim's region is at 0; for a region with two borders its middle is. That of a ratio is
    logarithmic.

    >>> verdict = Verdict(claim="a/b", device="cpu", verdict="reproduced", alone="reproduced", region=(1.0, math.inf),
    ...                   scale="difference")
    >>> place = strip_places(verdict, [1.0, 2.0, 3.0])
    >>> place(1.0), place(2.0), place(3.0), place(-math.inf)
    (0.0, 0.5, 1.0, -1.0)
    """
    even: Callable[[float], float] = _logarithm if verdict.scale == "times" else float
    borders = [even(bound) for bound in verdict.region if math.isfinite(bound)]
    middle = sum(borders) / len(borders)
    held = [even(x) for x in numbers if verdict.scale == "times" or math.isfinite(x)]
    reach = max(abs(x - middle) for x in (*held, *borders)) or 1.0
    return lambda x: min(max((even(x) - middle) / reach, -1.0), 1.0)


def _logarithm(times: float) -> float:
    """The logarithm of a ratio that may be 0 or infinite, as doubles round it."""
    return math.log(min(max(times, sys.float_info.min), sys.float_info.max))
