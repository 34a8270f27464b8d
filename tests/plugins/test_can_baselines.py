"""The baselines equal independent optimisers and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_run import METHODS
from scipy.optimize import minimize, minimize_scalar


def random_rows(rows=400, classes=4, seed=0, sharp=2.0):
    generator = np.random.default_rng(seed)
    logits = sharp * generator.normal(size=(rows, classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(classes, p=row) for row in p])
    return torch.from_numpy(p), torch.from_numpy(labels)


def test_em_finds_the_prior_with_the_largest_likelihood():
    rows, _ = random_rows()
    train = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)

    def log_loss(logits):
        shares = np.exp(logits) / np.exp(logits).sum()
        return -np.log(rows.numpy() @ (shares / train.numpy())).mean()

    best = minimize(log_loss, np.zeros(4), tol=1e-12, method="BFGS", options={"gtol": 1e-9}).x
    shares = np.exp(best) / np.exp(best).sum()
    expected = rows.numpy() * shares / train.numpy()
    refined = METHODS["em-prior"].create()(rows, train)
    np.testing.assert_allclose(refined.numpy(), expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


def test_em_recovers_a_shifted_prior_from_calibrated_rows():
    """Rows computed for an even prior, labels nine times as often of class 0: the refined mean has that ratio."""
    generator = np.random.default_rng(1)
    labels = generator.choice(2, 20_000, p=[0.9, 0.1])
    signal = generator.normal(loc=2.0 * labels, size=20_000)
    odds = np.exp(2 * signal - 2)
    rows = torch.from_numpy(np.column_stack([1 / (1 + odds), odds / (1 + odds)]))
    refined = METHODS["em-prior"].create()(rows, torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert refined.mean(dim=0)[0].item() == pytest.approx(0.9, abs=0.01)
    true_labels = torch.from_numpy(labels)
    accuracy, accuracy_before = ((p.argmax(dim=1) == true_labels).double().mean() for p in (refined, rows))
    assert accuracy > accuracy_before + 0.03


def test_em_overshoots_on_unsure_probabilities_and_does_not_once_they_are_calibrated():
    """Calibrated rows flattened by a temperature have a nearly even mean, which EM takes for the prior."""
    generator = np.random.default_rng(2)
    priors = np.array([0.35, 0.25, 0.2, 0.2])
    labels = generator.choice(4, 4000, p=priors)
    # Gaussian evidence with unit variance and means one apart: these logits are the true log posterior.
    logits = np.log(priors) + generator.normal(size=(4000, 4)) + np.eye(4)[labels]
    flat = torch.softmax(torch.from_numpy(logits) / 3, dim=1)
    train, true_labels = torch.from_numpy(priors), torch.from_numpy(labels)
    calibrated = METHODS["em-prior-calibrated"].create().fit(flat[:2000], true_labels[:2000], train)
    refined = {
        "plain": METHODS["em-prior"].create()(flat[2000:], train),
        "calibrated": calibrated(flat[2000:], train),
        "none": flat[2000:],
    }
    accuracy = {
        name: (rows.argmax(dim=1) == true_labels[2000:]).double().mean().item() for name, rows in refined.items()
    }
    assert accuracy["plain"] < accuracy["none"] - 0.01
    assert accuracy["calibrated"] > accuracy["none"] - 0.01
    scaled = calibrated.calibration(flat[2000:], train)
    assert torch.equal(refined["calibrated"], METHODS["em-prior"].create()(scaled, train))


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_temperature_equals_that_of_scipy(true_temperature):
    rows, labels = random_rows(rows=1000, sharp=1.5)
    uncalibrated = torch.softmax(rows.log() * true_temperature, dim=1)
    even = torch.full((4,), 0.25, dtype=torch.float64)
    logs = uncalibrated.log().numpy()

    def loss(temperature):
        scaled = logs / temperature
        return np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(1000), labels.numpy()])

    expected = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
    fitted = METHODS["temperature"].create().fit(uncalibrated, labels, even)
    assert fitted.temperature == pytest.approx(expected, rel=1e-4)
    assert expected == pytest.approx(true_temperature, rel=0.15)
    assert torch.equal(fitted(uncalibrated, even).argmax(dim=1), uncalibrated.argmax(dim=1))


def test_temperature_without_fit_changes_nothing():
    rows, _ = random_rows()
    even = torch.full((4,), 0.25, dtype=torch.float64)
    torch.testing.assert_close(METHODS["temperature"].create()(rows, even), rows, rtol=1e-13, atol=0)


def test_temperature_is_finite_with_a_certain_mistake_on_a_validation_row():
    rows, labels = random_rows()
    rows[0] = torch.tensor([1.0, 0, 0, 0])
    labels[0] = 1
    fitted = METHODS["temperature"].create().fit(rows, labels, torch.full((4,), 0.25, dtype=torch.float64))
    assert 1 < fitted.temperature <= 20


def test_logit_adjustment_decides_by_probability_over_prior():
    rows, _ = random_rows()
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    refined = METHODS["logit-adjustment"].create(strength=0.7)(rows, prior)
    expected = (rows.log() - 0.7 * prior.log()).numpy()
    np.testing.assert_array_equal(refined.argmax(dim=1).numpy(), expected.argmax(axis=1))
    unadjusted = METHODS["logit-adjustment"].create(strength=0.0)(rows, prior)
    torch.testing.assert_close(unadjusted, rows)


def test_can_converges_to_reweighting_with_many_sure_rows():
    rows, _ = random_rows(rows=300, sharp=3.0)
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    unsure = torch.full((1, 4), 0.25, dtype=torch.float64) + torch.tensor([[0.02, -0.02, 0.01, -0.01]]).double()
    gaps = []
    for times in (1, 10, 100):
        inputs = torch.cat([rows.repeat(times, 1), unsure])
        can, fixed = (METHODS[name].create()(inputs, prior)[-1] for name in ("can", "prior-reweighting"))
        gaps.append((can - fixed).abs().max().item())
    assert gaps[0] > 1e-4
    assert gaps[1] == pytest.approx(gaps[0] / 10, rel=0.05)
    assert gaps[2] == pytest.approx(gaps[0] / 100, rel=0.05)


def test_reweighting_uses_the_factor_of_can_for_a_class_that_no_sure_row_has():
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.4, 0.3, 0.3]], dtype=torch.float64)
    prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    refined = METHODS["prior-reweighting"].create()(rows, prior)[1]
    expected = np.array([0.4 * 0.2 / 1.0, 0.3, 0.5])
    np.testing.assert_allclose(refined.numpy(), expected / expected.sum(), rtol=1e-14)


def test_none_returns_the_same_tensor():
    rows, _ = random_rows()
    assert METHODS["none"].create()(rows, torch.full((4,), 0.25, dtype=torch.float64)) is rows
