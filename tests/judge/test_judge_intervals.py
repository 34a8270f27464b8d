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
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from harness.files.suite import LOOKS
from harness.judge import ALPHA, Interval, holm, p_values, planned, position, t_interval
from harness.judge.intervals import point, share_not_excluded
from harness.judge.looks import Look, seeds_that_would_do

ABOVE_ZERO = (0.0, math.inf)


def samples(count=25):
    random = np.random.default_rng(0)
    for _ in range(count):
        n = int(random.integers(3, 21))
        yield random.normal(random.normal(), random.gamma(2.0), n)


@pytest.mark.parametrize("alpha", [0.05, 0.035, 0.005])
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
        assert outside == pytest.approx(min(1.0, 2 * min(below, above))), "doubled: it was picked from two"
        assert p_values(t_interval(x.tolist()), (-1.0, 1.0))[0] == pytest.approx(DescrStatsW(x).ttost_mean(-1, 1)[0])


def test_small_p_values_keep_their_digits():
    inside, _ = p_values(Interval(100.0, 99.0, 101.0, 11, 1.0, 1 / math.sqrt(11)), ABOVE_ZERO)
    assert inside == pytest.approx(stats.t.sf(100 * math.sqrt(11), 10), rel=1e-9)
    assert 0 < inside < 1e-20


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=3, max_size=8),
    st.sampled_from([ABOVE_ZERO, (-1.0, 1.0), (0.25, math.inf), (-0.125, 0.125)]),
    st.sampled_from([0.05, 0.035, 0.005]),
)
def test_p_values_and_the_interval_agree(values, region, alpha):
    interval = t_interval(values, alpha)
    inside, outside = p_values(interval, region)
    if min(abs(inside - alpha), abs(outside - alpha)) < 1e-9:
        return
    if not interval.sd:
        assert (inside, outside) == (1.0, 1.0)
        return
    assert (inside <= alpha) == (position(interval, region) == "inside")
    at_half = t_interval(values, alpha / 2) if math.isfinite(region[1]) else interval
    assert (outside <= alpha) == (position(at_half, region) == "outside")


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


def test_values_without_spread_have_no_p_value_below_one():
    for value in (-1.0, 0.0, 1.0):
        assert p_values(t_interval([value] * 5), ABOVE_ZERO) == (1.0, 1.0)
        assert p_values(t_interval([value] * 5), (-0.5, 0.5)) == (1.0, 1.0)


@pytest.mark.parametrize("n", [3, 5, 10, 40])
def test_share_that_equal_draws_do_not_exclude_is_the_exact_binomial_bound(n):
    """The upper end of Clopper and Pearson's one-sided 95 % interval for 0 of n."""
    assert share_not_excluded(n) == pytest.approx(stats.binomtest(0, n, alternative="less").proportion_ci(0.95).high)


@pytest.mark.parametrize("runs", [1, 5, 20])
def test_interval_beside_a_printed_mean_is_that_of_two_samples_of_equal_spread(runs):
    """Student's interval of the difference of two means whose common spread is known from one sample alone."""
    for x in samples():
        interval = t_interval(x.tolist(), 0.05, runs=runs)
        error = x.std(ddof=1) * math.sqrt(1 / len(x) + 1 / runs)
        low, high = stats.t.interval(0.9, len(x) - 1, x.mean(), error)
        assert (interval.low, interval.high, interval.error) == pytest.approx((low, high, error), rel=1e-12)
        inside, _ = p_values(interval, ABOVE_ZERO)
        assert inside == pytest.approx(stats.t.sf(x.mean() / error, len(x) - 1))


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


def power(d, n, level):
    """The power of a one-sided one-sample t-test by statsmodels, whose t is scipy.stats.nct."""
    return TTestPower().power(effect_size=d, nobs=n, alpha=level, alternative="larger")


def expected_seeds(mean, sd, n, region, looks):
    """The words on the seeds that would do, from statsmodels' power alone."""
    d = abs(min(mean - region[0], region[1] - mean)) / sd
    shrunk = math.sqrt(max(d * d - 1 / n, 0))
    for seeds, level in looks:
        if power(shrunk, seeds, level) >= 0.8:
            return f"about {seeds} seeds"
    most, level = looks[-1]
    return f"more than {most} seeds" if power(shrunk, 10 * most, level) >= 0.8 else "too near the border"


@pytest.mark.parametrize("region", [ABOVE_ZERO, (-1.0, 1.0), (0.3, math.inf)])
@pytest.mark.parametrize("mean", [-3.0, -1.2, -0.2, 0.0, 0.1, 0.31, 0.5, 0.72, 0.9, 1.04, 1.3, 1.9, 4.0])
@pytest.mark.parametrize("n", [5, 10])
def test_seeds_that_would_do_have_the_power_that_statsmodels_computes(region, mean, n):
    later = [(look.seeds, look.level) for look in planned(LOOKS) if look.seeds > n]
    interval = Interval(mean, mean - 1, mean + 1, n, 1.0, 1 / math.sqrt(n))
    words = seeds_that_would_do(interval, region, [Look(*look) for look in later])
    assert words.startswith(expected_seeds(mean, 1.0, n, region, later))


def test_seeds_that_would_do_take_every_word():
    """The parts of the test above that differ are all there."""
    later = planned(LOOKS)[1:]
    words = {
        seeds_that_would_do(Interval(d, d - 1, d + 1, 5, 1.0, 0.4), ABOVE_ZERO, later)
        for d in (0.01, 0.2, 0.5, 0.75, 0.9, 1.2, 1.5, 3.0)
    }
    assert words == {
        "about 10 seeds",
        "about 20 seeds",
        "about 40 seeds",
        "more than 40 seeds",
        "too near the border to be worth more seeds",
    }


@pytest.mark.parametrize("mean", [0.5, 1.0, 2.0, 2.53, 3.0, 4.0, 6.0])
@pytest.mark.parametrize("runs", [1, 5])
def test_seeds_beside_a_printed_mean_cannot_outweigh_its_own_error(mean, runs):
    """By simulation: draws of ours, and one printed mean of so many runs that is the same at every look."""
    later = planned(LOOKS)[1:]
    interval = t_interval([mean - 1, mean, mean, mean, mean + 1], runs=runs)
    words = seeds_that_would_do(interval, ABOVE_ZERO, later, runs)
    sd = interval.sd
    truth = math.sqrt(max(mean**2 - interval.error**2, 0))
    draws = np.random.default_rng(0).normal(truth, sd, (4000, LOOKS[-1]))
    printed = np.random.default_rng(1).normal(0, sd / math.sqrt(runs), 4000)

    def power_at(n, level):
        error = draws[:, :n].std(axis=1, ddof=1) * math.sqrt(1 / n + 1 / runs)
        return float(np.mean((draws[:, :n].mean(axis=1) - printed) / error > stats.t.ppf(1 - level, n - 1)))

    powers = {f"about {look.seeds} seeds": power_at(look.seeds, look.level) for look in later}
    assert all(abs(p - 0.8) > 0.02 for p in powers.values()), "the cases are no close calls"
    first = next((word for word, p in powers.items() if p >= 0.8), None)
    assert words == first if first else words.startswith(("more", "too"))


def test_no_number_of_seeds_does_at_a_border_or_without_spread():
    later = planned(LOOKS)[1:]
    at_border = Interval(0.0, -1.0, 1.0, 5, 1.0, 0.4)
    assert seeds_that_would_do(at_border, ABOVE_ZERO, later) == "too near the border to be worth more seeds"
    assert seeds_that_would_do(t_interval([1.0] * 5), ABOVE_ZERO, later) == ""


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_holm_equals_that_of_statsmodels(size):
    p = np.random.default_rng(size).choice([0.0, 0.001, 0.01, 0.02, 0.04, 0.3, 1.0], size).tolist()
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))


def test_holm_of_no_values_is_empty():
    assert holm([]) == []


@pytest.mark.parametrize("looks", [LOOKS, (5,), (10,), (3, 4), (5, 10, 20), (10, 20), (3, 5, 7, 9, 11)])
def test_levels_of_the_looks_sum_to_five_percent(looks):
    plan = planned(looks)
    assert [look.seeds for look in plan] == list(looks)
    assert sum(look.level for look in plan) == pytest.approx(ALPHA) == pytest.approx(0.05)


def test_levels_of_the_planned_looks():
    assert LOOKS == (5, 10, 20, 40)
    assert [look.level for look in planned(LOOKS)] == pytest.approx([0.035, 0.005, 0.005, 0.005])


def test_importing_the_judge_imports_neither_numpy_nor_scipy():
    code = "import sys, harness.judge; print([m for m in ('numpy', 'scipy', 'torch', 'mlflow') if m in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
