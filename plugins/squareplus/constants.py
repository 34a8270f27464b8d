"""How far an activation is from softplus, and which member of a family is nearest: proven for all real x.

Both f and softplus have the form relu(x) + excess(|x|), so that f - softplus is an even function,

    lead(t) = excess_f(t) - log(1 + exp(-t)),    t = |x| >= 0,

and a bound for t in [X, inf] follows from the two excesses alone, which fall to 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from harness.errors import UsageError
from harness_plugins.squareplus.intervals import ARITHMETIC, Enclosure, Interval, bounds, interval, supremum

if TYPE_CHECKING:
    from harness.running.run import Run

#: How closely suprema are enclosed, in the activation's unit.
TOLERANCE = 1e-12
#: How closely the constants of a family are enclosed, relative to the constant.
FAMILY_TOLERANCE = 1e-10
#: The search for a family's constants goes from the first to the second b.
LEAST_MEMBER, GREATEST_MEMBER = 2.0**-20, 2.0**20
#: The search for a point below softplus ends here if there is no proof for the tail.
SEARCHED = 64.0
#: Tolerances of suprema, tried in turn until one of them decides which supremum is larger.
SHARPER = (1e-3, 1e-6, 1e-9, 1e-12, 1e-15, 1e-18)


class AboveRelu(Protocol):
    """What the task activation/softplus-gap needs of an activation: its excess over ReLU as a formula."""

    def excess(self, t: Interval, arithmetic: object) -> Interval: ...

    def log_slope(self, t: Interval, arithmetic: object) -> Interval: ...


class Member(AboveRelu, Protocol):
    """A member of a family whose excess grows with b everywhere."""

    def at(self, b: float) -> Member: ...


def softplus_gap(f: AboveRelu, run: Run) -> dict[str, float]:
    """Enclose the largest lead and lag of ``f`` against softplus over all real x, each to 1e-12.

    Raises UsageError for an activation without ``excess`` and ``log_slope``.
    """
    _check(f, "excess", "log_slope")
    lead = largest_lead(f)
    run.progress(1, 2)
    lag = largest_lag(f)
    return {
        "largest_gap": max(lead.middle, lag.middle),
        "largest_lead": lead.middle,
        "largest_lag": lag.middle,
        "open_width": max(lead.width, lag.width),
    }


def constants(f: Member, run: Run) -> dict[str, float]:
    """Enclose the constants of the family of ``f``: the least b above softplus, the nearest b, and its distance.

    Raises UsageError for an activation without ``at``, ``excess`` and ``log_slope``.
    """
    _check(f, "at", "excess", "log_slope")
    bounding = bounding_member(f)
    run.progress(1, 2)
    nearest, error = minimax_member(f)
    return {
        "bounding_b": bounding.middle,
        "minimax_b": nearest.middle,
        "minimax_error": error.middle,
        "open_width": max(bounding.width, nearest.width, error.width),
    }


def largest_lead(f: AboveRelu, tolerance: float = TOLERANCE) -> Enclosure:
    """Enclose sup of f - softplus over all real x. It is 0 or more, the limit at infinity.

    >>> from harness_plugins.squareplus.functions import SquarePlus
    >>> round(largest_lead(SquarePlus(4.0)).middle, 10), round(1 - math.log(2), 10)
    (0.3068528194, 0.3068528194)
    """
    return supremum(lambda t: _lead(f, t), lambda t: _lead_slope(f, t), tolerance=tolerance)


def largest_lag(f: AboveRelu, tolerance: float = TOLERANCE) -> Enclosure:
    """Enclose sup of softplus - f over all real x.

    >>> from harness_plugins.squareplus.functions import Rectifier
    >>> round(largest_lag(Rectifier()).middle, 10), round(math.log(2), 10)
    (0.6931471806, 0.6931471806)
    """
    return supremum(lambda t: -_lead(f, t), lambda t: -_lead_slope(f, t), tolerance=tolerance)


def bounding_member(f: Member) -> Enclosure:
    """Enclose the least b whose member is nowhere below softplus: proven at the upper end, refuted at the lower."""
    return _bisect(lambda b: is_above_softplus(f.at(b)))


def minimax_member(f: Member) -> tuple[Enclosure, Enclosure]:
    """Enclose the b whose largest distance from softplus is least, and that distance.

    The distance is the larger of the largest lead, which grows with b, and the largest lag, which falls with b: it
    is least where they are equal. Let the lag be proven larger at b0 and the lead at b1. Then the least distance is
    at least the lead at b0 and the lag at b1, and at most the lag at b0 and the lead at b1.
    """
    nearest = _bisect(lambda b: _lead_outweighs(f.at(b)))
    below, above = f.at(nearest.low), f.at(nearest.high)
    low = max(largest_lead(below).low, largest_lag(above).low)
    high = min(largest_lag(below).high, largest_lead(above).high)
    return nearest, Enclosure(low, high)


def is_above_softplus(f: AboveRelu) -> bool | None:
    """True: f > softplus is proven for every real x. False: f is below it at a known point. None: neither.

    The proof for t >= X is by slopes: if excess(X) >= exp(-X), and log excess falls no faster than 1 from X on, then
    excess(t) >= exp(-t) > log(1 + exp(-t)) for all t >= X. The proof on [0, X] is the sign of a supremum.
    """
    start = next((x for x in (2.0**n for n in range(12)) if _tail_is_above(f, x)), None)
    # Without a proof for the tail, the search can only refute.
    end = start or SEARCHED
    lag = supremum(lambda t: -_lead(f, t), lambda t: -_lead_slope(f, t), end=end, tolerance=SHARPER[-1], sign_only=True)
    if lag.low > 0:
        return False
    return True if start and lag.high < 0 else None


def _tail_is_above(f: AboveRelu, start: float) -> bool:
    falls = bounds(f.log_slope(interval(start, math.inf), ARITHMETIC)).low
    surplus = f.excess(interval(start), ARITHMETIC) - ARITHMETIC.exp(-interval(start))
    return falls >= -1 and bounds(surplus).low > 0


def _lead_outweighs(f: AboveRelu) -> bool | None:
    """Whether the largest lead is proven larger than the largest lag (True) or smaller (False)."""
    for tolerance in SHARPER:
        lead, lag = largest_lead(f, tolerance), largest_lag(f, tolerance)
        if lead.low > lag.high:
            return True
        if lead.high < lag.low:
            return False
    return None


def _bisect(above: Callable[[float], bool | None]) -> Enclosure:
    """A short interval of b: ``above`` is proven false at its lower end and true at its upper end.

    Raises ArithmeticError if ``above`` never changes, or if it gives None at a b that the search needs.
    """
    low = high = 1.0
    while above(low) is not False:
        low, high = low / 2, low
        if low < LEAST_MEMBER:
            raise ArithmeticError(f"no member with b >= {LEAST_MEMBER:g} is proven to lie below")
    while above(high) is not True:
        low, high = (high, 2 * high) if above(high) is False else (low, 2 * high)
        if high > GREATEST_MEMBER:
            raise ArithmeticError(f"no member with b <= {GREATEST_MEMBER:g} is proven to lie above")
    while high - low > FAMILY_TOLERANCE * high:
        middle = (low + high) / 2
        is_above = above(middle)
        if is_above is None:
            raise ArithmeticError(f"between b = {low!r} and {high!r} nothing is proven at {middle!r}")
        low, high = (low, middle) if is_above else (middle, high)
    return Enclosure(low, high)


def _lead(f: AboveRelu, t: Interval) -> Interval:
    return f.excess(t, ARITHMETIC) - ARITHMETIC.log(1 + ARITHMETIC.exp(-t))


def _lead_slope(f: AboveRelu, t: Interval) -> Interval:
    return f.excess(t, ARITHMETIC) * f.log_slope(t, ARITHMETIC) + 1 / (1 + ARITHMETIC.exp(t))


def _check(f: object, *needed: str) -> None:
    if missing := [name for name in needed if not hasattr(f, name)]:
        raise UsageError(f"this activation has no {', '.join(missing)}, which the task needs (docs/roles.md)")
