"""CoSENT's loss from sorted labels against the double sum of its definition, in its corners and at its extremes."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from harness_plugins.cosent.ranking import WIDEST, ranking_loss

SCALE = 20.0


def drawn(count, levels=None, seed=0, reach=1.0, dtype=torch.float64):
    """Scores, and labels of so many levels, or all different."""
    generator = torch.Generator().manual_seed(seed)
    score = reach * (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1)
    label = torch.rand(count, generator=generator, dtype=torch.float64)
    return score.to(dtype).requires_grad_(), label if levels is None else (label * levels).floor()


def double_sum(score, label, scale=SCALE):
    """Value and gradient by the definition, term by term in 60 digits."""
    scores, labels = score.tolist(), label.tolist()
    with mpmath.workdps(60):
        total, slope = mpmath.mpf(0), [mpmath.mpf(0)] * len(scores)
        for i in range(len(scores)):
            for j in range(len(scores)):
                if labels[i] > labels[j]:
                    term = mpmath.exp(mpmath.mpf(scale) * (mpmath.mpf(scores[j]) - mpmath.mpf(scores[i])))
                    total += term
                    slope[j] += scale * term
                    slope[i] -= scale * term
        return float(mpmath.log1p(total)), [float(s / (1 + total)) for s in slope]


def compare(score, label, scale=SCALE, rel=1e-13):
    value, slope = double_sum(score.detach(), label, scale)
    loss = ranking_loss(score, label, scale)
    (gradient,) = torch.autograd.grad(loss, score)
    assert loss.item() == pytest.approx(value, rel=rel, abs=0)
    size = max(map(abs, slope))
    assert gradient.tolist() == pytest.approx(slope, rel=rel, abs=rel * size)


@pytest.mark.parametrize("levels", [2, 3, 6, None])
@pytest.mark.parametrize("count", [2, 3, 31, 64])
def test_value_and_gradient_are_the_double_sum(count, levels):
    compare(*drawn(count, levels, seed=count))


@pytest.mark.parametrize("reach", [1e-6, 14.0, 16.0, 300.0])
@pytest.mark.parametrize("levels", [2, 6, None])
def test_any_range_of_scores_is_the_double_sum(reach, levels):
    # scale * range is 40 reach: 14 lies just inside what exponentials can hold, 16 just outside.
    assert 40 * 14.0 < WIDEST < 40 * 16.0
    compare(*drawn(24, levels, reach=reach), rel=1e-11)


def test_largest_range_of_exponentials_is_right_at_both_ends():
    # One pair in the wrong order at the full range, then one in the right order, whose loss is exp(-WIDEST).
    for label in ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0]):
        score = torch.tensor([WIDEST / SCALE, WIDEST / SCALE / 2, 0.0], dtype=torch.float64, requires_grad=True)
        compare(score, torch.tensor(label), rel=1e-12)


def test_tiny_loss_is_not_rounded_to_zero():
    score = torch.tensor([0.9, 0.1, -0.30859], requires_grad=True)
    label = torch.tensor([2.0, 0.0, 0.0])
    value, slope = double_sum(score.detach(), label)
    assert value == pytest.approx(1e-7, rel=0.2)
    easy = torch.tensor([1.0, -0.21, -0.3], requires_grad=True)
    tiny, tiny_slope = double_sum(easy.detach(), label)
    assert 1e-11 < tiny < 1e-10
    for scores, expected, expected_slope in ((score, value, slope), (easy, tiny, tiny_slope)):
        loss = ranking_loss(scores, label)
        loss.backward()
        assert loss.item() == pytest.approx(expected, rel=1e-6)
        assert scores.grad.tolist() == pytest.approx(expected_slope, rel=1e-6)


@pytest.mark.parametrize("levels", [2, 5, None])
def test_float32_gradient_is_right_to_its_last_digits(levels):
    score, label = drawn(4096, levels, dtype=torch.float32)
    exact = score.detach().double().requires_grad_()
    ranking_loss(score, label).backward()
    ranking_loss(exact, label).backward()
    assert (score.grad.double() - exact.grad).norm() < 1e-7 * exact.grad.norm()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_are_rounded_once(dtype):
    score, label = drawn(64, 4, dtype=dtype)
    exact = score.detach().double().requires_grad_()
    loss, expected = ranking_loss(score, label), ranking_loss(exact, label)
    loss.backward()
    expected.backward()
    assert loss.dtype == score.grad.dtype == dtype
    assert loss.item() == expected.to(dtype).item()
    assert torch.equal(score.grad, exact.grad.float().to(dtype))


def test_gradient_scaler_saves_what_half_precision_would_lose():
    score = torch.tensor([0.5, -0.5, -0.4], dtype=torch.float16, requires_grad=True)
    label = torch.tensor([1, 0, 0])
    (ranking_loss(score, label, scale=21.0).float() * 2.0**15).backward()
    _, slope = double_sum(score.detach(), label, scale=21.0)
    assert torch.tensor(slope, dtype=torch.float16).count_nonzero() < 3
    assert (score.grad.double() / 2.0**15).tolist() == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("levels", [2, 6, None])
def test_only_the_order_of_the_labels_counts(levels):
    score, label = drawn(200, levels)
    value = ranking_loss(score, label)
    (gradient,) = torch.autograd.grad(value, score)
    ranks = torch.unique(label, return_inverse=True)[1]
    for other in (ranks, 7 * ranks - 1000, label.exp(), label**3, ranks.float(), ranks.double() * 1e300, ranks.half()):
        again = ranking_loss(score, other)
        assert again.item() == value.item()
        assert torch.equal(torch.autograd.grad(again, score)[0], gradient)


def test_infinite_labels_are_labels_too():
    score, _ = drawn(5)
    ordered = ranking_loss(score, torch.tensor([0, 1, 1, 2, 3]))
    assert torch.equal(ranking_loss(score, torch.tensor([-math.inf, 1, 1, 4, math.inf])), ordered)


def test_binary_labels_may_be_booleans():
    score, label = drawn(50, 2)
    assert torch.equal(ranking_loss(score, label.bool()), ranking_loss(score, label))


@pytest.mark.parametrize("levels", [2, 6, None])
def test_order_of_the_rows_does_not_matter(levels):
    score, label = drawn(100, levels)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    shuffled = score.detach()[order].requires_grad_()
    value, again = ranking_loss(score, label), ranking_loss(shuffled, label[order])
    value.backward()
    again.backward()
    assert again.item() == pytest.approx(value.item(), rel=1e-14)
    torch.testing.assert_close(shuffled.grad, score.grad[order], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_loss_is_zero_without_ordered_pairs(count):
    score, _ = drawn(count)
    value = ranking_loss(score, torch.ones(count))
    value.backward()
    assert value.item() == 0
    assert torch.equal(score.grad, torch.zeros(count, dtype=torch.float64))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_score_that_is_not_finite_makes_everything_nan(bad, levels):
    score, label = drawn(10, levels)
    with torch.no_grad():
        score[3] = bad
    value = ranking_loss(score, label)
    value.backward()
    assert value.isnan()
    assert score.grad.isnan().all()


def test_incoming_gradient_is_passed_on():
    score, label = drawn(20, 3)
    (plain,) = torch.autograd.grad(ranking_loss(score, label), score)
    (scaled,) = torch.autograd.grad(3 * ranking_loss(score, label), score)
    torch.testing.assert_close(scaled, 3 * plain)


def test_scores_are_not_changed_and_a_value_alone_needs_no_gradient():
    score, label = drawn(20, 3)
    before = score.detach().clone()
    with torch.no_grad():
        value = ranking_loss(score, label)
    assert not value.requires_grad
    assert value.item() == ranking_loss(score, label).item()
    assert torch.equal(score.detach(), before)


def test_second_derivative_is_an_error():
    score, label = drawn(10, 3)
    with pytest.raises(RuntimeError, match="create_graph"):
        torch.autograd.grad(ranking_loss(score, label), score, create_graph=True)


def test_batch_whose_pairs_would_not_fit_into_memory_is_computed():
    score, label = drawn(400_000, None, dtype=torch.float32)
    value = ranking_loss(score, label)
    value.backward()
    # Half of all 1.6e11 ordered pairs have exp(20 (c_j - c_i)), of mean (sinh(20) / 20)^2, c even on -1 to 1.
    expected = math.log(400_000**2 / 2) + 2 * math.log(math.sinh(20) / 20)
    assert value.item() == pytest.approx(expected, rel=1e-3)
    assert score.grad.double().sum().abs() < 1e-4


@pytest.mark.parametrize(
    ("score", "label", "message"),
    [
        (torch.ones(3), torch.ones(2), r"\[3\] and label \[2\]"),
        (torch.ones(3, 1), torch.ones(3, 1), r"\[3, 1\]"),
        (torch.ones(3, dtype=torch.long), torch.ones(3), r"int64"),
        (torch.ones(3), torch.ones(3, dtype=torch.complex64), r"complex64"),
        (torch.ones(3), torch.tensor([0.0, 1.0, math.nan]), r"label \[3\]: row 2 is NaN"),
    ],
)
def test_wrong_input_is_an_error_that_says_what_was_found(score, label, message):
    with pytest.raises(ValueError, match=message):
        ranking_loss(score, label)


def test_scale_must_be_positive():
    with pytest.raises(ValueError, match=r"scale = 0\.0"):
        ranking_loss(torch.ones(2), torch.ones(2), scale=0.0)
