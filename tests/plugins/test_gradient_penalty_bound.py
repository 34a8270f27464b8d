"""Both sides of the inequality against numpy and torch, and cases where it must hold or fail."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from plugin_run import METHODS, make_run
from torch import nn

from harness_plugins.gradient_penalty import bound as bound_module
from harness_plugins.gradient_penalty.bound import bound, jacobians, spectral_norm
from harness_plugins.gradient_penalty.inequality import batch_square, violations
from harness_plugins.gradient_penalty.initialisation import initialisation, limit
from harness_plugins.gradient_penalty.network import ACTIVATIONS, INITIALISATIONS, fill, mlp
from harness_plugins.gradient_penalty.training import logistic
from harness_plugins.images.labelled import Labelled

cross_entropy = partial(F.cross_entropy, reduction="none")


def network(sizes=(5, 7, 6, 3), activation="tanh", seed=0):
    return mlp(sizes, activation, "torch", torch.Generator().manual_seed(seed)).double()


def batch(rows=4, inputs=5, classes=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (rows,), generator=generator)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_jacobians_are_those_of_automatic_differentiation(activation):
    model, (x, _) = network(activation=activation), batch()
    first, *others = jacobians(model, x)
    assert torch.equal(first, torch.eye(5).double().expand(4, 5, 5))
    for layers, jacobian in zip((2, 4), others, strict=True):
        expected = torch.stack([torch.func.jacrev(model[:layers])(row) for row in x])
        torch.testing.assert_close(jacobian, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3), (1, 5), (4, 2, 6, 3)])
def test_spectral_norm_is_numpy_s_largest_singular_value(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = np.linalg.svd(matrix.numpy(), compute_uv=False)[..., 0]
    np.testing.assert_allclose(spectral_norm(matrix).numpy(), expected, rtol=1e-13)
    assert spectral_norm(torch.zeros(3, 4).double()).item() == 0


def sides_by_hand(model, row, label, order):
    """Left and right side for one sample by the formula, with numpy's norm of this order and autograd's gradients."""
    row = row.clone().requires_grad_()
    hidden, current, linear = [row], row, [layer for layer in model if isinstance(layer, nn.Linear)]
    for layer in model:
        current = layer(current)
        if layer is not linear[-1] and not isinstance(layer, nn.Linear):
            hidden.append(current)
    loss = F.cross_entropy(current, label)
    gradients = torch.autograd.grad(loss, [row, *model.parameters()], retain_graph=True)
    bracket = 0.0
    for h, layer in zip(hidden, linear, strict=True):
        if h is row:
            jacobian = np.eye(len(row))
        else:
            jacobian = np.stack([torch.autograd.grad(entry, row, retain_graph=True)[0].numpy() for entry in h])
        weight = np.linalg.norm(layer.weight.detach().numpy(), order) * np.linalg.norm(jacobian, order)
        bracket += (1 + h.detach().numpy() @ h.detach().numpy()) / weight**2
    left = gradients[0].square().sum().item() * bracket
    return left, sum(g.square().sum().item() for g in gradients[1:])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_both_sides_are_those_of_the_formula_for_each_sample(activation):
    model, (x, target) = network(activation=activation), batch(40)
    sides = bound(model, x, target, cross_entropy)
    for order, tightness in ((2, sides.tightness), ("fro", sides.tightness_frobenius)):
        by_hand = [sides_by_hand(model, row, label, order) for row, label in zip(x, target, strict=True)]
        torch.testing.assert_close(
            tightness, torch.tensor([a / b for a, b in by_hand], dtype=torch.float64), rtol=1e-10, atol=0
        )
    right = torch.tensor([b for _, b in by_hand], dtype=torch.float64)
    torch.testing.assert_close(sides.parameter_gradient, right, rtol=1e-12, atol=0)
    assert sides.identity_error.max() < 1e-13


def test_error_of_the_identity_is_that_of_the_worst_layer(monkeypatch):
    """Twice the Jacobian at one layer gives twice the input's gradient there: a relative error of 1."""
    model, (x, target) = network(), batch()
    for wrong in range(3):

        def one_doubled(model, rows, wrong=wrong):
            return [(2 if layer == wrong else 1) * j for layer, j in enumerate(jacobians(model, rows))]

        monkeypatch.setattr(bound_module, "jacobians", one_doubled)
        error = bound(model, x, target, cross_entropy).identity_error
        torch.testing.assert_close(error, torch.ones(4, dtype=torch.float64), rtol=1e-10, atol=0)


def test_sides_of_single_layers_add_up_to_the_whole():
    model, (x, target) = network(), batch()
    sides = bound(model, x, target, cross_entropy)
    right = sides.at_outputs * (1 + sides.hidden)
    torch.testing.assert_close((sides.tightness_of_layers * right).sum(1) / right.sum(1), sides.tightness)
    torch.testing.assert_close(right.sum(1), sides.parameter_gradient)


@pytest.mark.parametrize("sizes", [(6, 1), (6, 4), (6, 9, 3), (6, 2, 8, 2, 3)])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_no_sample_of_any_network_violates_the_inequality_and_frobenius_norms_are_less_tight(sizes, activation):
    for seed in range(5):
        model = network(sizes, activation, seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(10.0 ** (seed - 2))
        x, target = batch(64, 6, sizes[-1], seed)
        sides = bound(model, x, target, lambda output, target: output.gather(1, target[:, None])[:, 0].sin())
        assert violations(sides.tightness) == violations(sides.tightness_of_layers) == 0
        slack = 1 + 1e-12
        assert (sides.tightness_frobenius <= sides.tightness * slack)[sides.tightness.isfinite()].all()


def test_one_layer_is_an_equality_with_one_output_and_not_with_several():
    x, _ = batch(20)
    target = torch.randint(2, (20,), generator=torch.Generator().manual_seed(0)).double()
    single = bound(network((5, 1)), x, target, logistic)
    assert (single.tightness - 1).abs().max() < 1e-12
    several = bound(network((5, 3)), x, target.long(), cross_entropy)
    assert several.tightness.max() < 0.999


def test_sample_without_an_active_unit_is_no_violation():
    model, (x, target) = network(activation="relu"), batch()
    with torch.no_grad():
        model[0].bias.fill_(-100)
    sides = bound(model, x, target, cross_entropy)
    assert (sides.input_gradient == 0).all()
    assert (sides.tightness == 0).all()
    assert violations(sides.tightness) == violations(sides.tightness_of_layers) == 0


def test_violations_are_counted():
    assert violations(torch.tensor([0.5, 1.0, 1 + 1e-12, 1 + 1e-8, math.inf, math.nan], dtype=torch.float64)) == 2


def test_mean_of_gradients_that_cancel_violates_the_inequality_that_holds_for_each_sample():
    model = network((5, 3))
    with torch.no_grad():
        model[0].weight.zero_()[0, 0] = 1.0
        model[0].bias.zero_()
    x = torch.zeros(3, 5, dtype=torch.float64)
    rows = Labelled(x, torch.tensor([0, 1, 2]))
    sides = bound(model, x, rows.labels, cross_entropy)
    assert batch_square(model, rows, cross_entropy) < 1e-30
    assert (sides.input_gradient * sides.bracket).mean() > 0.1
    assert violations(sides.tightness) == 0


def test_bound_is_computed_in_float64_for_a_model_of_any_dtype_and_does_not_change_it():
    model, (x, target) = network().float(), batch()
    sides = bound(model, x.float(), target, cross_entropy)
    exact = bound(network().float().double(), x.float().double(), target, cross_entropy)
    assert torch.equal(sides.tightness, exact.tightness)
    assert model[0].weight.dtype == torch.float32


@pytest.mark.parametrize("how", ["glorot", "he", "torch"])
@pytest.mark.parametrize("shape", [(400, 400), (400, 100), (100, 400)])
def test_drawn_matrices_have_the_variance_and_the_spectral_norm_of_theory(how, shape):
    weight = torch.empty(shape, dtype=torch.float64)
    fill(weight, how, torch.Generator().manual_seed(0))
    variance = {"glorot": 2 / sum(shape), "he": 2 / shape[1], "torch": 1 / (3 * shape[1])}[how]
    assert weight.var().item() == pytest.approx(variance, rel=0.03)
    norm = np.linalg.norm(weight.numpy(), 2)
    assert norm == pytest.approx(math.sqrt(variance * shape[1]) * (1 + math.sqrt(shape[0] / shape[1])), rel=0.03)
    assert limit(*shape, how) == pytest.approx(norm, rel=0.03)


@pytest.mark.parametrize("how", INITIALISATIONS)
def test_task_on_initialisation_measures_the_drawn_matrix(how):
    run = make_run("penalty/initialisation", initialisation=how, rows=30, columns=50)
    metrics = initialisation(METHODS["no-penalty"].create(), run)
    weight = torch.empty(30, 50, dtype=torch.float64)
    fill(weight, how, torch.Generator().manual_seed(run.seed))
    sizes = np.linalg.svd(weight.numpy(), compute_uv=False)
    assert metrics["spectral_norm"] == pytest.approx(sizes[0], rel=1e-12)
    assert metrics["mean_square_singular_value"] == pytest.approx((sizes**2).mean(), rel=1e-12)
    if how == "orthogonal":
        np.testing.assert_allclose(sizes, 1, rtol=1e-12)
