"""Largest values over a half-line with a proof: branch and bound in interval arithmetic, the far end included."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpmath.ctx_iv import MPIntervalContext

#: mpmath's interval. Its type is made anew for every context.
Interval = Any
#: A real function as an interval extension: its result holds every value that it takes in the given interval.
Extension = Callable[[Interval], Interval]

#: Interval arithmetic, rounded outwards, with numbers of 120 bits.
ARITHMETIC = MPIntervalContext()
ARITHMETIC.prec = 120

#: So many pieces of the half-line are cut in two before the search gives up.
CUTS = 10_000


@dataclass(frozen=True, slots=True)
class Enclosure:
    """Two floats that a number is proven to lie between, both inclusive."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """How much is left open."""
        return self.high - self.low

    @property
    def middle(self) -> float:
        """The number, to within half of the width."""
        return self.low + self.width / 2


def supremum(
    value: Extension, slope: Extension, end: float = math.inf, tolerance: float = 1e-12, sign_only: bool = False
) -> Enclosure:
    """Enclose sup of ``value`` over [0, ``end``], which may be infinite, to ``tolerance``.

    ``slope`` is its derivative, asked for on bounded intervals only; ``value`` on [X, inf] should shrink as X grows,
    or the search does not end. ``sign_only`` ends it as soon as the supremum is known to be positive or negative.

    The half-line is cut into pieces, the one with the largest possible value first. A piece where the slope has
    one sign is as large as one of its ends. Otherwise its values are bounded both by the extension and by the
    mean-value theorem, whose excess falls with the square of the piece's width, and it is cut in two.

    Raises ArithmeticError if that takes more than 10,000 cuts.

    >>> found = supremum(lambda t: t / (1 + t * t * t), lambda t: (1 - 2 * t**3) / (1 + t * t * t) ** 2, end=8.0)
    >>> round(found.middle, 9), found.width <= 1e-12
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
    """[left, right], and bounds of the largest value there: ``low`` is reached, ``high`` is never passed."""

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


def bounds(found: Interval) -> Enclosure:
    """The ends of an interval as floats, rounded outwards.

    >>> third = bounds(interval(1) / 3)
    >>> third.low < third.high, third.middle
    (True, 0.3333333333333333)
    """
    return Enclosure(math.nextafter(float(found.a), -math.inf), math.nextafter(float(found.b), math.inf))
