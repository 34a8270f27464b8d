"""Multi-label losses against mpmath, in every form and precision, and the tasks on them."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from plugin_run import METHODS, TASKS, make_run

from harness.errors import UsageError
from harness.spec import resolve
from harness_plugins.efficient_global_pointer.multilabel import MultilabelLoss

TWO_TERM = ["zlpr", "zlpr-published", "zlpr-sparse-published", "zlpr-sparse-safe"]


def exact(scores, labels):
    """log(1 + sum (1-y) e^s) + log(1 + sum y e^-s) to 60 digits, hard or soft labels."""
    with mpmath.workdps(60):
        negative = mpmath.fsum([(1 - mpmath.mpf(y)) * mpmath.exp(s) for s, y in zip(scores, labels, strict=True)])
        positive = mpmath.fsum(
            [mpmath.mpf(y) * mpmath.exp(-mpmath.mpf(s)) for s, y in zip(scores, labels, strict=True)]
        )
        return float(mpmath.log1p(negative) + mpmath.log1p(positive))


def random_rows(rows=40, labels=6, spread=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(rows, labels, generator=generator, dtype=torch.float64)
    return logits, torch.rand(rows, labels, generator=generator) < 0.4


@pytest.mark.parametrize("name", TWO_TERM)
def test_the_loss_is_the_two_terms(name):
    logits, target = random_rows()
    expected = [exact(s, y) for s, y in zip(logits.tolist(), target.tolist(), strict=True)]
    assert METHODS[name].create().rows(logits, target).tolist() == pytest.approx(expected, abs=1e-10)
    assert METHODS[name].create()(logits, target).item() == pytest.approx(sum(expected) / len(expected), abs=1e-10)


@pytest.mark.parametrize("name", ["zlpr", "zlpr-published", "zlpr-sparse-safe"])
@pytest.mark.parametrize("target", [[True, False, True], [False, False, False], [True, True, True]])
@pytest.mark.parametrize("scores", [[90.0, -90.0, 50.0], [-90.0, 90.0, -50.0], [1e4, -1e4, 1e4], [0.0, 0.0, 0.0]])
def test_extreme_scores_in_float32_have_the_right_value_and_gradient(name, scores, target):
    logits = torch.tensor([scores], requires_grad=True)
    value = METHODS[name].create().rows(logits, torch.tensor([target]))
    assert value.item() == pytest.approx(exact(scores, target), rel=1e-6, abs=1e-6)
    (gradient,) = torch.autograd.grad(value, logits)
    for place in range(3):
        with mpmath.workdps(60):
            slope = mpmath.diff(
                lambda s, place=place: mpmath_loss([*scores[:place], s, *scores[place + 1 :]], target),
                scores[place],
                h=1e-20,
            )
        # A log-sum-exp is exact to the spacing of numbers at the largest score, and a gradient is e^ of one.
        spacing = 1.2e-7 * max(map(abs, scores))
        assert gradient[0, place].item() == pytest.approx(float(slope), rel=1e-5 + spacing, abs=1e-6)


def mpmath_loss(scores, target):
    terms = [mpmath.exp(-s) if y else mpmath.exp(s) for s, y in zip(scores, target, strict=True)]
    negative = mpmath.fsum([t for t, y in zip(terms, target, strict=True) if not y])
    return mpmath.log(1 + negative) + mpmath.log(1 + mpmath.fsum([t for t, y in zip(terms, target, strict=True) if y]))


def test_soft_labels_are_those_of_the_formula():
    logits, _ = random_rows()
    soft = torch.rand(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    soft[0], soft[1, :3] = 0.0, 1.0
    expected = [exact(s, y) for s, y in zip(logits.tolist(), soft.tolist(), strict=True)]
    assert METHODS["zlpr"].create().rows(logits, soft).tolist() == pytest.approx(expected, abs=1e-10)


def test_logits_of_minus_infinity_are_no_labels():
    logits, target = random_rows()
    more = torch.cat([logits, torch.full((len(logits), 2), -math.inf, dtype=torch.float64)], dim=1).requires_grad_()
    padded = torch.cat([target, torch.zeros(len(logits), 2, dtype=torch.bool)], dim=1)
    for name in ["zlpr", "zlpr-sparse-published", "zlpr-sparse-safe"]:
        loss = METHODS[name].create()
        for labels in (padded, padded.double()):
            value = loss(more, labels)
            torch.testing.assert_close(value, loss(logits, target))
            assert torch.autograd.grad(value, more)[0].isfinite().all()


def test_softmax_and_binary_are_torchs():
    logits, target = random_rows()
    one_hot = torch.arange(6) == torch.arange(40)[:, None] % 6
    softmax = torch.nn.functional.cross_entropy(logits, torch.arange(40) % 6)
    torch.testing.assert_close(METHODS["multilabel-softmax"].create()(logits, one_hot), softmax)
    weighted = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, target.double(), pos_weight=torch.tensor(5.0).double()
    )
    torch.testing.assert_close(METHODS["binary-cross-entropy"].create(positive_weight=5.0)(logits, target), weighted)


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("zlpr", [[0.5, 2.0]], r"target\[0, 1\] = 2.0: a label from 0 to 1 is needed"),
        ("zlpr-published", [[0.5, 1.0]], r"target\[0, 0\] = 0.5: this loss takes 0 and 1"),
        ("zlpr", [[True]], r"logits \(1, 2\) and target \(1, 1\)"),
    ],
)
def test_target_that_is_not_allowed_is_named(name, target, message):
    with pytest.raises(ValueError, match=message):
        METHODS[name].create()(torch.zeros(1, 2), torch.tensor(target))


def run(task, method, dtype="float64", **options):
    own = {k: v for k, v in options.items() if k in METHODS[method].options}
    others = {k: v for k, v in options.items() if k in TASKS[task].options}
    return resolve(TASKS[task].run)(METHODS[method].create(**own), make_run(task, dtype=dtype, **others))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", TWO_TERM)
def test_identities_hold_for_every_form_whatever_the_dtype(name, dtype):
    counts = run("ner/loss-identities", name, dtype, rows=300)
    assert (counts["value_violations"], counts["gradient_violations"], counts["soft_violations"]) == (0, 0, 0)
    assert counts["softmax_violations"] == 100


def test_wrong_loss_violates_the_identities():
    def halved(logits, target):
        return 0.5 * MultilabelLoss("zlpr")(logits, target)

    task_run = make_run("ner/loss-identities", dtype="float64", rows=30)
    counts = resolve(TASKS["ner/loss-identities"].run)(halved, task_run)
    assert (counts["value_violations"], counts["gradient_violations"], counts["soft_violations"]) == (30, 30, 0)


def test_published_sparse_form_fails_where_rounding_and_its_floor_predict():
    # 1 - e^(b - a) has an error of about half a spacing of numbers at 1 and is about e^-gap: 1 % at 11.9 nats from
    # the subtraction alone, earlier with the rounding of the sums. In float64 the floor of 1e-7 is reached at 16.1.
    single = run("ner/sparse-gap", "zlpr-sparse-published", "float32", rows=50)
    double = run("ner/sparse-gap", "zlpr-sparse-published", "float64", rows=50)
    assert 5 <= single["value_gap"] <= 12
    assert 5 <= single["gradient_gap"] <= 12
    assert 16 <= double["value_gap"] <= 17
    assert double["reversed_gap"] == pytest.approx(math.log(1e7), abs=0.5)
    lower = run("ner/sparse-gap", "zlpr-sparse-published", "float64", rows=50, epsilon=1e-30)
    assert 25 <= lower["value_gap"] <= 33


def test_more_positives_than_labels_are_refused():
    with pytest.raises(UsageError, match="positives = 10: a row has 3 labels, so at most 3 are allowed"):
        run("ner/sparse-gap", "zlpr", "float32", rows=2, labels=3, positives=10)
    assert run("ner/sparse-gap", "zlpr", "float32", rows=2, labels=3, positives=3, most=1)["value_gap"] == 1


@pytest.mark.parametrize("name", ["zlpr", "zlpr-published", "zlpr-sparse-safe"])
def test_forms_that_subtract_nothing_never_fail(name):
    assert set(run("ner/sparse-gap", name, "float32", rows=20).values()) == {80.0}


def test_label_balance_differs_between_few_and_many_positives():
    few = {name: run("ner/label-balance", name, "float32", passes=10) for name in ("zlpr", "binary-cross-entropy")}
    assert few["binary-cross-entropy"]["predicted_share"] < 0.2 < few["zlpr"]["predicted_share"]
    many = run("ner/label-balance", "zlpr", "float32", passes=10, rate=0.5, labels=10)
    assert many["predicted_share"] == pytest.approx(1, abs=0.1)
    assert few["zlpr"]["threshold_gain"] == few["zlpr"]["tuned_f1"] - few["zlpr"]["f1"]
