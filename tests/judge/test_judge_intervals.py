"""The statistics equal independent implementations: scipy, statsmodels and plain loops."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from harness.judge import Interval, holm, p_values, position, seeds_to_decide, t_interval
from harness.judge.intervals import LOOK_ALPHA, point
from harness.planning.request import LOOKS

ABOVE_ZERO = (0.0, math.inf)


def samples(count=25):
    random = np.random.default_rng(0)
    for _ in range(count):
        n = int(random.integers(3, 21))
        yield random.normal(random.normal(), random.gamma(2.0), n)


@pytest.mark.parametrize("alpha", [0.05, LOOK_ALPHA, 0.005])
def test_interval_equals_students(alpha):
    for x in samples():
        interval = t_interval(x.tolist(), alpha)
        low, high = stats.t.interval(1 - 2 * alpha, len(x) - 1, x.mean(), stats.sem(x))
        assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-12)
        assert (interval.mean, interval.sd, interval.n) == (
            pytest.approx(x.mean()),
            pytest.approx(x.std(ddof=1)),
            len(x),
        )


def test_p_value_above_a_bound_equals_the_one_sided_t_test():
    for x in samples():
        for bound in (-0.5, 0.0, 1.0):
            inside, outside = p_values(t_interval(x.tolist()), (bound, math.inf))
            assert inside == pytest.approx(stats.ttest_1samp(x, bound, alternative="greater").pvalue)
            assert outside == pytest.approx(stats.ttest_1samp(x, bound, alternative="less").pvalue)


def test_p_value_between_two_bounds_equals_tost():
    random = np.random.default_rng(1)
    for x in samples():
        other = random.normal(size=len(x))
        p, _, _ = ttost_paired(x, other, -0.7, 0.4)
        inside, outside = p_values(t_interval((x - other).tolist()), (-0.7, 0.4))
        assert inside == pytest.approx(p)
        below = stats.ttest_1samp(x - other, -0.7, alternative="less").pvalue
        above = stats.ttest_1samp(x - other, 0.4, alternative="greater").pvalue
        assert outside == pytest.approx(min(below, above))
        assert p_values(t_interval(x.tolist()), (-1.0, 1.0))[0] == pytest.approx(DescrStatsW(x).ttost_mean(-1, 1)[0])


def test_small_p_values_keep_their_digits():
    inside, _ = p_values(Interval(100.0, 99.0, 101.0, 11, 1.0), ABOVE_ZERO)
    assert inside == pytest.approx(stats.t.sf(100 * math.sqrt(11), 10), rel=1e-9)
    assert 0 < inside < 1e-20


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=3, max_size=8),
    st.sampled_from([ABOVE_ZERO, (-1.0, 1.0), (0.25, math.inf), (-0.125, 0.125)]),
    st.sampled_from([0.05, LOOK_ALPHA]),
)
def test_p_values_and_the_interval_agree(values, region, alpha):
    interval = t_interval(values, alpha)
    inside, outside = p_values(interval, region)
    if min(abs(inside - alpha), abs(outside - alpha)) < 1e-9:
        return
    assert (inside <= alpha) == (position(interval, region) == "inside")
    assert (outside <= alpha) == (position(interval, region) == "outside")


def test_values_that_differ_only_by_rounding_give_a_point():
    values = [0.51 - 0.50, 0.71 - 0.70, 0.11 - 0.10]
    assert len(set(values)) > 1
    interval = t_interval(values, scale=0.71)
    assert interval.sd == 0.0
    assert interval.low == interval.mean == interval.high


def test_small_spread_above_rounding_gives_an_interval():
    interval = t_interval([1.0, 1.0 + 1e-12, 1.0 + 2e-12], scale=1.0)
    assert interval.low < interval.mean < interval.high


def test_single_value_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 values, not 1"):
        t_interval([1.0])


def test_tie_is_not_greater_and_a_bound_itself_is_outside():
    assert position(point(0.0), ABOVE_ZERO) == "outside"
    assert position(point(0.5), (-0.5, 0.5)) == "outside"
    assert position(point(-0.5), (-0.5, 0.5)) == "outside"
    assert position(t_interval([0.0, 0.0, 0.0]), ABOVE_ZERO) == "outside"
    assert p_values(point(0.0), ABOVE_ZERO) == (1.0, 0.0)
    assert p_values(point(1.0), ABOVE_ZERO) == (0.0, 1.0)


def test_difference_within_rounding_is_a_tie():
    assert 0.51 - 0.50 > 0.01
    assert position(point(0.51 - 0.50, scale=0.51), (0.01, math.inf)) == "outside"
    assert position(point(math.ulp(0.5), scale=0.5), ABOVE_ZERO) == "outside"
    assert position(point(1e-12, scale=0.5), ABOVE_ZERO) == "inside"


def test_tolerance_below_rounding_is_used_as_it_is():
    assert position(point(0.0, scale=1000.0), (-1e-15, 1e-15)) == "inside"


def test_position_of_an_interval_that_ends_at_a_bound():
    assert position(Interval(1.0, 0.0, 2.0, 3, 1.0), ABOVE_ZERO) == "across"
    assert position(Interval(-1.0, -2.0, 0.0, 3, 1.0), ABOVE_ZERO) == "outside"
    assert position(Interval(0.0, -2.0, 2.0, 3, 1.0), (-1.0, 1.0)) == "across"


@pytest.mark.parametrize("region", [ABOVE_ZERO, (-1.0, 1.0), (0.3, math.inf)])
@pytest.mark.parametrize(("mean", "sd"), [(0.2, 0.5), (0.9, 0.4), (-0.05, 0.3), (2.0, 0.1), (0.0, 30.0)])
def test_seeds_to_decide_is_the_first_number_that_decides(region, mean, sd):
    def decides(n):
        half = stats.t.ppf(0.95, n - 1) * sd / math.sqrt(n)
        inside = region[0] < mean - half and mean + half < region[1]
        return inside or mean + half <= region[0] or mean - half >= region[1]

    expected = next((n for n in range(3, 1001) if decides(n)), None)
    assert seeds_to_decide(Interval(mean, 0.0, 0.0, 5, sd), region) == expected


def test_no_number_of_seeds_decides_at_a_bound():
    assert seeds_to_decide(Interval(0.0, -1.0, 1.0, 5, 1.0), ABOVE_ZERO) is None
    assert seeds_to_decide(Interval(0.01, -1.0, 1.0, 5, 1.0), ABOVE_ZERO) is None


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_holm_equals_that_of_statsmodels(size):
    p = np.random.default_rng(size).choice([0.0, 0.001, 0.01, 0.02, 0.04, 0.3, 1.0], size).tolist()
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))


def test_holm_of_no_values_is_empty():
    assert holm([]) == []


def test_levels_of_the_looks_sum_to_five_percent():
    assert LOOKS == (5, 10, 20)
    assert len(LOOKS) * LOOK_ALPHA == pytest.approx(0.05)


def test_importing_the_judge_imports_neither_numpy_nor_scipy():
    code = "import sys, harness.judge; print([m for m in ('numpy', 'scipy', 'torch', 'mlflow') if m in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
