"""The tiled losses against the dense form in float64: numbers of tiles, temperatures, precisions and corner cases."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness_plugins.flatnce import tiled
from harness_plugins.flatnce.losses import FlatNCE, InfoNCE
from harness_plugins.flatnce.tiled import TiledFlatNCE, TiledInfoNCE

FORMS = [(TiledInfoNCE, InfoNCE), (TiledFlatNCE, FlatNCE)]
CHOICES = ["all", "cross"]


def views(pairs, dimension=8, dtype=torch.float64, likeness=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    first, other = torch.randn(2, pairs, dimension, generator=generator, dtype=torch.float64)
    return [view.to(dtype).requires_grad_() for view in (first.clone(), likeness * first + other)]


def value_and_gradient(loss, rows):
    value = loss(*rows)
    return value.item(), torch.cat(torch.autograd.grad(value, rows)).double()


def compare(form, dense, temperature, negatives, rows, tolerance):
    value, gradient = value_and_gradient(form(temperature, negatives), rows)
    raised = [row.detach().double().requires_grad_() for row in rows]
    true, expected = value_and_gradient(dense(temperature, negatives), raised)
    assert value == pytest.approx(true, rel=tolerance)
    assert (gradient - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("negatives", CHOICES)
@pytest.mark.parametrize(("form", "dense"), FORMS)
@pytest.mark.parametrize("most_stored", [0, tiled.MOST_STORED])
@pytest.mark.parametrize("side", [1, 2, 3, 5, 7, 10, 14, 100])
def test_tiles_of_any_size_give_the_dense_loss_and_gradient(side, most_stored, form, dense, negatives, monkeypatch):
    monkeypatch.setattr(tiled, "SIDE_ON_CPU", side)
    monkeypatch.setattr(tiled, "MOST_STORED", most_stored)
    for pairs in (2, 5, 7):
        compare(form, dense, 0.2, negatives, views(pairs), 1e-13)


@pytest.mark.parametrize("negatives", CHOICES)
@pytest.mark.parametrize(("form", "dense"), FORMS)
@pytest.mark.parametrize("temperature", [100.0, 0.1, 0.01, 1 / 690, 1 / 720, 0.001])
@pytest.mark.parametrize("side", [4, 512])
def test_any_temperature_is_the_dense_loss(temperature, side, form, dense, negatives, monkeypatch):
    monkeypatch.setattr(tiled, "SIDE_ON_CPU", side)
    # Views that differ more keep the losses large; the logarithm of a tiny loss is only as exact as its scores.
    compare(form, dense, temperature, negatives, views(9, likeness=0.3), 1e-11)


@pytest.mark.parametrize("negatives", CHOICES)
@pytest.mark.parametrize(("form", "dense"), FORMS)
@pytest.mark.parametrize(
    ("temperature", "tolerance"), [(1.0, 1e-6), (0.05, 2e-6), (0.03, 3e-6), (0.0125, 1e-5), (0.0121, 1e-5)]
)
def test_float32_gradient_is_right_at_small_temperatures(temperature, tolerance, form, dense, negatives):
    compare(form, dense, temperature, negatives, views(300, 64, torch.float32, likeness=2.0), tolerance)


def test_float32_leaves_shared_exponentials_before_they_overflow(monkeypatch):
    calls = []
    for name in ("_log_xi_by_tiles", "_log_xi_by_rows"):
        real = getattr(tiled, name)
        monkeypatch.setattr(tiled, name, lambda *args, real=real, name=name: calls.append(name) or real(*args))
    # Where all rows are equal every score is 1 / temperature, the largest possible one.
    row = torch.ones(200, 4)
    for temperature in (1 / 70, 1 / 78, 1 / 80, 1 / 85, 1 / 1000):
        value = TiledFlatNCE(temperature)(row.requires_grad_(), row)
        assert value.item() == pytest.approx(math.log(398), rel=1e-4)
    assert calls == 3 * ["_log_xi_by_tiles"] + 2 * ["_log_xi_by_rows"]


@pytest.mark.parametrize("temperature", [0.05, 0.01])
def test_easy_anchors_keep_the_gradient_that_softmax_minus_one_hot_loses(temperature):
    rows = views(50, 64, torch.float32, likeness=100.0)
    compare(TiledInfoNCE, InfoNCE, temperature, "all", rows, 5e-6 if temperature == 0.05 else 5e-5)


@pytest.mark.parametrize("negatives", CHOICES)
@pytest.mark.parametrize("temperature", [0.1, 0.001])
def test_no_tensor_has_as_many_elements_as_there_are_scores(negatives, temperature, monkeypatch):
    monkeypatch.setattr(tiled, "SIDE_ON_CPU", 64)
    monkeypatch.setattr(tiled, "MOST_STORED", 0)
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            sizes = [leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
            largest = max([largest, *sizes])
            return out

    rows = views(512, 4, torch.float32)
    with Watch():
        TiledInfoNCE(temperature, negatives)(*rows).backward()
    assert largest == max(64 * 64, 2 * 512 * 4)


def test_incoming_gradient_scales_the_gradient_and_views_stay_unchanged():
    rows = views(6)
    before = [row.detach().clone() for row in rows]
    plain = torch.autograd.grad(TiledInfoNCE()(*rows), rows)
    scaled = torch.autograd.grad(-3 * TiledInfoNCE()(*rows), rows)
    assert all(torch.allclose(a, -3 * b, rtol=1e-14) for a, b in zip(scaled, plain, strict=True))
    assert all(torch.equal(row.detach(), old) for row, old in zip(rows, before, strict=True))


def test_one_view_alone_may_need_a_gradient():
    rows = views(6)
    expected = torch.autograd.grad(TiledInfoNCE()(*rows), rows)
    frozen = rows[1].detach()
    (gradient,) = torch.autograd.grad(TiledInfoNCE()(rows[0], frozen), rows[0])
    assert torch.equal(gradient, expected[0])


def test_value_without_a_gradient_is_the_same():
    rows = views(6)
    with torch.no_grad():
        value = TiledInfoNCE()(*rows)
    assert not value.requires_grad
    assert value.item() == TiledInfoNCE()(*rows).item()


@pytest.mark.parametrize("temperature", [0.05, 0.001])
def test_autocast_does_not_round_the_scores(temperature):
    rows = views(40, 16, torch.float32)
    expected = value_and_gradient(TiledFlatNCE(temperature), rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = value_and_gradient(TiledFlatNCE(temperature), rows)
    assert value == expected[0]
    assert torch.equal(gradient, expected[1])


@pytest.mark.parametrize("form", [TiledInfoNCE, TiledFlatNCE])
def test_second_derivative_is_refused_instead_of_wrong(form):
    rows = views(4)
    with pytest.raises(RuntimeError, match=r"-dense.*create_graph"):
        torch.autograd.grad(form()(*rows), rows, create_graph=True)


@pytest.mark.parametrize("temperature", [0.1, 0.001])
def test_nan_in_a_view_makes_the_loss_nan(temperature):
    rows = views(4, dtype=torch.float32)
    with torch.no_grad():
        rows[0][1, 2] = math.nan
    assert TiledInfoNCE(temperature)(*rows).isnan()
