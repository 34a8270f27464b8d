"""Suprema over a half-line with a proof: branch and bound in interval arithmetic, infinity included."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpmath.ctx_iv import MPIntervalContext

#: mpmath's interval. Every context has its own type of it.
Interval = Any
#: A real function on intervals: the result contains every value that the function takes on the argument.
Extension = Callable[[Interval], Interval]

#: Interval arithmetic, rounded outwards, with numbers of 120 bits.
ARITHMETIC = MPIntervalContext()
ARITHMETIC.prec = 120

#: The search gives up after this many cuts of a piece in two.
CUTS = 10_000


@dataclass(frozen=True, slots=True)
class Enclosure:
    """Two floats with a proof that a number lies between them, both inclusive."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """How uncertain the number is."""
        return self.high - self.low

    @property
    def middle(self) -> float:
        """The number, to within half of the width."""
        return self.low + self.width / 2


def supremum(
    value: Extension, slope: Extension, end: float = math.inf, tolerance: float = 1e-12, sign_only: bool = False
) -> Enclosure:
    """Enclose sup of ``value`` over [0, ``end``], which may be infinite, to ``tolerance``.

    ``slope`` is the derivative of ``value``, called with bounded intervals only. The width of ``value`` on [X, inf]
    must shrink as X grows, or the search does not end. ``sign_only`` ends the search as soon as the sign of the
    supremum is known.

    The search cuts the half-line into pieces, the piece with the largest possible value first. Where the slope has
    one sign, the supremum of a piece is at one of its ends. Otherwise the extension and the mean-value theorem both
    bound it, the latter up to an error that falls with the square of the width, and the piece is cut in two.

    Raises ArithmeticError if that takes more than 10,000 cuts.

    >>> largest = supremum(lambda t: t / (1 + t * t * t), lambda t: (1 - 2 * t**3) / (1 + t * t * t) ** 2, end=8.0)
    >>> round(largest.middle, 9), largest.width <= 1e-12
    (0.529133684, True)
    """
    number = itertools.count()
    first = _Piece.of(0.0, min(end, 1.0), value, slope)
    queue = [(-first.high, next(number), first)]
    low = first.low
    if end > 1.0:
        rest = _Piece.of(1.0, end, value, slope)
        heapq.heappush(queue, (-rest.high, next(number), rest))
        low = max(low, rest.low)
    for _ in range(CUTS):
        _, _, piece = heapq.heappop(queue)
        high = max(piece.high, low)
        if high - low <= tolerance or (sign_only and (low > 0 or high < 0)):
            return Enclosure(low, high)
        for left, right in piece.halves():
            half = _Piece.of(left, right, value, slope)
            low = max(low, half.low)
            heapq.heappush(queue, (-half.high, next(number), half))
    raise ArithmeticError(f"{CUTS:,} cuts do not enclose the largest value to {tolerance:g}; known: {low} to {high}")


@dataclass(frozen=True, slots=True)
class _Piece:
    """[left, right], and bounds of the supremum there: some value is at least ``low``, none is above ``high``."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def of(cls, left: float, right: float, value: Extension, slope: Extension) -> _Piece:
        whole = interval(left, right)
        if math.isinf(right):
            return cls(left, right, bounds(value(interval(left))).low, bounds(value(whole)).high)
        steepness = slope(whole)
        direction = bounds(steepness)
        if direction.low >= 0 or direction.high <= 0:
            end = bounds(value(interval(right if direction.low >= 0 else left)))
            return cls(left, right, end.low, end.high)
        middle = interval((left + right) / 2)
        centre = value(middle)
        high = min(bounds(value(whole)).high, bounds(centre + steepness * (whole - middle)).high)
        return cls(left, right, bounds(centre).low, high)

    def halves(self) -> tuple[tuple[float, float], tuple[float, float]]:
        middle = max(1.0, 2 * self.left) if math.isinf(self.right) else (self.left + self.right) / 2
        return (self.left, middle), (middle, self.right)


def interval(left: float, right: float | None = None) -> Interval:
    """[left, right], or the one number ``left``."""
    return ARITHMETIC.mpf([left, left if right is None else right])


def bounds(values: Interval) -> Enclosure:
    """The ends of an interval as floats, rounded outwards.

    >>> third = bounds(interval(1) / 3)
    >>> third.low < third.high, third.middle
    (True, 0.3333333333333333)
    """
    return Enclosure(math.nextafter(float(values.a), -math.inf), math.nextafter(float(values.b), math.inf))
