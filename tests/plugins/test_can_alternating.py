"""Refining all unsure rows at once equals the published loop, numpy, and exact arithmetic."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin_run import METHODS

from harness.errors import UsageError
from harness_plugins.can import alternating
from harness_plugins.can.refiners import Can, LoopCan


def published_formula(sure, row, prior, alpha, iterations):
    """The article's algorithm for one row, in numpy, written from its three formulas."""
    stacked = np.vstack([sure, row])
    for _ in range(iterations):
        stacked = stacked**alpha
        stacked = stacked / stacked.mean(axis=0) * prior
        stacked = stacked / stacked.sum(axis=1, keepdims=True)
    return stacked[-1]


def random_rows(seed, sure, unsure, classes, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(sure + unsure, classes, generator=generator, dtype=torch.float64)
    logits[:sure] *= spread
    prior = 0.2 + torch.rand(classes, generator=generator, dtype=torch.float64)
    rows = torch.softmax(logits, dim=1)
    return rows[:sure], rows[sure:], prior / prior.sum()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    sure=st.integers(1, 12),
    unsure=st.integers(1, 9),
    classes=st.integers(2, 8),
    alpha=st.floats(0.1, 3.0),
    iterations=st.integers(1, 5),
)
def test_refining_all_at_once_equals_the_published_formula(seed, sure, unsure, classes, alpha, iterations):
    sure_rows, unsure_rows, prior = random_rows(seed, sure, unsure, classes)
    expected = [
        published_formula(sure_rows.numpy(), row.numpy(), prior.numpy(), alpha, iterations) for row in unsure_rows
    ]
    # Each step multiplies relative errors by alpha.
    rounding = 1e-13 * max(1.0, alpha) ** iterations
    for refine in (alternating.refine_by_factors, alternating.refine_by_loop):
        refined = refine(sure_rows, unsure_rows, prior, alpha, iterations)
        np.testing.assert_allclose(refined.numpy(), expected, rtol=10 * rounding, atol=rounding)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    tau=st.sampled_from([0.0, 0.3, 0.7, 0.9, 1.0]),
    k=st.integers(2, 6),
    alpha=st.sampled_from([0.5, 1.0, 2.0]),
    iterations=st.integers(1, 3),
    ties=st.booleans(),
    entropy=st.sampled_from(["renormalised", "plain"]),
)
def test_can_equals_the_loop_for_every_split_into_sure_and_unsure_rows(seed, tau, k, alpha, iterations, ties, entropy):
    sure_rows, unsure_rows, prior = random_rows(seed, 15, 10, 5)
    rows = torch.cat([sure_rows, unsure_rows])
    if ties:
        # Multiples of a quarter: exact ties within rows and between them, and zeros.
        generator = torch.Generator().manual_seed(seed)
        counts = torch.zeros(25, 5, dtype=torch.float64)
        rows = counts.scatter_add_(
            1, torch.randint(5, (25, 4), generator=generator), torch.full((25, 4), 0.25).double()
        )
    options = {"k": k, "tau": tau, "alpha": alpha, "iterations": iterations, "entropy": entropy}
    # One row is sure for every threshold except 0, which makes every row unsure.
    if tau > 0:
        rows[7] = torch.eye(5, dtype=torch.float64)[0]
    else:
        with pytest.raises(UsageError, match="none has an entropy below tau = 0"):
            Can(**options)(rows, prior)
        return
    torch.testing.assert_close(Can(**options)(rows, prior), LoopCan(**options)(rows, prior), rtol=1e-11, atol=1e-13)


def test_without_unsure_rows_nothing_changes():
    rows = torch.eye(4, dtype=torch.float64)
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    for name in ("can", "can-loop", "can-batch", "can-official", "prior-reweighting"):
        assert torch.equal(METHODS[name].create()(rows, prior), rows), name


def exact(sure, row, prior, alpha, iterations):
    """The same formulas with 60 digits and an unlimited exponent range."""
    with mpmath.workdps(60):
        stacked = [[mpmath.mpf(p) for p in r] for r in [*sure.tolist(), row.tolist()]]
        shares = [mpmath.mpf(p) for p in prior.tolist()]
        for _ in range(iterations):
            stacked = [[p ** mpmath.mpf(alpha) for p in r] for r in stacked]
            sums = [mpmath.fsum(column) for column in zip(*stacked, strict=True)]
            stacked = [[p / s * q if s else p for p, s, q in zip(r, sums, shares, strict=True)] for r in stacked]
            stacked = [[p / mpmath.fsum(r) for p in r] for r in stacked]
        return [float(p) for p in stacked[-1]]


@pytest.mark.parametrize(("alpha", "iterations"), [(2.0, 5), (5.0, 4), (9.0, 3), (30.0, 2), (100.0, 1), (0.05, 3)])
@pytest.mark.parametrize("spread", [1.0, 20.0, 150.0])
def test_rows_are_refined_correctly_when_powers_leave_the_range_of_float64(alpha, iterations, spread):
    sure_rows, unsure_rows, prior = random_rows(3, 6, 5, 4, spread)
    expected = [exact(sure_rows, row, prior, alpha, iterations) for row in unsure_rows]
    refined = alternating.refine_by_factors(sure_rows, unsure_rows, prior, alpha, iterations)
    # A probability's relative rounding error is multiplied by the powers it is raised to.
    rounding = 1e-15 * max(1.0, alpha) ** iterations
    torch.testing.assert_close(refined, torch.tensor(expected, dtype=torch.float64), rtol=100 * rounding, atol=rounding)


@pytest.mark.parametrize(("alpha", "iterations"), [(1.0, 4), (2.0, 4), (5.0, 3)])
@pytest.mark.parametrize("faint", [1e-30, 1e-60, 1e-150])
def test_class_that_is_faint_in_all_rows_is_not_lost(alpha, iterations, faint, monkeypatch):
    """The first step raises it to the prior's share; its powers alone would be rounded to zero."""
    calls = []
    slow = alternating.refine_by_logarithms
    monkeypatch.setattr(alternating, "refine_by_logarithms", lambda *a: calls.append(1) or slow(*a))
    sure_rows, unsure_rows, prior = random_rows(3, 6, 5, 4)
    sure_rows, unsure_rows = sure_rows.clone(), unsure_rows.clone()
    sure_rows[:, 0] *= faint
    unsure_rows[:, 0] *= faint
    refined = alternating.refine_by_factors(sure_rows, unsure_rows, prior, alpha, iterations)
    expected = torch.tensor(
        [exact(sure_rows, row, prior, alpha, iterations) for row in unsure_rows], dtype=torch.float64
    )
    torch.testing.assert_close(refined, expected, rtol=1e-13 * alpha**iterations, atol=1e-300)
    assert bool(calls) == (faint ** (alpha**iterations) < 1e-280)


@pytest.mark.parametrize("faint", [1e-60, 1e-80, 1e-100, 1e-120, 1e-150, 1e-200])
def test_class_that_only_the_row_itself_has_is_not_lost_even_if_it_is_faint(faint):
    """Its column has no other entry, so one step raises it to the prior's share, whatever its power."""
    sure_rows, unsure_rows, prior = random_rows(5, 6, 5, 4)
    sure_rows, unsure_rows = sure_rows.clone(), unsure_rows.clone()
    sure_rows[:, 2] = 0
    unsure_rows[:, 2] *= faint
    refined = alternating.refine_by_factors(sure_rows, unsure_rows, prior, 2.0, 2)
    expected = torch.tensor([exact(sure_rows, row, prior, 2.0, 2) for row in unsure_rows], dtype=torch.float64)
    torch.testing.assert_close(refined, expected, rtol=1e-12, atol=0)
    assert (refined[:, 2] > 0.01).all()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    alpha=st.sampled_from([0.1, 0.5, 1.0, 1.1, 1.5, 2.0, 3.0, 5.0, 30.0]),
    iterations=st.integers(1, 4),
)
def test_rows_with_entries_of_any_size_are_refined_correctly(seed, alpha, iterations):
    """Zeros, faint entries and faint classes: either the factors are exact or the fallback recomputes the row."""
    generator = np.random.default_rng(seed)
    sure, classes = generator.integers(1, 6), generator.integers(2, 6)
    rows = generator.dirichlet([generator.choice([0.05, 0.3, 1])] * classes, size=sure + 2)
    rows *= 10.0 ** -(
        generator.choice([0, 3, 100]) * generator.random(rows.shape) * generator.integers(0, 2, rows.shape)
    )
    rows *= 10.0 ** -(generator.choice([0, 30, 150]) * generator.random(classes) * generator.integers(0, 2, classes))
    rows[generator.random(rows.shape) < generator.choice([0, 0.2])] = 0
    sums = rows.sum(axis=1, keepdims=True)
    rows = torch.from_numpy(np.where(sums > 0, rows / np.where(sums > 0, sums, 1), 1 / classes))
    prior = torch.from_numpy(generator.dirichlet([3] * classes))
    refined = alternating.refine_by_factors(rows[:sure], rows[sure:], prior, alpha, iterations)
    expected = [exact(rows[:sure], row, prior, alpha, iterations) for row in rows[sure:]]
    rounding = 1e-13 * max(1.0, alpha) ** iterations
    np.testing.assert_allclose(refined.numpy(), expected, rtol=0, atol=rounding)


def test_lost_power_that_dominates_a_sure_rows_sum_is_detected():
    """1e-3 to the 100th is below 1e-290 and lost, yet in a column of 2e-3 it outweighs the row's other entries."""
    flat = [[0.333, 0.333, 0.333, 1e-3]]
    peaked = (0.994 * torch.eye(4, dtype=torch.float64)[:3] + 0.002).tolist()
    sure = torch.tensor([*flat, *peaked], dtype=torch.float64)
    first, second = (alternating._Power.of(sure, exponent) for exponent in (100, 110))
    row = torch.tensor([[0.3, 0.3, 0.4, 0.0]], dtype=torch.float64)
    assert first.lost.sum() == 1
    # The second power has no losses here, so only those of the first can be detected.
    powers = [first, replace(second, lost=None)]
    _, is_exact = alternating._scale(powers, row, torch.full((4,), 0.25, dtype=torch.float64), 1.1)
    assert not is_exact.any()


@pytest.mark.parametrize(
    ("rarest", "alpha", "overflow"),
    [(1e-280, 1.0, "the sum that a sure row is divided by"), (1e-268, 1.1, "the power of its scale")],
)
def test_scale_that_leaves_the_range_of_float64_is_detected(rarest, alpha, overflow):
    """A sure row has the rarest class alone: its scale is the inverse of that class's tiny prior."""
    sure = torch.eye(3, dtype=torch.float64)
    prior = torch.tensor([rarest, 0.5, 0.5], dtype=torch.float64)
    row = torch.tensor([[0.3, 0.3, 0.4]], dtype=torch.float64)
    powers = [alternating._Power.of(sure, alpha**step) for step in (1, 2)]
    assert not alternating._scale(powers, row, prior, alpha)[1].any(), overflow
    moderate = torch.tensor([0.2, 0.4, 0.4], dtype=torch.float64)
    assert alternating._scale(powers, row, moderate, alpha)[1].all()


def test_rows_are_not_recomputed_where_losses_are_negligible(monkeypatch):
    monkeypatch.delattr(alternating, "refine_by_logarithms")
    for spread, alpha, iterations in ((2.0, 2.0, 3), (150.0, 1.0, 5), (150.0, 5.0, 4)):
        sure_rows, unsure_rows, prior = random_rows(0, 20, 6, 5, spread)
        alternating.refine_by_factors(sure_rows, unsure_rows, prior, alpha, iterations)


def test_class_that_only_the_row_itself_has_gets_the_priors_share():
    """Its column has one entry, which divided by the column's sum is one: no special case of the formula."""
    sure_rows = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    unsure_rows = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    expected = np.array([0.2 * 0.5 / 1.5, 0.3, 0.5])
    refined = alternating.refine_by_factors(sure_rows, unsure_rows, prior, 1.0, 1)
    np.testing.assert_allclose(refined[0].numpy(), expected / expected.sum(), rtol=1e-14)


def test_class_that_no_row_has_stays_at_zero():
    sure_rows = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], dtype=torch.float64)
    unsure_rows = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    for refine in (alternating.refine_by_factors, alternating.refine_by_loop):
        refined = refine(sure_rows, unsure_rows, prior, 1.0, 3)
        assert refined[0, 2] == 0
        assert refined.sum().item() == pytest.approx(1)
    slow = alternating.refine_by_logarithms(sure_rows, unsure_rows[0], prior, 1.0, 3)
    torch.testing.assert_close(slow, refined[0])


@pytest.mark.parametrize("iterations", [1, 3])
def test_results_do_not_depend_on_the_chunks(iterations, monkeypatch):
    sure_rows, unsure_rows, prior = random_rows(1, 40, 23, 6)
    in_one_chunk = alternating.refine_by_factors(sure_rows, unsure_rows, prior, 1.0, iterations)
    monkeypatch.setattr(alternating, "CHUNK_BYTES_ON_CPU", 8 * 64 * 5)
    torch.testing.assert_close(
        alternating.refine_by_factors(sure_rows, unsure_rows, prior, 1.0, iterations), in_one_chunk, rtol=1e-13, atol=0
    )


def test_gradient_equals_that_of_the_loop():
    sure_rows, unsure_rows, prior = random_rows(2, 8, 4, 5)
    rows = torch.cat([sure_rows, unsure_rows])
    weights = torch.arange(60, dtype=torch.float64).reshape(12, 5).sin()
    gradients = []
    for refiner in (Can(tau=0.7, iterations=3, alpha=1.5), LoopCan(tau=0.7, iterations=3, alpha=1.5)):
        inputs = rows.clone().requires_grad_()
        (refiner(inputs, prior) * weights).sum().backward()
        gradients.append(inputs.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-12)
    assert (gradients[0] != weights).any()
