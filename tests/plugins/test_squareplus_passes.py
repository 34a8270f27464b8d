"""squareplus in pieces, on whole tensors and compiled gives the same numbers."""

from __future__ import annotations

import math

import pytest
import torch

from harness_plugins.squareplus import passes
from harness_plugins.squareplus.functions import CompiledSquarePlus, SquarePlus

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.fixture(autouse=True)
def divide_small_tensors_too(monkeypatch):
    monkeypatch.setattr(passes, "WORTH_DIVIDING", passes.PIECE)


def drawn(count, dtype=torch.float32, seed=0):
    """Numbers of either sign and of any magnitude that the dtype has, and incoming gradients."""
    generator = torch.Generator().manual_seed(seed)
    reach = math.log(torch.finfo(dtype).max) - 1
    exponent = reach * (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1)
    sign = torch.randint(2, (count,), generator=generator) * 2 - 1
    return (sign * exponent.exp()).to(dtype).requires_grad_(), torch.randn(count, generator=generator).to(dtype)


def exact(x, b):
    """Value and slope by their definition in float64, whose range holds the squares of float32 numbers."""
    x = x.detach().double()
    half = x.abs() / 2
    root = torch.hypot(half, torch.tensor(math.sqrt(b) / 2, dtype=torch.float64))
    y = torch.relu(x) + b / 4 / (half + root)
    return y, (y * (2 / math.sqrt(b))).square() / ((y * (2 / math.sqrt(b))).square() + 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [passes.PIECE, passes.PIECE + 1, 3 * passes.PIECE - 1, 3 * passes.PIECE])
def test_pieces_give_the_numbers_of_the_whole_tensor(count, dtype):
    x, gradient = drawn(count, dtype)
    y = SquarePlus(3.0)(x)
    y.backward(gradient)
    whole = passes.value(x.detach(), 0.75)
    # For x >= 0 the pieces add relu(x) to c / m and the whole tensor takes m, which round differently.
    torch.testing.assert_close(y.detach(), whole, rtol=2 * torch.finfo(dtype).eps, atol=0)
    assert torch.equal(x.grad, passes.times_slope(gradient, y.detach(), 2 / math.sqrt(3.0)))


@pytest.mark.parametrize("b", [1e-30, 1e-6, 4.0, 1e12, 1e30])
def test_value_and_slope_are_right_over_all_of_float32(b):
    x, _ = drawn(2 * passes.PIECE)
    y = SquarePlus(b)(x)
    y.sum().backward()
    value, slope = exact(x, b)
    normal = value >= torch.finfo(torch.float32).tiny
    assert ((y.double() - value).abs() / value)[normal].max() < 5e-7
    normal = slope >= torch.finfo(torch.float32).tiny
    assert ((x.grad.double() - slope).abs() / slope)[normal].max() < 1e-6


def test_tensor_that_is_not_contiguous_is_not_divided():
    x, gradient = drawn(4 * passes.PIECE)
    transposed = x.detach().view(4, -1).T.requires_grad_()
    y = SquarePlus()(transposed)
    assert torch.equal(y.T.reshape(-1), SquarePlus()(x))
    y.backward(gradient.view(-1, 4))
    expected = torch.autograd.grad(SquarePlus()(transposed), transposed, gradient.view(-1, 4).contiguous())[0]
    assert torch.equal(transposed.grad, expected)


def test_large_tensor_may_be_differentiated_twice():
    x = torch.linspace(-3, 3, 2 * passes.PIECE, dtype=torch.float64, requires_grad=True)
    weights = torch.linspace(1, 2, len(x), dtype=torch.float64)
    (slope,) = torch.autograd.grad(SquarePlus()(x), x, weights, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(curvature, weights * 2 / (x.detach().square() + 4) ** 1.5)


def test_large_tensor_goes_through_torch_func():
    x = torch.linspace(-3, 3, 4 * passes.PIECE, dtype=torch.float64).view(2, -1)
    each = torch.func.vmap(torch.func.grad(lambda row: SquarePlus()(row).sum()))(x)
    torch.testing.assert_close(each, (1 + x / (x.square() + 4).sqrt()) / 2)


@pytest.mark.parametrize("shape", [(3 * passes.PIECE,), (3, passes.PIECE), (1, 3 * passes.PIECE)])
def test_incoming_gradient_may_have_any_layout_in_memory(shape):
    x, gradient = (tensor.detach().view(shape) for tensor in drawn(3 * passes.PIECE))
    scalar = torch.tensor(0.5).expand(shape)
    column = gradient[:, :1].expand(shape) if len(shape) == 2 else gradient
    transposed = gradient.T.contiguous().T if len(shape) == 2 else gradient
    for upstream in (scalar, column, transposed):
        x.requires_grad_()
        (computed,) = torch.autograd.grad(SquarePlus()(x), x, upstream)
        (expected,) = torch.autograd.grad(SquarePlus()(x), x, upstream.clone(memory_format=torch.contiguous_format))
        assert torch.equal(computed, expected)
        assert torch.equal(computed, passes.times_slope(upstream, SquarePlus()(x.detach()), 1.0))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_in_large_tensors_have_their_limits(bad):
    x = torch.full((2 * passes.PIECE,), bad, requires_grad=True)
    y = SquarePlus()(x)
    y.sum().backward()
    expected = {math.inf: (math.inf, 1.0), -math.inf: (0.0, 0.0)}.get(bad, (math.nan, math.nan))
    for computed, number in zip((y[-1], x.grad[-1]), expected, strict=True):
        assert computed.item() == number or (computed.isnan() and math.isnan(number))


def test_without_a_compiler_it_warns_once_and_computes_uncompiled(monkeypatch):
    failure = torch._dynamo.exc.BackendCompilerFailed

    def fails(*_):
        # Its constructor takes other arguments in other versions of torch.
        raise failure.__new__(failure, "no C++ compiler")

    monkeypatch.setattr(passes, "_compilers", passes._Compilers())
    monkeypatch.setattr(torch, "compile", lambda *_, **__: fails)
    x, gradient = drawn(passes.WORTH_COMPILING)
    with pytest.warns(UserWarning, match="not compiled"):
        y = CompiledSquarePlus()(x)
    y.backward(gradient)
    assert torch.equal(y, SquarePlus()(x))


def test_few_elements_are_not_worth_compiling(monkeypatch):
    monkeypatch.setattr(torch, "compile", None)
    monkeypatch.setattr(passes, "_compilers", passes._Compilers())
    x, _ = drawn(passes.WORTH_COMPILING - 1)
    assert torch.equal(CompiledSquarePlus()(x), SquarePlus()(x))


@pytest.mark.slow
# torch's compiler uses deprecated parts of torch.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_passes_are_as_accurate_as_the_others(dtype):
    x, gradient = drawn(passes.WORTH_COMPILING, dtype)
    y = CompiledSquarePlus()(x)
    y.backward(gradient)
    value, slope = exact(x, 4.0)
    rounding = 4 * torch.finfo(dtype).eps
    tiny = torch.finfo(dtype).tiny
    assert ((y.double() - value).abs() <= rounding * value + tiny).all()
    expected = slope * gradient.double()
    assert ((x.grad.double() - expected).abs() <= 2 * rounding * expected.abs() + tiny).all()
    assert not passes._compilers.broken
