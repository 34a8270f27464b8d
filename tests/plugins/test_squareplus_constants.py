"""The proven constants against mpmath and closed forms, and the proofs against functions that break them."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import pytest
from plugin_run import METHODS, TASKS, make_run
from scipy.optimize import minimize_scalar

from harness.errors import UsageError
from harness_plugins.squareplus.constants import (
    bounding_member,
    constants,
    is_above_softplus,
    largest_lag,
    largest_lead,
    minimax_member,
    softplus_gap,
)
from harness_plugins.squareplus.functions import BOUNDING_B, MINIMAX_B, Rectifier, SquarePlus
from harness_plugins.squareplus.intervals import ARITHMETIC, bounds, interval, supremum


def lead(t, b):
    """squareplus - softplus in mpmath, from the published formula."""
    return (t + mpmath.sqrt(t * t + b)) / 2 - mpmath.log1p(mpmath.exp(t))


@pytest.fixture(scope="module")
def minimax():
    """b and error by the equations of the optimum: lag at 0 = lead at t, and lead'(t) = 0."""
    with mpmath.workdps(40):
        equations = lambda b, t: [lead(mpmath.mpf(0), b) + lead(t, b), mpmath.diff(lambda u: lead(u, b), t)]  # noqa: E731
        b, t = mpmath.findroot(equations, (1.5, 3.0))
        return b, lead(t, b)


def test_least_bounding_b_is_the_closed_form():
    bounding = bounding_member(SquarePlus())
    with mpmath.workdps(40):
        assert bounding.low <= 4 * mpmath.log(2) ** 2 <= bounding.high
    assert bounding.width < 1e-9


def test_minimax_b_and_error_solve_the_optimality_equations(minimax):
    b, error = minimax_member(SquarePlus())
    assert b.low <= minimax[0] <= b.high
    assert error.low <= minimax[1] <= error.high
    assert max(b.width, error.width) < 1e-9


def test_named_members_lie_in_their_enclosures(minimax):
    assert float(minimax[0]) == MINIMAX_B
    bounding = bounding_member(SquarePlus())
    assert bounding.low <= BOUNDING_B <= bounding.high


@pytest.mark.parametrize("b", [0.3, MINIMAX_B, BOUNDING_B, 3.0, 30.0])
def test_gap_is_that_of_a_dense_search(b):
    run = make_run("activation/softplus-gap")
    metrics = softplus_gap(SquarePlus(b), run)
    assert set(metrics) == set(TASKS["activation/softplus-gap"].metrics)
    grid = [i / 64 for i in range(4096)]
    for name, sign in (("largest_lead", 1), ("largest_lag", -1)):
        loss = lambda t, sign=sign: -sign * float(lead(mpmath.mpf(t), b))  # noqa: E731
        best = min(grid, key=loss)
        searched = minimize_scalar(
            loss, bounds=(max(0, best - 0.1), best + 0.1), method="bounded", options={"xatol": 1e-9}
        )
        assert metrics[name] == pytest.approx(max(0.0, -searched.fun), abs=1e-9)
    assert metrics["largest_gap"] == max(metrics["largest_lead"], metrics["largest_lag"])
    assert metrics["open_width"] <= 1e-12


def test_relu_is_log_two_below_softplus():
    metrics = softplus_gap(Rectifier(), make_run("activation/softplus-gap"))
    assert metrics["largest_gap"] == metrics["largest_lag"] == pytest.approx(math.log(2), abs=1e-11)
    assert metrics["largest_lead"] == pytest.approx(0, abs=1e-11)


class Sharp:
    """Another family, with the excess b / (1 + t)^2, which is above softplus at 0 for b > log 2."""

    def __init__(self, b=1.0):
        self.b = b

    def at(self, b):
        return Sharp(b)

    def excess(self, t, arithmetic):
        return arithmetic.mpf(self.b) / (1 + t) ** 2

    def log_slope(self, t, arithmetic):
        return arithmetic.mpf(-2) / (1 + t)


def test_constants_of_another_family_are_right_too():
    """b (1 + t)^-2 >= log(1 + e^-t) for all t iff b >= max (1 + t)^2 log(1 + e^-t), near t = 1.2, not at 0."""
    bounding = minimize_scalar(
        lambda t: -((1 + t) ** 2) * math.log1p(math.exp(-t)), bounds=(0, 5), method="bounded", options={"xatol": 1e-10}
    )
    assert bounding.x > 0.5
    metrics = constants(Sharp(), make_run("activation/constants"))
    assert metrics["bounding_b"] == pytest.approx(-bounding.fun, abs=1e-9)
    grid = [i / 200 for i in range(4000)]

    def distance(b):
        return max(abs(b / (1 + t) ** 2 - math.log1p(math.exp(-t))) for t in grid)

    nearest = minimize_scalar(distance, bounds=(0.5, 1.5), method="bounded", options={"xatol": 1e-9})
    assert metrics["minimax_b"] == pytest.approx(nearest.x, abs=1e-4)
    assert metrics["minimax_error"] == pytest.approx(nearest.fun, abs=1e-5)
    assert metrics["open_width"] < 1e-9


def test_member_that_is_below_softplus_only_far_from_zero_is_refuted():
    """80 exp(-2 t) is above softplus up to t = 5 and below it from there on, where both are small."""

    class Falling(Sharp):
        def excess(self, t, arithmetic):
            return arithmetic.exp(-2 * t) * 80

        def log_slope(self, t, arithmetic):
            return arithmetic.mpf(-2) + 0 * t

    assert Falling().excess(mpmath.mpf(4), mpmath) > mpmath.log1p(mpmath.exp(-4))
    assert is_above_softplus(Falling()) is False


def test_nothing_is_proven_of_a_member_that_falls_below_softplus_beyond_the_search():
    """2 exp(-1.01 t) crosses exp(-t) at 69, beyond the search, and there is no proof for the tail."""

    class Late(Sharp):
        def excess(self, t, arithmetic):
            return arithmetic.exp(-1.01 * t) * 2

        def log_slope(self, t, arithmetic):
            return arithmetic.mpf(-1.01) + 0 * t

    assert is_above_softplus(Late()) is None


def test_bounds_on_either_side_of_the_least_bounding_b():
    assert is_above_softplus(SquarePlus(BOUNDING_B * (1 + 1e-9))) is True
    assert is_above_softplus(SquarePlus(BOUNDING_B * (1 - 1e-9))) is False


def test_family_without_an_answer_is_an_error():
    class Low(Sharp):
        def at(self, b):
            return Low(b)

        def excess(self, t, arithmetic):
            return arithmetic.mpf(0.01) / (1 + t) ** 2

    with pytest.raises(ArithmeticError, match="no member with b <= "):
        bounding_member(Low())


def test_supremum_is_enclosed_wherever_it_lies():
    """At the left end, inside, and in the limit at infinity."""
    cases = [
        (lambda t: 1 / (1 + t), lambda t: -1 / (1 + t) ** 2, 1.0),
        (lambda t: t * ARITHMETIC.exp(-t), lambda t: (1 - t) * ARITHMETIC.exp(-t), math.exp(-1)),
        (lambda t: -1 / (1 + t), lambda t: 1 / (1 + t) ** 2, 0.0),
    ]
    for (value, slope, expected), end in zip(cases, (math.inf, 64.0, math.inf), strict=True):
        largest = supremum(value, slope, end=end, tolerance=1e-10)
        assert largest.low <= expected <= largest.high
        assert largest.width <= 1e-10


def test_supremum_of_a_narrow_peak_is_found():
    def value(t):
        return 1 / (1 + 1e8 * (t - interval(7.3)) ** 2)

    def slope(t):
        return -2e8 * (t - interval(7.3)) / (1 + 1e8 * (t - interval(7.3)) ** 2) ** 2

    largest = supremum(value, slope, end=64.0, tolerance=1e-9)
    assert largest.low <= 1 <= largest.high


def test_search_that_cannot_end_is_an_error():
    with pytest.raises(ArithmeticError, match="10,000 cuts"):
        supremum(lambda t: interval(-1, 1), lambda t: interval(-1, 1), end=1.0)


def test_bounds_contain_the_interval():
    for sign in (1, -1):
        tenth = bounds(interval(sign) / 10)
        assert Fraction(tenth.low) < Fraction(sign, 10) < Fraction(tenth.high)
        assert tenth.width < 1e-16
    assert bounds(interval(2, math.inf)).high == math.inf


@pytest.mark.parametrize(("task", "run"), [("constants", constants), ("softplus-gap", softplus_gap)])
def test_activation_without_a_formula_is_refused_in_one_sentence(task, run):
    with pytest.raises(UsageError, match=r"has no .*excess"):
        run(METHODS["gelu"].create(), make_run(f"activation/{task}"))


def test_lead_and_lag_are_never_negative_beyond_their_width():
    assert largest_lag(SquarePlus(4.0)).high == pytest.approx(0, abs=1e-12)
    assert largest_lead(Rectifier()).high == pytest.approx(0, abs=1e-12)
