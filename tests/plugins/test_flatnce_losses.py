"""The losses against double loops over the definition, against each other, and against mpmath at the extremes."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from plugin_run import METHODS

from harness_plugins import flatnce
from harness_plugins.flatnce.losses import FlatNCE, InfoNCE, NaiveInfoNCE, log_odds

LOSSES = sorted(method.name for method in flatnce.harness_methods())
#: The methods whose gradient is a weight times that of log xi: all but dclw.
COUPLED = [name for name in LOSSES if name != "dclw"]
INFONCE = ["infonce", "infonce-dense", "infonce-naive", "infonce-cross-entropy", "infonce-float64"]
TEMPERATURE = 0.3


def views(pairs=5, dimension=7, dtype=torch.float64, seed=0):
    drawn = torch.randn(2, pairs, dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return [view.to(dtype).requires_grad_() for view in drawn]


def brute_force_log_xi(view_a, view_b, temperature, negatives):
    """log xi of every anchor by the definition, one cosine at a time."""
    count, rows = len(view_a), [*view_a.tolist(), *view_b.tolist()]

    def score(i, j):
        dot = math.fsum(x * y for x, y in zip(rows[i], rows[j], strict=True))
        return dot / math.hypot(*rows[i]) / math.hypot(*rows[j]) / temperature

    log_xi = []
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        opposite = [j for j in range(2 * count) if (j < count) != (i < count)]
        others = range(2 * count) if negatives == "all" else opposite
        odds = math.fsum(math.exp(score(i, j) - score(i, partner)) for j in others if j not in (i, partner))
        log_xi.append(math.log(odds))
    return log_xi


@pytest.mark.parametrize("negatives", ["all", "cross"])
@pytest.mark.parametrize("name", INFONCE)
def test_infonce_in_every_form_is_the_double_loop(name, negatives):
    view_a, view_b = views()
    expected = [math.log1p(math.exp(v)) for v in brute_force_log_xi(view_a, view_b, TEMPERATURE, negatives)]
    loss = METHODS[name].create(temperature=TEMPERATURE, negatives=negatives)
    assert loss(view_a, view_b).item() == pytest.approx(math.fsum(expected) / len(expected), rel=1e-13)


@pytest.mark.parametrize("negatives", ["all", "cross"])
@pytest.mark.parametrize("name", ["flatnce", "flatnce-dense", "dcl"])
def test_log_xi_and_dcl_are_the_double_loop(name, negatives):
    view_a, view_b = views()
    expected = brute_force_log_xi(view_a, view_b, TEMPERATURE, negatives)
    loss = METHODS[name].create(temperature=TEMPERATURE, negatives=negatives)
    assert loss(view_a, view_b).item() == pytest.approx(math.fsum(expected) / len(expected), rel=1e-13)


def test_weighted_dcl_is_the_published_formula():
    view_a, view_b = views()
    sigma = 0.4
    log_xi = brute_force_log_xi(view_a, view_b, TEMPERATURE, "all")
    cosine = torch.cosine_similarity(view_a, view_b).tolist() * 2
    mean = math.fsum(math.exp(c / sigma) for c in cosine) / len(cosine)
    weight = [2 - math.exp(c / sigma) / mean for c in cosine]
    expected = [-w * c / TEMPERATURE + (v + c / TEMPERATURE) for w, c, v in zip(weight, cosine, log_xi, strict=True)]
    loss = METHODS["dclw"].create(temperature=TEMPERATURE, sigma=sigma)
    assert loss(view_a, view_b).item() == pytest.approx(math.fsum(expected) / len(expected), rel=1e-12)


def test_published_stop_gradient_form_is_always_one():
    view_a, view_b = views()
    assert METHODS["flatnce-detach"].create(temperature=0.05)(view_a, view_b).item() == 1.0


def gradient(name, negatives, dtype=torch.float64):
    view_a, view_b = views(dtype=dtype)
    METHODS[name].create(temperature=TEMPERATURE, negatives=negatives)(view_a, view_b).backward()
    return torch.cat([view_a.grad, view_b.grad])


@pytest.mark.parametrize("negatives", ["all", "cross"])
@pytest.mark.parametrize("name", ["flatnce-detach", "dcl", "infonce-anchor-rescaled"])
def test_these_losses_have_exactly_the_gradient_of_log_xi(name, negatives):
    torch.testing.assert_close(gradient(name, negatives), gradient("flatnce", negatives), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("negatives", ["all", "cross"])
def test_infonce_gradient_is_that_of_log_xi_weighted_anchor_by_anchor(negatives):
    view_a, view_b = views()
    loss = FlatNCE(TEMPERATURE, negatives)
    log_xi = log_odds(*loss.scores(view_a, view_b))
    xi = log_xi.detach().exp()
    (xi / (1 + xi) * log_xi).mean().backward()
    torch.testing.assert_close(
        torch.cat([view_a.grad, view_b.grad]), gradient("infonce", negatives), rtol=1e-12, atol=1e-14
    )


def test_batch_rescaled_control_is_infonce_in_direction_with_a_mean_weight_of_one():
    ordinary, rescaled = gradient("infonce", "all"), gradient("infonce-batch-rescaled", "all")
    ratio = rescaled / ordinary
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-10, atol=0)
    log_xi = torch.tensor([-3.0, 0.0, 2.0], dtype=torch.float64)
    weight = METHODS["infonce-batch-rescaled"].create().weight(log_xi)
    assert weight.mean().item() == pytest.approx(1)


@pytest.mark.parametrize("name", COUPLED)
def test_weight_and_value_in_closed_form_are_what_autograd_finds(name):
    generator = torch.Generator().manual_seed(1)
    positive = (3 * torch.randn(50, generator=generator, dtype=torch.float64)).requires_grad_()
    negatives = (3 * torch.randn(50, 6, generator=generator, dtype=torch.float64)).requires_grad_()
    loss = METHODS[name].create()
    losses = loss.from_scores(positive, negatives)
    log_xi = log_odds(positive, negatives).detach()
    at_positive, at_negatives = torch.autograd.grad(losses.sum(), (positive, negatives))
    torch.testing.assert_close(losses.detach(), loss.value(log_xi), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(at_positive, -loss.weight(log_xi), rtol=1e-9, atol=0)
    share = torch.softmax(negatives.detach(), dim=1)
    torch.testing.assert_close(at_negatives, loss.weight(log_xi)[:, None] * share, rtol=1e-9, atol=0)


@pytest.mark.parametrize("log_xi", [-700.0, -100.0, -40.0, -1.0, 0.0, 19.9, 20.1, 40.0, 700.0])
def test_infonce_keeps_value_and_gradient_at_the_extremes(log_xi):
    with mpmath.workdps(400):
        xi = mpmath.exp(log_xi)
        value, weight = float(mpmath.log(1 + xi)), float(xi / (1 + xi))
    positive = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    loss = InfoNCE().from_scores(positive, torch.tensor([[log_xi]], dtype=torch.float64))
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-14)
    assert -positive.grad.item() == pytest.approx(weight, rel=1e-14)


def test_naive_form_loses_the_value_that_the_stable_one_keeps():
    positive, negatives = torch.tensor([20.0]), torch.tensor([[0.0]])
    assert NaiveInfoNCE().from_scores(positive, negatives).item() == 0
    assert InfoNCE().from_scores(positive, negatives).item() == pytest.approx(math.exp(-20), rel=1e-5)


def test_infonce_is_never_above_xi():
    log_xi = torch.linspace(-30, 30, 601, dtype=torch.float64)
    assert (InfoNCE().value(log_xi) <= log_xi.exp()).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", LOSSES)
def test_every_method_trains_in_every_precision_and_keeps_the_dtype(name, dtype):
    view_a, view_b = views(8, 16, dtype)
    loss = METHODS[name].create()(view_a, view_b)
    loss.backward()
    assert loss.dtype == view_a.grad.dtype == dtype
    assert loss.dim() == 0
    assert loss.isfinite()
    exact_a, exact_b = views(8, 16, dtype)
    exact_a, exact_b = (v.detach().double().requires_grad_() for v in (exact_a, exact_b))
    METHODS[name].create()(exact_a, exact_b).backward()
    error = (view_a.grad.double() - exact_a.grad).norm() / exact_a.grad.norm()
    assert error < 20 * torch.finfo(dtype).eps


def test_float64_method_rounds_only_its_result():
    view_a, view_b = views(8, 16, torch.float16)
    raised = [view.detach().double().requires_grad_() for view in (view_a, view_b)]
    loss, exact = METHODS["infonce-float64"].create(temperature=0.05)(view_a, view_b), InfoNCE(0.05)(*raised)
    assert loss.item() == exact.half().item()
    loss.backward()
    exact.backward()
    assert torch.equal(view_a.grad, raised[0].grad.half())


def test_float64_method_converts_scores_too():
    drawn = 3 * torch.randn(64, 9, generator=torch.Generator().manual_seed(0)).half()
    exact = InfoNCE().from_scores(drawn[:, 0].double(), drawn[:, 1:].double())
    assert torch.equal(METHODS["infonce-float64"].create().from_scores(drawn[:, 0], drawn[:, 1:]), exact.half())


@pytest.mark.parametrize("name", LOSSES)
def test_length_of_the_rows_does_not_matter_and_a_row_of_zeros_gives_no_nan(name):
    view_a, view_b = views(dtype=torch.float16)
    loss = METHODS[name].create()
    assert loss(4 * view_a, view_b / 2).item() == pytest.approx(loss(view_a, view_b).item(), rel=1e-2)
    with torch.no_grad():
        view_a[0] = 0
    assert loss(view_a, view_b).isfinite()


@pytest.mark.parametrize("negatives", ["all", "cross"])
@pytest.mark.parametrize(
    ("shape_a", "shape_b", "message"),
    [
        ((1, 4), (1, 4), r"\[1, 4\].*no negatives"),
        ((3, 4), (2, 4), r"\[3, 4\] and \[2, 4\]"),
        ((3, 4), (3, 5), r"\[3, 4\] and \[3, 5\]"),
        ((3,), (3,), r"\[3\] and \[3\]"),
    ],
)
def test_error_for_wrong_shapes_names_them(shape_a, shape_b, message, negatives):
    loss = METHODS["infonce"].create(negatives=negatives)
    with pytest.raises(ValueError, match=message):
        loss(torch.ones(shape_a), torch.ones(shape_b))


def test_unknown_choice_of_negatives_is_an_error():
    with pytest.raises(ValueError, match=r"'some'.*'all' or 'cross'"):
        InfoNCE(negatives="some")


def test_weighted_dcl_has_no_weight_on_log_xi():
    with pytest.raises(ValueError, match="dclw"):
        METHODS["dclw"].create().weight(torch.zeros(3))
