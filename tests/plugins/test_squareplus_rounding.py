"""The rounding and shape tasks: they find what is known to be lost or bent, and nothing where nothing is."""

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


def lost(name, dtype="float32", **options):
    return rounding(METHODS[name].create(**options), make_run(ROUNDING, dtype=dtype))


def bent(name, **options):
    return shape(METHODS[name].create(**options), make_run(SHAPE, dtype="float64"))


@pytest.mark.parametrize("dtype", ["float32", *HALVES])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_gives_every_metric_finite_in_every_precision(name, dtype):
    found = lost(name, dtype)
    assert set(found) == set(TASKS[ROUNDING].metrics)
    assert all(math.isfinite(value) and value >= 0 for value in found.values())


@pytest.mark.parametrize("b", [0.01, 4.0, 100.0])
@pytest.mark.parametrize("dtype", ["float32", *HALVES])
def test_exact_form_loses_nothing_but_rounding(dtype, b):
    found, eps = lost("squareplus", dtype, b=b), torch.finfo(getattr(torch, dtype)).eps
    assert found["value_error"] < 2 * eps
    assert found["slope_error"] < 5 * eps
    assert found["value_lost_share"] == found["overflow_share"] == 0


def test_published_form_is_lost_from_where_the_spacing_of_x_passes_the_result():
    """Rounding x + sqrt(x^2 + b) is off by up to half of x's spacing, and the result is b / (2 |x|) before halving."""
    found = lost("squareplus-plain")
    first = math.sqrt(0.01 * 4 / 2 / torch.finfo(torch.float32).eps)
    assert first / 2 < found["sound_up_to"] < 3 * first


def test_published_form_overflows_at_the_root_of_the_largest_number():
    x = every_input(torch.float16).double()
    assert lost("squareplus-plain", "float16")["overflow_share"] == (x.abs() >= 256).double().mean()


def test_naive_softplus_overflows_where_exp_does():
    x = every_input(torch.float32).double()
    overflow = float(mpmath.log(torch.finfo(torch.float32).max))
    assert lost("softplus-naive")["overflow_share"] == pytest.approx((x > overflow).double().mean().item(), abs=1e-4)
    assert lost("softplus")["overflow_share"] == 0


def test_gelu_has_no_left_tail_in_float32():
    found = lost("gelu")
    assert 3 < found["sound_up_to"] < 6
    assert found["value_error"] == 1


def test_curves_tell_the_error_by_size():
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


def test_inputs_of_float32_reach_every_power_of_two_on_both_sides():
    numbers = every_input(torch.float32)
    for side in (numbers[numbers > 0], -numbers[numbers < 0]):
        assert set(range(-126, 128)) <= set((torch.frexp(side)[1] - 1).tolist())


def test_relative_error_of_what_underflows_is_none_and_of_nan_is_whole():
    tiny = torch.finfo(torch.float32).tiny
    found = torch.tensor([0.0, tiny, 0.0, math.nan, 1.0])
    true = torch.tensor([0.9 * tiny, 1.5 * tiny, 2 * tiny, 0.0, 0.0], dtype=torch.float64)
    assert relative_error(found, true).tolist() == pytest.approx([0, 1 / 3, 1, 1, 1])


def test_rounding_measures_a_slope_that_is_wrong():
    class Wrong(SquarePlus):
        def forward(self, x):
            y = super().forward(x)
            return y.detach() + (y - y.detach()) * 1.02

        def truth(self, x):
            return SquarePlus(self.b)(x)

    found = rounding(Wrong(), make_run(ROUNDING))
    assert found["value_error"] < 1e-6
    assert found["slope_error"] == pytest.approx(0.02, rel=1e-3)


def test_rounding_in_float64_is_refused():
    with pytest.raises(UsageError, match="float32, float16 or bfloat16"):
        lost("squareplus", "float64")


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
def test_each_activation_has_the_shape_that_is_known_of_it(name, violated):
    found = bent(name)
    assert set(found) == set(TASKS[SHAPE].metrics)
    assert [v for v in VIOLATIONS if found[v]] == violated


def test_excess_that_is_largest_elsewhere_is_counted():
    def humped(x):
        return torch.relu(x) + torch.exp(-((x - 1) ** 2))

    assert shape(humped, make_run(SHAPE, dtype="float64"))["peak_violations"] > 0


def test_value_that_is_not_finite_violates_everything():
    found = shape(lambda x: x * math.nan, make_run(SHAPE, dtype="float64"))
    assert min(found[v] for v in VIOLATIONS) > 80_000 - 1


@pytest.mark.parametrize("b", [0.5, 2.0, 4.0])
def test_figures_at_zero_and_far_left_are_the_closed_forms(b):
    found = bent("squareplus", b=b)
    assert found["value_at_zero"] == pytest.approx(math.sqrt(b) / 2, rel=1e-14)
    assert found["curvature_at_zero"] == pytest.approx(1 / (2 * math.sqrt(b)), rel=1e-14)
    assert found["tail_coefficient"] == pytest.approx(b / 4, rel=1e-11)
    with mpmath.workdps(40):
        assert found["left_value"] == pytest.approx(float((-20 + mpmath.sqrt(400 + b)) / 2), rel=1e-14)


def test_curvature_of_what_is_flat_is_zero():
    assert bent("relu")["curvature_at_zero"] == 0
    assert bent("softplus")["curvature_at_zero"] == pytest.approx(0.25, rel=1e-14)
