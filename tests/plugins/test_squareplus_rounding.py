"""The rounding and shape tasks: they find known errors and violations, and none where there are none."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from plugin_run import METHODS, TASKS, make_run

from harness.errors import UsageError
from harness_plugins.squareplus.functions import SquarePlus
from harness_plugins.squareplus.rounding import every_input, relative_error, rounding
from harness_plugins.squareplus.shape import shape

ROUNDING, SHAPE = "activation/rounding", "activation/shape"
ACTIVATIONS = sorted(name for name, method in METHODS.items() if method.role == "activation")
HALVES = ["float16", "bfloat16"]


def errors(name, dtype="float32", **options):
    return rounding(METHODS[name].create(**options), make_run(ROUNDING, dtype=dtype))


def shape_of(name, **options):
    return shape(METHODS[name].create(**options), make_run(SHAPE, dtype="float64"))


@pytest.mark.parametrize("dtype", ["float32", *HALVES])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_gives_every_metric_finite_in_every_precision(name, dtype):
    metrics = errors(name, dtype)
    assert set(metrics) == set(TASKS[ROUNDING].metrics)
    assert all(math.isfinite(value) and value >= 0 for value in metrics.values())


@pytest.mark.parametrize("b", [0.01, 4.0, 100.0])
@pytest.mark.parametrize("dtype", ["float32", *HALVES])
def test_exact_form_loses_nothing_but_rounding(dtype, b):
    metrics, eps = errors("squareplus", dtype, b=b), torch.finfo(getattr(torch, dtype)).eps
    assert metrics["value_error"] < 2 * eps
    assert metrics["slope_error"] < 5 * eps
    assert metrics["value_lost_share"] == metrics["overflow_share"] == 0


def test_published_form_is_lost_where_the_spacing_of_x_exceeds_the_result():
    """x + sqrt(x^2 + b) has a rounding error of up to half of the spacing of x; its true value is b / (2 |x|)."""
    metrics = errors("squareplus-plain")
    first = math.sqrt(0.01 * 4 / 2 / torch.finfo(torch.float32).eps)
    assert first / 2 < metrics["sound_up_to"] < 3 * first


def test_published_form_overflows_at_the_root_of_the_largest_number():
    x = every_input(torch.float16).double()
    assert errors("squareplus-plain", "float16")["overflow_share"] == (x.abs() >= 256).double().mean()


def test_naive_softplus_overflows_where_exp_does():
    x = every_input(torch.float32).double()
    overflow = float(mpmath.log(torch.finfo(torch.float32).max))
    assert errors("softplus-naive")["overflow_share"] == pytest.approx((x > overflow).double().mean().item(), abs=1e-4)
    assert errors("softplus")["overflow_share"] == 0


def test_gelu_has_no_left_tail_in_float32():
    metrics = errors("gelu")
    assert 3 < metrics["sound_up_to"] < 6
    assert metrics["value_error"] == 1


def test_curves_show_the_error_by_magnitude():
    run = make_run(ROUNDING)
    rounding(METHODS["squareplus-plain"].create(), run)
    curve = dict(run.curves["value_error"])
    assert sorted(curve) == list(range(128))
    assert curve[2] < 1e-5 < curve[8] < curve[14] == 1


def test_inputs_are_all_numbers_of_the_half_precisions():
    for dtype, count in ((torch.float16, 2**16 - 2 * 2**10), (torch.bfloat16, 2**16 - 2 * 2**7)):
        numbers = every_input(dtype)
        assert len(numbers) == count
        assert len(set(numbers.view(torch.int16).tolist())) == count
        assert numbers.isfinite().all()


def test_inputs_of_float32_contain_every_power_of_two_on_both_sides():
    numbers = every_input(torch.float32)
    for side in (numbers[numbers > 0], -numbers[numbers < 0]):
        assert set(range(-126, 128)) <= set((torch.frexp(side)[1] - 1).tolist())


def test_relative_error_is_zero_where_the_truth_underflows_and_one_for_nan():
    tiny = torch.finfo(torch.float32).tiny
    computed = torch.tensor([0.0, tiny, 0.0, math.nan, 1.0])
    true = torch.tensor([0.9 * tiny, 1.5 * tiny, 2 * tiny, 0.0, 0.0], dtype=torch.float64)
    assert relative_error(computed, true).tolist() == pytest.approx([0, 1 / 3, 1, 1, 1])


def test_rounding_measures_a_slope_that_is_wrong():
    class Wrong(SquarePlus):
        def forward(self, x):
            y = super().forward(x)
            return y.detach() + (y - y.detach()) * 1.02

        def truth(self, x):
            return SquarePlus(self.b)(x)

    metrics = rounding(Wrong(), make_run(ROUNDING))
    assert metrics["value_error"] < 1e-6
    assert metrics["slope_error"] == pytest.approx(0.02, rel=1e-3)


def test_rounding_in_float64_is_refused():
    with pytest.raises(UsageError, match="float32, float16 or bfloat16"):
        errors("squareplus", "float64")


def test_shape_in_float32_is_refused():
    with pytest.raises(UsageError, match="float64"):
        shape(SquarePlus(), make_run(SHAPE))


VIOLATIONS = ["monotone_violations", "convex_violations", "above_relu_violations", "peak_violations"]


@pytest.mark.parametrize(
    ("name", "violated"),
    [
        ("squareplus", []),
        ("squareplus-bounding", []),
        ("squareplus-minimax", []),
        ("squareplus-plain", []),
        ("softplus", []),
        ("relu", ["above_relu_violations"]),
        ("elu", ["above_relu_violations"]),
        ("gelu", ["monotone_violations", "convex_violations", "above_relu_violations"]),
        ("silu", ["monotone_violations", "convex_violations", "above_relu_violations"]),
        ("mish", ["monotone_violations", "convex_violations", "above_relu_violations"]),
    ],
)
def test_each_activation_has_its_known_shape(name, violated):
    metrics = shape_of(name)
    assert set(metrics) == set(TASKS[SHAPE].metrics)
    assert [v for v in VIOLATIONS if metrics[v]] == violated


def test_excess_that_is_not_largest_at_zero_is_counted():
    def humped(x):
        return torch.relu(x) + torch.exp(-((x - 1) ** 2))

    assert shape(humped, make_run(SHAPE, dtype="float64"))["peak_violations"] > 0


def test_value_that_is_not_finite_violates_everything():
    metrics = shape(lambda x: x * math.nan, make_run(SHAPE, dtype="float64"))
    assert min(metrics[v] for v in VIOLATIONS) > 80_000 - 1


@pytest.mark.parametrize("b", [0.5, 2.0, 4.0])
def test_values_at_zero_and_in_the_left_tail_are_the_closed_forms(b):
    metrics = shape_of("squareplus", b=b)
    assert metrics["value_at_zero"] == pytest.approx(math.sqrt(b) / 2, rel=1e-14)
    assert metrics["curvature_at_zero"] == pytest.approx(1 / (2 * math.sqrt(b)), rel=1e-14)
    assert metrics["tail_coefficient"] == pytest.approx(b / 4, rel=1e-11)
    with mpmath.workdps(40):
        assert metrics["left_value"] == pytest.approx(float((-20 + mpmath.sqrt(400 + b)) / 2), rel=1e-14)


def test_curvature_of_relu_is_zero():
    assert shape_of("relu")["curvature_at_zero"] == 0
    assert shape_of("softplus")["curvature_at_zero"] == pytest.approx(0.25, rel=1e-14)
