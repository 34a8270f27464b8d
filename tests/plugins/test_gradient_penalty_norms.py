"""Gradient norms and penalties against torch.func, finite differences and closed forms; and their errors."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from plugin_run import METHODS
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness_plugins.gradient_penalty.gradient_norms import check_rows, gradient_norms, gradient_norms_vmap
from harness_plugins.gradient_penalty.network import ACTIVATIONS, mlp
from harness_plugins.gradient_penalty.penalties import squared_spectral_norm

cross_entropy = partial(F.cross_entropy, reduction="none")
GRADIENT = ["input", "parameter", "parameter-batch", "input-vmap", "parameter-vmap"]
PENALTIES = [*GRADIENT, "spectral-norm"]


def half_squares(output, target):
    return (output - target).square().sum(dim=1) / 2


def elementwise(output, target):
    return (output - target).square()


def network(sizes=(5, 7, 6, 3), activation="tanh", seed=0):
    return mlp(sizes, activation, "torch", torch.Generator().manual_seed(seed)).double()


def batch(rows=4, inputs=5, classes=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (rows,), generator=generator)


def norms_by_loop(model, x, target, loss_fn):
    """The norms of one sample at a time, from the whole gradient of every parameter."""
    at_input, at_parameters = [], []
    for row in range(len(x)):
        sample = x[row : row + 1].clone().requires_grad_()
        loss = loss_fn(model(sample), target[row : row + 1]).sum()
        gradients = torch.autograd.grad(loss, [sample, *model.parameters()])
        at_input.append(gradients[0].square().sum())
        at_parameters.append(sum(g.square().sum() for g in gradients[1:]))
    return torch.stack(at_input), torch.stack(at_parameters)


@pytest.mark.parametrize("sizes", [(5, 3), (5, 7, 3), (5, 7, 6, 8, 3)])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_norms_are_those_of_each_sample_alone_and_of_torch_func(sizes, activation):
    model, (x, target) = network(sizes, activation), batch()
    norms = gradient_norms(model, x, target, cross_entropy)
    for plain in (norms_by_loop, gradient_norms_vmap):
        expected = plain(model, x, target, cross_entropy)
        torch.testing.assert_close(norms.input, expected[0], rtol=1e-12, atol=0)
        torch.testing.assert_close(norms.parameter, expected[1], rtol=1e-12, atol=0)


def test_norms_are_those_of_finite_differences():
    model, (x, target) = network((3, 4, 2), "softplus"), batch(3, 3, 2)
    step = 1e-6

    def difference(entries, index):
        """Central difference of all rows' losses in one entry of a tensor that is changed in place."""
        values = []
        for shift in (step, -step):
            before = entries[index].clone()
            entries[index] += shift
            values.append(cross_entropy(model(x), target))
            entries[index] = before
        return (values[0] - values[1]) / (2 * step)

    with torch.no_grad():
        at_input = sum(difference(x, (slice(None), column)) ** 2 for column in range(3))
        at_parameters = sum(
            difference(p.view(-1), index) ** 2 for p in model.parameters() for index in range(p.numel())
        )
    norms = gradient_norms(model, x, target, cross_entropy)
    torch.testing.assert_close(norms.input, at_input, rtol=1e-7, atol=0)
    torch.testing.assert_close(norms.parameter, at_parameters, rtol=1e-7, atol=0)


def test_norms_of_one_layer_are_the_closed_form():
    """With squared error the output's gradient is the residual r: |W^T r|^2 and |r|^2 (|x|^2 + 1)."""
    model, (x, _) = network((5, 3)), batch()
    target = torch.randn(4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    residual = (model(x) - target).detach()
    norms = gradient_norms(model, x, target, half_squares)
    torch.testing.assert_close(norms.input, (residual @ model[0].weight).square().sum(1).detach())
    torch.testing.assert_close(norms.parameter, residual.square().sum(1) * (x.square().sum(1) + 1))


def test_layers_without_bias_images_and_activations_in_place_are_right():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(nn.Linear(12, 6, bias=False), nn.ReLU(inplace=True), nn.Identity()),
        nn.Linear(6, 4),
        nn.LeakyReLU(inplace=True),
        nn.Linear(4, 3),
    ).double()
    x = torch.randn(5, 3, 2, 2, generator=generator, dtype=torch.float64)
    before, target = x.clone(), torch.tensor([0, 1, 2, 0, 1])
    norms, expected = (f(model, x, target, cross_entropy) for f in (gradient_norms, norms_by_loop))
    torch.testing.assert_close(norms.input, expected[0])
    torch.testing.assert_close(norms.parameter, expected[1])
    assert torch.equal(x, before)


@pytest.mark.parametrize("first", [nn.Identity(), nn.ReLU(inplace=True)])
def test_activations_in_place_do_not_change_norms_and_penalty(first):
    generator = torch.Generator().manual_seed(0)
    layers = [first, nn.Linear(5, 6), nn.SiLU(inplace=True), nn.Linear(6, 3)]
    model = nn.Sequential(*layers).double()
    model.load_state_dict({key: torch.randn(p.shape, generator=generator) for key, p in model.state_dict().items()})
    x, target = batch()
    before = x.clone()
    norms = gradient_norms(model, x, target, cross_entropy)
    assert torch.equal(x, before)
    expected = norms_by_loop(nn.Sequential(type(first)(), layers[1], nn.SiLU(), layers[3]), x, target, cross_entropy)
    torch.testing.assert_close(norms.input, expected[0])
    torch.testing.assert_close(norms.parameter, expected[1])
    assert value_at("parameter", model, x, target, 1.0).item() == pytest.approx(expected[1].mean().item(), rel=1e-12)


def test_large_finite_rows_with_an_infinite_sum_are_allowed():
    check_rows(torch.full((2, 2), 3e38), torch.zeros(2))


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm)
        return function(*args, **(kwargs or {}))


def test_one_backward_pass_gives_both_norms_without_a_weight_gradient():
    model, (x, target) = network(), batch()
    with Products() as products:
        gradient_norms(model, x, target, cross_entropy)
    assert products.count == 3 + 3


def value_at(name, model, x, target, weight=0.7):
    return METHODS[name].create(weight=weight)(model, x, target, cross_entropy)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_of_every_penalty_is_its_finite_difference(name):
    model, (x, target) = network((4, 5, 3), "softplus"), batch(3, 4)
    names = [key for key, _ in model.named_parameters()]

    def of_parameters(*tensors):
        filled = mlp((4, 5, 3), "softplus", "torch", torch.Generator()).double()
        for key, tensor in zip(names, tensors, strict=True):
            layer, parameter = key.split(".")
            filled[int(layer)]._parameters[parameter] = tensor
        return value_at(name, filled, x, target)

    tensors = [parameter.detach().requires_grad_() for parameter in model.parameters()]
    assert torch.autograd.gradcheck(of_parameters, tensors, eps=1e-6, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize(("name", "plain"), [("input", "input-vmap"), ("parameter", "parameter-vmap")])
def test_penalty_and_its_gradient_are_those_of_the_plain_form(name, plain, activation):
    model, (x, target) = network(activation=activation), batch()
    values, gradients = [], []
    for each in (name, plain):
        values.append(value_at(each, model, x, target))
        gradients.append(torch.autograd.grad(values[-1], list(model.parameters()), materialize_grads=True))
    torch.testing.assert_close(*values, rtol=1e-13, atol=0)
    for fast, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, expected, rtol=1e-10, atol=1e-14)


def test_penalties_are_the_weighted_means_of_the_norms():
    model, (x, target) = network(), batch()
    at_input, at_parameters = norms_by_loop(model, x, target, cross_entropy)
    assert value_at("input", model, x, target).item() == pytest.approx(0.7 * at_input.mean().item(), rel=1e-12)
    assert value_at("parameter", model, x, target).item() == pytest.approx(0.7 * at_parameters.mean().item(), rel=1e-12)
    gradients = torch.autograd.grad(F.cross_entropy(model(x), target), list(model.parameters()))
    square = sum(g.square().sum().item() for g in gradients)
    assert value_at("parameter-batch", model, x, target).item() == pytest.approx(0.7 * square, rel=1e-12)
    assert METHODS["no-penalty"].create()(model, x, target, cross_entropy).item() == 0


def test_gradients_that_cancel_make_the_batch_penalty_zero_and_do_not_change_the_sample_penalty():
    model = nn.Sequential(nn.Linear(2, 1)).double()
    x = torch.ones(2, 2, dtype=torch.float64)
    target = model(x).detach() + torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    penalty, of_batch = (METHODS[name].create(weight=1.0) for name in ("parameter", "parameter-batch"))
    assert of_batch(model, x, target, half_squares).item() == pytest.approx(0, abs=1e-30)
    assert penalty(model, x, target, half_squares).item() == pytest.approx(3)


def test_the_two_parameter_penalties_are_equal_for_a_batch_of_one():
    model, (x, target) = network(), batch(1)
    assert value_at("parameter", model, x, target).item() == pytest.approx(
        value_at("parameter-batch", model, x, target).item(), rel=1e-12
    )


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (1, 5)])
def test_spectral_norm_penalty_is_that_of_the_singular_value_decomposition(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    square = squared_spectral_norm(weight)
    left, sizes, right = np.linalg.svd(weight.detach().numpy())
    assert square.item() == pytest.approx(sizes[0] ** 2, rel=1e-12)
    (gradient,) = torch.autograd.grad(square, weight)
    np.testing.assert_allclose(gradient.numpy(), 2 * sizes[0] * np.outer(left[:, 0], right[0]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["sum", "product"])
def test_spectral_norms_are_summed_or_multiplied_over_layers(form):
    model, (x, target) = network(), batch()
    squares = [np.linalg.norm(layer.weight.detach().numpy(), 2) ** 2 for layer in model if isinstance(layer, nn.Linear)]
    expected = sum(squares) if form == "sum" else math.prod(squares)
    penalty = METHODS["spectral-norm"].create(weight=0.5, form=form)
    assert penalty(model, x, target, cross_entropy).item() == pytest.approx(0.5 * expected, rel=1e-12)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_accumulates_no_gradient_and_does_not_change_the_model(name):
    model, (x, target) = network(), batch()
    before = [parameter.clone() for parameter in model.parameters()]
    value_at(name, model, x, target)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert x.grad is None
    assert not x.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_norms_have_no_graph_and_work_under_no_grad():
    model, (x, target) = network(), batch()
    with torch.no_grad():
        norms = METHODS["no-penalty"].create().norms(model, x, target, cross_entropy)
    assert not norms.input.requires_grad
    assert not norms.parameter.requires_grad
    assert not METHODS["input-vmap"].create().norms(model, x, target, cross_entropy).parameter.requires_grad


def test_gradient_of_the_penalty_flows_through_the_input():
    model, (x, target) = network(), batch()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(value_at("input", model, 2 * x, target), x)
    (expected,) = torch.autograd.grad(value_at("input-vmap", model, 2 * x, target), x)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_norms_are_as_accurate_as_the_dtype_allows_and_squares_do_not_overflow(dtype):
    model, (x, _) = network((64, 3)).to(dtype), batch(inputs=64)
    rows, target = (100 * x).to(dtype), torch.randn(4, 3, generator=torch.Generator().manual_seed(2)).to(dtype)
    norms = gradient_norms(model, rows, target, half_squares)
    exact = gradient_norms(model.double(), rows.double(), target.double(), half_squares)
    for rounded, true in zip(norms, exact, strict=True):
        assert (rounded.double() / true - 1).abs().max() < 20 * torch.finfo(dtype).eps


class Shared(nn.Module):
    """One layer used twice, and a convolution."""

    def __init__(self):
        super().__init__()
        self.convolution, self.linear = nn.Conv1d(1, 1, 3, padding=1), nn.Linear(5, 5)

    def forward(self, x):
        return self.linear(torch.tanh(self.linear(self.convolution(x[:, None])[:, 0])))


def test_plain_form_is_right_for_modules_that_are_no_mlp():
    model, (x, target) = Shared().double(), batch(classes=5)
    norms, expected = (f(model, x, target, cross_entropy) for f in (gradient_norms_vmap, norms_by_loop))
    torch.testing.assert_close(norms.input, expected[0])
    torch.testing.assert_close(norms.parameter, expected[1])
    penalty = METHODS["input"].create(weight=1.0)(model, x, target, cross_entropy)
    assert penalty.item() == pytest.approx(expected[0].mean().item())


def tied():
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    model[2].weight = model[0].weight
    return model


def twice():
    layer = nn.Linear(5, 5)
    return nn.Sequential(layer, nn.Tanh(), layer)


def with_own_parameter():
    model = nn.Sequential(nn.Linear(5, 5))
    model.register_parameter("scale", nn.Parameter(torch.ones(2)))
    return model


def hooked():
    model = nn.Sequential(nn.Linear(5, 5))
    model[0].register_forward_hook(lambda module, args, output: 2 * output)
    return model


class Doubling(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


NO_MLP = [
    (nn.Sequential(nn.Conv1d(1, 1, 3)), "layer '0' is a Conv1d"),
    (nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5, affine=False)), "layer '1' is a BatchNorm1d"),
    (nn.Sequential(nn.Linear(5, 5), nn.LayerNorm(5)), "layer '1' is a LayerNorm"),
    (nn.Sequential(nn.Linear(5, 5), nn.PReLU()), "layer '1' is a PReLU"),
    (nn.Sequential(nn.Linear(5, 5), nn.Sequential(nn.Dropout(0.5))), "layer '1.0' is a Dropout"),
    (nn.Sequential(Doubling(5, 5)), "layer '0' is a Doubling"),
    (Shared(), "layer 'model' is a Shared"),
    (nn.Sequential(nn.Flatten(0), nn.Linear(5, 5)), r"layer '0' is Flatten\(start_dim=0.*mixes rows"),
    (tied(), r"layer '2' shares a parameter of shape \[5, 5\] with layer '0'"),
    (twice(), "layer '2' shares a parameter"),
    (with_own_parameter(), r"parameter 'scale' of shape \[2\] belongs to no Linear layer"),
    (hooked(), "layer '0' .Linear. has hooks"),
    (nn.utils.parametrizations.weight_norm(nn.Linear(5, 5)), "ParametrizedLinear"),
    (nn.Sequential(nn.ReLU()), "no Linear layer"),
]


@pytest.mark.parametrize(("model", "message"), NO_MLP, ids=range(len(NO_MLP)))
@pytest.mark.parametrize("name", ["no-penalty", "parameter", "spectral-norm"])
def test_error_for_a_module_that_is_no_mlp_names_the_layer(name, model, message):
    x, target = batch(classes=5)
    method = METHODS[name].create()
    with pytest.raises(ValueError, match=message):
        (method.norms if name == "no-penalty" else method)(model.double(), x, target, cross_entropy)


@pytest.mark.parametrize("name", ["input", "input-vmap", "parameter-vmap"])
def test_batch_normalisation_in_training_is_refused_by_every_penalty_of_single_samples(name):
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
    x, target = batch()
    with pytest.raises(ValueError, match="layer '1' is a BatchNorm1d in training mode"):
        METHODS[name].create()(model, x, target, cross_entropy)
    value = METHODS[name].create(weight=1.0)(model.eval(), x, target, cross_entropy)
    at_input, at_parameters = norms_by_loop(model, x, target, cross_entropy)
    expected = at_parameters if name == "parameter-vmap" else at_input
    assert value.item() == pytest.approx(expected.mean().item())


@pytest.mark.parametrize(
    ("x", "target", "loss_fn", "message"),
    [
        (torch.ones(5), torch.zeros(5).long(), cross_entropy, r"x: found shape \[5\]"),
        (torch.ones(0, 5), torch.zeros(0).long(), cross_entropy, r"x: found shape \[0, 5\]"),
        (torch.ones(4, 5), torch.zeros(3).long(), cross_entropy, r"target: found shape \[3\] for x of shape \[4, 5\]"),
        (torch.ones(4, 5), torch.tensor(1), cross_entropy, r"target: found shape \[\]"),
        (torch.ones(4, 5), torch.zeros(4).long(), F.cross_entropy, r"loss_fn: found a loss of shape \[\] for 4 rows"),
        (torch.ones(4, 5), torch.zeros(4, 1), elementwise, r"loss_fn: found a loss of shape \[4, 3\] for 4 rows"),
    ],
)
@pytest.mark.parametrize("name", GRADIENT)
def test_error_for_a_batch_that_does_not_fit_names_argument_and_shape(name, x, target, loss_fn, message):
    if name.endswith("vmap"):  # it computes one row at a time
        message = message.replace(r"\[4, 3\] for 4 rows", r"\[1, 3\] for 1 row").replace("for 4 rows", "for 1 row")
    with pytest.raises(ValueError, match=message):
        METHODS[name].create()(network().float(), x, target, loss_fn)


@pytest.mark.parametrize("shape", [(4, 7, 5), (4, 6)])
def test_rows_of_another_width_and_layers_over_positions_are_errors(shape):
    with pytest.raises(ValueError, match=r"a linear layer would see shape \[4, .*rows of 5 values"):
        gradient_norms(network(), torch.ones(shape).double(), torch.zeros(4).long(), cross_entropy)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", GRADIENT)
def test_error_for_an_input_that_is_not_finite_names_the_row(name, bad):
    model, (x, target) = network(), batch()
    x[2, 3] = bad
    with pytest.raises(FloatingPointError, match=r"x: row 2 of shape \[5\]"):
        value_at(name, model, x, target)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_error_for_a_weight_that_is_not_finite_names_it(name, bad, activation):
    model, (x, target) = network(activation=activation), batch()
    model[2].weight.data[1, 1] = bad
    with pytest.raises(FloatingPointError, match=r"parameter '2.weight' of shape \[6, 7\]"):
        value_at(name, model, x, target)
