"""The refiners as users call them: the rows they change, the rules they follow, and their errors for bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugin_run import METHODS

from harness.errors import UsageError
from harness_plugins.can import refiners
from harness_plugins.can.uncertainty import any_top_entropy, top_entropy

NAMES = sorted(name for name, method in METHODS.items() if method.role == "probability-refiner")
#: Refiners that do not change sure rows.
SPLITTING = ["can", "can-loop", "can-batch", "can-tuned", "prior-reweighting"]


def predictions(rows=60, classes=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    logits[: rows // 2] *= 6
    shuffled = logits[torch.randperm(rows, generator=generator)]
    prior = 0.5 + torch.rand(classes, generator=generator, dtype=torch.float64)
    return torch.softmax(shuffled, dim=1).to(dtype), (prior / prior.sum()).to(dtype)


def entropy_by_hand(row, k):
    top = sorted(row, reverse=True)[:k]
    total = math.fsum(top)
    return -math.fsum(p / total * math.log(p / total) for p in top if p > 0) / math.log(len(top))


def test_entropies_equal_their_definitions():
    rows, _ = predictions()
    rows[3] = torch.eye(6, dtype=torch.float64)[2]
    for k in (2, 3, 6, 9):
        expected = [entropy_by_hand(row, k) for row in rows.tolist()]
        np.testing.assert_allclose(top_entropy(rows, k).numpy(), expected, atol=1e-14)
    plain = [-math.fsum(p * math.log(p) for p in sorted(row)[-3:] if p) / math.log(6) for row in rows.tolist()]
    np.testing.assert_allclose(top_entropy(rows, 3, "plain").numpy(), plain, atol=1e-14)
    widest = [max(entropy_by_hand(row, k) for k in range(2, 7)) for row in rows.tolist()]
    np.testing.assert_allclose(any_top_entropy(rows).numpy(), widest, atol=1e-13)


def test_row_at_the_threshold_is_unsure():
    rows = torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.05, 0.05]], dtype=torch.float64)
    tau = top_entropy(rows, 3)[0].item()
    even = torch.full((3,), 1 / 3, dtype=torch.float64)
    assert not torch.equal(METHODS["can"].create(tau=tau)(rows, even)[0], rows[0])
    above = math.nextafter(tau, 1)
    assert torch.equal(METHODS["can"].create(tau=above)(rows, even), rows)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_every_refiner_preserves_shape_dtype_and_order_and_returns_probabilities(name, dtype):
    rows, prior = predictions(dtype=dtype)
    refined = METHODS[name].create()(rows, prior)
    assert refined.shape == rows.shape
    assert refined.dtype == dtype
    assert (refined >= 0).all()
    # The authors' code adds 1e-10 to sums far below one.
    slack = 8 * torch.finfo(dtype).eps + 1e-7
    torch.testing.assert_close(refined.double().sum(dim=1), torch.ones(60).double(), rtol=0, atol=slack)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(METHODS[name].create()(rows[order], prior), refined[order], rtol=1e-2, atol=slack)


@pytest.mark.parametrize("name", NAMES)
def test_no_refiner_changes_its_arguments(name):
    rows, prior = predictions()
    same_rows, same_prior = rows.clone(), prior.clone()
    METHODS[name].create()(rows, prior)
    assert torch.equal(rows, same_rows)
    assert torch.equal(prior, same_prior)


@pytest.mark.parametrize("name", SPLITTING)
def test_sure_rows_are_returned_bit_for_bit_and_unsure_rows_change(name):
    rows, prior = predictions(dtype=torch.float32)
    unsure = top_entropy(rows.double(), 3) >= 0.9
    changed = (METHODS[name].create()(rows, prior) != rows).any(dim=1)
    assert unsure.sum() > 5
    assert torch.equal(changed, unsure)


def test_batch_normalises_all_rows_in_one_matrix():
    rows, prior = predictions()
    sure = (top_entropy(rows, 3) < 0.9).numpy()
    expected = rows.numpy().copy()
    for _ in range(2):
        expected = expected**1.5
        expected = expected / expected.mean(axis=0) * prior.numpy()
        expected = expected / expected.sum(axis=1, keepdims=True)
    expected[sure] = rows.numpy()[sure]
    refined = METHODS["can-batch"].create(alpha=1.5, iterations=2)(rows, prior)
    np.testing.assert_allclose(refined.numpy(), expected, rtol=1e-12)


def official_by_hand(rows, prior, threshold, alpha, depth):
    """The rules of the authors' code, row by row in numpy, for so few sure rows that all are the reference."""
    rows, prior = rows.numpy(), prior.numpy()
    classes = rows.shape[1]
    confused = [any(entropy_by_hand(row, k) >= threshold for k in range(2, classes + 1)) for row in rows]
    reference = rows[~np.array(confused)] if not all(confused) else np.eye(classes)
    refined = rows.copy()
    for i in np.flatnonzero(confused):
        table = np.vstack([reference, rows[i]])
        for _ in range(depth):
            table = table**alpha
            table = table / (table.sum(axis=0) + 1e-10) * prior
            table = table / (table.sum(axis=1, keepdims=True) + 1e-10)
        refined[i] = table[-1]
    return refined


@pytest.mark.parametrize(("threshold", "alpha", "depth"), [(0.75, 1.0, 1), (0.5, 0.5, 3), (0.25, 2.0, 2)])
def test_official_form_follows_the_authors_rules(threshold, alpha, depth):
    rows, prior = predictions()
    refined = METHODS["can-official"].create(threshold=threshold, alpha=alpha, depth=depth)(rows, prior)
    np.testing.assert_allclose(refined.numpy(), official_by_hand(rows, prior, threshold, alpha, depth), atol=1e-8)


def test_official_form_calls_a_row_unsure_that_the_article_calls_sure():
    """Two equal probabilities and no third: unsure by k = 2, sure by k = 3."""
    rows = torch.tensor([[0.49, 0.49, 0.01, 0.01], [0.97, 0.01, 0.01, 0.01]], dtype=torch.float64)
    even = torch.full((4,), 0.25, dtype=torch.float64)
    assert torch.equal(METHODS["can"].create()(rows, even), rows)
    assert not torch.equal(METHODS["can-official"].create(threshold=0.9)(rows, even)[0], rows[0])


def test_official_form_takes_a_stratified_sample_of_many_sure_rows(monkeypatch):
    rows, prior = predictions(rows=400, classes=4)
    monkeypatch.setattr(refiners, "OFFICIAL_REFERENCE", 20)
    tables = []
    refine_stacked = refiners.alternating.refine_stacked
    monkeypatch.setattr(
        refiners.alternating, "refine_stacked", lambda table, *a: tables.append(table) or refine_stacked(table, *a)
    )
    METHODS["can-official"].create()(rows, prior)
    sure = rows[any_top_entropy(rows) < 0.75]
    shares = torch.bincount(sure.argmax(dim=1), minlength=4) * 20 / len(sure)
    sampled = torch.bincount(tables[0][:-1].argmax(dim=1), minlength=4)
    assert sampled.sum() == 20
    assert ((sampled - shares).abs() < 1).all()


def test_stratified_rows_have_every_class_and_are_the_same_in_every_call():
    labels = np.random.default_rng(0).choice(5, 300, p=[0.5, 0.3, 0.15, 0.04, 0.01])
    rows = refiners.stratified_rows(labels, 50)
    assert len(set(rows)) == len(rows)
    assert set(labels[rows]) == set(labels)
    np.testing.assert_array_equal(rows, refiners.stratified_rows(labels, 50))


def test_tuning_chooses_the_most_accurate_settings_on_the_validation_rows():
    rows, prior = predictions(rows=200, classes=4)
    labels = torch.randint(4, (200,), generator=torch.Generator().manual_seed(5))
    tuned = METHODS["can-tuned"].create().fit(rows, labels, prior)
    right = int((tuned(rows, prior).argmax(dim=1) == labels).sum())
    best = 0
    for settings in refiners._grid():
        refined = refiners.Can(**settings)(rows, prior)
        best = max(best, int((refined.argmax(dim=1) == labels).sum()))
    assert right == best > int((refiners.Can()(rows, prior).argmax(dim=1) == labels).sum())


def test_tuning_keeps_the_published_settings_if_no_others_are_more_accurate():
    rows, prior = torch.eye(4).double().repeat(5, 1), torch.full((4,), 0.25).double()
    tuned = METHODS["can-tuned"].create().fit(rows, torch.arange(4).repeat(5), prior)
    assert tuned.settings == {"k": 3, "tau": 0.9, "alpha": 1.0, "iterations": 1}


@pytest.mark.parametrize("name", ["can", "can-loop", "can-tuned", "prior-reweighting"])
def test_rows_that_are_all_unsure_are_refused(name):
    rows, even = torch.full((3, 4), 0.25), torch.full((4,), 0.25)
    with pytest.raises(UsageError, match=r"3 rows: none has an entropy below tau = 0.9; at least one sure row"):
        METHODS[name].create()(rows, even)


def test_without_sure_rows_the_official_form_uses_the_identity_and_the_batch_the_unsure_rows():
    rows = torch.tensor([[0.5, 0.5], [0.48, 0.52]], dtype=torch.float64)
    prior = torch.tensor([0.3, 0.7], dtype=torch.float64)
    expected = official_by_hand(rows, prior, 0.75, 1.0, 1)
    np.testing.assert_allclose(METHODS["can-official"].create()(rows, prior).numpy(), expected, atol=1e-8)
    assert METHODS["can-batch"].create()(rows, prior)[0].argmax() == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_single_sure_row_is_accepted(name):
    row = torch.tensor([[0.98, 0.01, 0.01]], dtype=torch.float64)
    refined = METHODS[name].create()(row, torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64))
    assert refined.argmax() == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("rows", "prior", "message"),
    [
        ([[0.5, 0.5], [0.9, 0.3]], [0.5, 0.5], r"probabilities of shape \[2, 2\]: row 1 sums to 1.2"),
        ([[math.nan, 0.5]], [0.5, 0.5], r"probabilities of shape \[1, 2\]: row 0 has nan at class 0"),
        ([[0.5, 0.5], [1.25, -0.25]], [0.5, 0.5], r"row 1 has -0.25 at class 1, which is negative"),
        ([[0.5, math.inf]], [0.5, 0.5], r"row 0 has inf at class 1, which is not finite"),
        ([[0.5, 0.5]], [0.2, 0.3, 0.5], r"prior of shape \[3\]: \[2\] is needed for probabilities \[1, 2\]"),
        ([[0.5, 0.5]], [1.0, 0.0], r"prior of shape \[2\]: entry 1 is 0"),
        ([[0.5, 0.5]], [0.4, 0.4], r"prior of shape \[2\]: it sums to 0.8, it must sum to 1"),
        ([[0.5, 0.5]], [1.5, -0.5], r"prior of shape \[2\]: it has -0.5 at class 1, which is negative"),
        ([[0.5, 0.5]], [math.nan, 0.5], r"prior of shape \[2\]: it has nan at class 0"),
        ([[1.0]], [1.0], r"probabilities of shape \[1, 1\]: \[N, C\] with at least 1 row and 2 classes is needed"),
        ([0.5, 0.5], [0.5, 0.5], r"probabilities of shape \[2\]"),
        (np.empty((0, 2)), [0.5, 0.5], r"probabilities of shape \[0, 2\]"),
    ],
)
def test_error_about_bad_input_names_argument_shape_and_row(name, rows, prior, message):
    probabilities = torch.tensor(np.array(rows), dtype=torch.float32)
    with pytest.raises(UsageError, match=message):
        METHODS[name].create()(probabilities, torch.tensor(prior))


def test_integers_are_refused():
    with pytest.raises(UsageError, match=r"torch.int64 and prior|floating-point tensors are needed"):
        METHODS["none"].create()(torch.eye(2).long(), torch.tensor([0.5, 0.5]))


def test_predictions_printed_with_four_digits_are_accepted():
    rows, prior = predictions(classes=40)
    rounded = (rows * 1e4).round() / 1e4
    assert (rounded.sum(dim=1) != 1).any()
    METHODS["can"].create()(rounded, prior)
