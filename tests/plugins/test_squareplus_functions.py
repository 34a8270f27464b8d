"""SquarePlus against mpmath over whole ranges, its derivatives, and the other activations against their formulas."""

from __future__ import annotations

import math
import struct
import warnings

import mpmath
import numpy as np
import pytest
import torch
from plugin_run import METHODS
from torch import nn

from harness.errors import UsageError
from harness_plugins.squareplus.functions import BOUNDING_B, MINIMAX_B, HypotSquarePlus, PlainSquarePlus, SquarePlus

ACTIVATIONS = sorted(name for name, method in METHODS.items() if method.role == "activation")
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
EXPONENTS = {
    torch.float64: (-1000, 1020),
    torch.float32: (-120, 126),
    torch.float16: (-14, 15),
    torch.bfloat16: (-120, 126),
}


def exact(x, b):
    """squareplus and its derivative by the published formulas, with 700 digits."""
    with mpmath.workdps(700):
        x, b = mpmath.mpf(x), mpmath.mpf(b)
        root = mpmath.sqrt(x * x + b)
        return float((x + root) / 2), float((1 + x / root) / 2)


def spread(dtype, count=150):
    """Numbers of both signs over the whole range of the dtype, rounded to it, and 0."""
    generator = np.random.default_rng(0)
    size = np.ldexp(generator.uniform(1, 2, count), np.linspace(*EXPONENTS[dtype], count).astype(int))
    largest = torch.finfo(dtype).max
    numbers = torch.tensor(np.concatenate([-size, [0.0, largest, -largest], size]), dtype=torch.float64).to(dtype)
    return numbers[numbers.isfinite()]


def with_slope(f, x):
    x = x.clone().requires_grad_()
    y = f(x)
    (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
    return y.detach(), slope


@pytest.mark.parametrize("b", [1e-4, BOUNDING_B, 4.0, 1e4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_value_and_slope_are_right_over_the_whole_range(dtype, b):
    x = spread(dtype)
    y, slope = with_slope(SquarePlus(b), x)
    true = torch.tensor([exact(v, b) for v in x.tolist()], dtype=torch.float64)
    eps, tiny = torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    smallest = tiny / eps if dtype != torch.float16 else tiny
    for computed, expected, ulps in ((y, true[:, 0], 2), (slope, true[:, 1], 5)):
        expected = expected.clamp(max=torch.finfo(dtype).max)
        error = (computed.double() - expected).abs() / expected.abs().clamp_min(smallest)
        assert error.max() < ulps * eps


@pytest.mark.parametrize("b", [1e-4, 4.0, 1e4])
def test_form_through_hypot_is_right_over_the_whole_range_of_float64_and_is_relu_for_b_zero(b):
    x = spread(torch.float64)
    y, slope = with_slope(HypotSquarePlus(b), x)
    true = torch.tensor([exact(v, b) for v in x.tolist()], dtype=torch.float64)
    for computed, expected in ((y, true[:, 0]), (slope, true[:, 1])):
        normal = expected.abs() > torch.finfo(torch.float64).tiny
        torch.testing.assert_close(computed[normal], expected[normal], rtol=2e-15, atol=0)
    for computed, expected in zip(with_slope(HypotSquarePlus(0.0), x), with_slope(nn.ReLU(), x), strict=True):
        assert torch.equal(computed, expected)


def test_value_at_the_most_negative_number_is_right():
    """At the end of float32 the sum of |x| and the root overflows; the value b / (4 |x|) is in range."""
    largest = torch.finfo(torch.float32).max
    value = SquarePlus(1e4)(torch.tensor([-largest])).item()
    assert value == pytest.approx(1e4 / 4 / largest, rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan_have_their_limits(dtype):
    y, slope = with_slope(SquarePlus(), torch.tensor([-math.inf, math.inf, math.nan], dtype=dtype))
    assert y[:2].tolist() == [0.0, math.inf]
    assert slope[:2].tolist() == [0.0, 1.0]
    assert y[2].isnan() and slope[2].isnan()


def test_two_derivatives_agree_with_finite_differences_and_the_closed_form():
    x = torch.linspace(-8, 8, 17, dtype=torch.float64, requires_grad=True)
    f = SquarePlus(1.7)
    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)
    y = f(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(second, 1.7 / (2 * (x.detach() ** 2 + 1.7) ** 1.5), rtol=1e-12, atol=0)


def test_function_transforms_work():
    f, x = SquarePlus(), torch.linspace(-3, 3, 7, dtype=torch.float64)
    root = torch.sqrt(x * x + 4)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(f))(x), (1 + x / root) / 2)
    with warnings.catch_warnings():
        # torch's forward mode uses deprecated parts of torch.
        warnings.simplefilter("ignore", DeprecationWarning)
        hessian = torch.func.hessian(lambda v: f(v).sum())(x)
    torch.testing.assert_close(hessian, torch.diag(2 / root**3))


def test_only_the_output_is_saved_for_backward():
    saved = []
    x = torch.randn(1000, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        y = SquarePlus()(x)
    assert [t.data_ptr() for t in saved] == [y.data_ptr()]


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_keeps_shape_and_dtype_and_does_not_change_its_input(name, dtype, shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)
    before = x.clone()
    y, slope = with_slope(METHODS[name].create(), x)
    assert y.shape == slope.shape == shape
    assert y.dtype == slope.dtype == dtype
    assert torch.equal(x, before)


def test_strided_input_gives_the_same_numbers():
    x = torch.randn(6, 8, dtype=torch.float64)
    assert torch.equal(SquarePlus()(x.T), SquarePlus()(x).T)
    assert torch.equal(SquarePlus()(x[:, ::2]), SquarePlus()(x)[:, ::2])


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("softplus", lambda x: mpmath.log1p(mpmath.exp(x))),
        ("softplus-naive", lambda x: mpmath.log1p(mpmath.exp(x))),
        ("squareplus-plain", lambda x: (x + mpmath.sqrt(x * x + 4)) / 2),
        ("squareplus-bounding", lambda x: (x + mpmath.sqrt(x * x + 4 * mpmath.log(2) ** 2)) / 2),
        ("squareplus-minimax", lambda x: (x + mpmath.sqrt(x * x + MINIMAX_B)) / 2),
        ("relu", lambda x: max(x, 0)),
        ("gelu", lambda x: x * mpmath.ncdf(x)),
        ("silu", lambda x: x / (1 + mpmath.exp(-x))),
        ("elu", lambda x: x if x > 0 else mpmath.expm1(x)),
        ("mish", lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x)))),
    ],
)
def test_each_method_is_the_function_of_its_name(name, formula):
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    expected = torch.tensor([float(formula(mpmath.mpf(v))) for v in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(METHODS[name].create()(x), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["squareplus-plain", "softplus-naive", "gelu"])
def test_truth_is_the_same_function_and_keeps_its_left_tail(name):
    f = METHODS[name].create()
    near = torch.linspace(-4, 20, 49, dtype=torch.float64)
    torch.testing.assert_close(f.truth(near), f(near), rtol=1e-11, atol=0)
    formula = {
        "squareplus-plain": lambda x: exact(x, 4.0)[0],
        "softplus-naive": lambda x: float(mpmath.log1p(mpmath.exp(x))),
        "gelu": lambda x: float(x * mpmath.ncdf(x)),
    }[name]
    value = f.truth(torch.tensor([-30.0], dtype=torch.float64)).item()
    assert value == pytest.approx(formula(-30.0), rel=1e-12)


def test_zero_b_is_relu_with_its_slope():
    y, slope = with_slope(SquarePlus(0.0), torch.tensor([-2.0, 0.0, 3.0]))
    assert y.tolist() == [0, 0, 3]
    assert slope.tolist() == [0, 0, 1]


def test_published_form_with_zero_b_has_the_slope_nan_at_zero():
    assert with_slope(PlainSquarePlus(0.0), torch.tensor([0.0]))[1].isnan().all()


def test_family_scales():
    x = torch.linspace(-9, 9, 19, dtype=torch.float64)
    torch.testing.assert_close(SquarePlus(5.0)(3 * x) / 3, SquarePlus(5.0 / 9)(x), rtol=1e-14, atol=0)


@pytest.mark.parametrize("b", [-1.0, math.nan, math.inf, 1e-40, 1e40])
@pytest.mark.parametrize("form", [SquarePlus, PlainSquarePlus])
def test_impossible_b_is_refused(form, b):
    with pytest.raises(ValueError, match=r"^b = .*: 0 or a number from 1e-30 to 1e\+30 is needed$"):
        form(b)


@pytest.mark.parametrize("b", [-1.0, math.nan, math.inf, "minimax"])
def test_impossible_b_of_a_suite_is_refused_by_name(b):
    with pytest.raises(UsageError, match=r"method squareplus: option b = .* is needed"):
        METHODS["squareplus"].create(b=b)


def test_integers_are_refused_with_their_shape():
    with pytest.raises(TypeError, match=r"x \[3\] has dtype torch.int64"):
        SquarePlus()(torch.arange(3))


def test_named_members_have_their_b():
    assert METHODS["squareplus-bounding"].create().b == BOUNDING_B == float(4 * mpmath.log(2) ** 2)
    assert METHODS["squareplus-minimax"].create().b == MINIMAX_B
    assert METHODS["squareplus"].create().b == 4


def test_it_trains_inside_a_network_in_half_precision():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), SquarePlus(), nn.Linear(8, 1)).bfloat16()
    network(torch.randn(5, 4, dtype=torch.bfloat16)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_values_of_neighbouring_float32_numbers_differ_in_the_left_tail():
    """The exact form still falls with every step away from 0 where the published form is 0."""
    start = struct.unpack("<i", struct.pack("<f", -1e6))[0]
    x = torch.arange(start, start + 64, 8, dtype=torch.int32).view(torch.float32)
    assert (SquarePlus()(x).diff() < 0).all()
    assert (PlainSquarePlus()(x) == 0).all()
