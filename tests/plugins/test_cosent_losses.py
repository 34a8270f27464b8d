"""The losses of pairs and their heads against loops and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from plugin_run import METHODS, make_run
from torch.nn.functional import cosine_similarity

from harness.errors import UsageError
from harness_plugins.cosent.identities import by_the_definition, count_violations
from harness_plugins.cosent.matchers import angles, class_bounds, classes_of, cosines, matcher_of

GRADES = torch.linspace(0, 1, 6)
BINARY = torch.tensor([0.0, 1.0])


def batch(pairs=12, dimension=8, grades=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(2, pairs, dimension, generator=generator, dtype=torch.float64)
    return vectors, torch.randint(grades, (pairs,), generator=generator).double() / (grades - 1)


def matcher(name, levels=GRADES, dimension=8, **options):
    generator = torch.Generator().manual_seed(0)
    return matcher_of(METHODS[name].create(**options), dimension, levels, generator).double()


@pytest.mark.parametrize("name", ["cosent", "cosent-dense"])
@pytest.mark.parametrize("scale", [0.5, 20.0, 500.0])
def test_cosent_is_the_loop_over_all_orders(name, scale):
    vectors, label = batch()
    cosine = cosines(vectors).requires_grad_()
    value = METHODS[name].create(scale=scale)(cosine, label)
    expected, slope, _, _ = by_the_definition(cosine.detach(), label, scale)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(torch.autograd.grad(value, cosine)[0], slope)


def test_direct_losses_are_their_formulas():
    cosine, label = torch.tensor([0.9, 0.2, -0.3, 0.75]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    c, t = cosine.tolist(), label.tolist()
    forms = {
        "linear": [x * (1 - y) + (1 - x) * (1 + y) for x, y in zip(t, c, strict=True)],
        "squared": [x * (1 - y) ** 2 + (1 - x) * y**2 for x, y in zip(t, c, strict=True)],
        "margin": [x * (1 - y) + (1 - x) * max(y, 0.7) for x, y in zip(t, c, strict=True)],
    }
    for form, terms in forms.items():
        value = METHODS["cosine-contrastive"].create(form=form)(cosine, label)
        assert value.item() == pytest.approx(sum(terms) / 4, rel=1e-6)
    mse = METHODS["cosine-mse"].create()(cosine, label).item()
    assert mse == pytest.approx(sum(forms["squared"]) / 4, rel=1e-6)


def test_violations_are_counted_where_they_are_and_nowhere_else():
    def violations(name, **options):
        run = make_run("matching/identities", dtype="float64", draws=20, grades=6)
        return count_violations(METHODS[name].create(**options), run)

    assert {k: v for k, v in violations("cosent").items() if v > 1e-12} == {"mse_gradient": 20}
    mse = violations("cosine-mse")
    assert mse["mse_gradient"] == mse["reordered"] == 0
    assert mse["relabelled"] == mse["shifted"] == mse["unranked"] == mse["definition"] == mse["gradient"] == 20
    assert mse["bound"] > 0
    assert violations("cosine-contrastive", form="squared")["mse_gradient"] == 0
    assert violations("cosine-contrastive", form="linear")["mse_gradient"] == 20
    assert violations("cosent", scale=19.99)["definition"] > 10
    first = METHODS["cosent"].create()
    wrong = count_violations(
        lambda c, y: first(c[:-1], y[:-1]), make_run("matching/identities", dtype="float64", draws=20)
    )
    assert wrong["reordered"] > 10


def test_sentence_bert_is_cross_entropy_on_both_vectors_and_their_difference():
    vectors, label = batch()
    head = matcher("sentence-bert").head
    u, v = vectors
    logits = torch.cat([u, v, (u - v).abs()], dim=1) @ head.weight.T + head.bias
    rows = logits.log_softmax(dim=1)[torch.arange(12), (label > 0.5).long()]
    torch.testing.assert_close(matcher("sentence-bert").loss(vectors, label), -rows.mean())
    torch.testing.assert_close(matcher("sentence-bert").score(vectors), cosine_similarity(u, v))
    for features, width in (("[u, v]", 16), ("[|u-v|]", 8), ("[u, v, |u-v|]", 24)):
        assert matcher("sentence-bert", features=features).head.in_features == width
    swapped = vectors.flip(0)
    plain = matcher("sentence-bert", features="[|u-v|]")
    torch.testing.assert_close(plain.loss(vectors, label), plain.loss(swapped, label))


def test_grades_become_two_classes_or_one_each():
    label = torch.tensor([0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0])
    assert classes_of(label, class_bounds(GRADES, "two")).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert classes_of(label[[0, 1, 2, 4, 5, 6]], class_bounds(GRADES, "grades")).tolist() == [0, 1, 2, 3, 4, 5]
    assert classes_of(torch.tensor([0.0, 0.76]), class_bounds(torch.linspace(0, 1, 101), "grades")).tolist() == [0, 4]
    assert class_bounds(BINARY, "grades").tolist() == [0.5]
    assert matcher("sentence-bert", classes="grades").head.out_features == 6
    assert matcher("sentence-bert", levels=BINARY, classes="grades").head.out_features == 2


def test_interaction_orders_by_log_odds_that_do_not_saturate():
    joint = matcher("interaction", levels=BINARY)
    vectors = torch.randn(10, 8, dtype=torch.float64) * 1000
    logits = joint.head(vectors)
    assert joint.joint
    torch.testing.assert_close(joint.score(vectors), logits[:, 1] - logits[:, 0])
    label = torch.randint(2, (10,)).double()
    odds = METHODS["interaction"].create()(joint.score(vectors), label)
    torch.testing.assert_close(joint.loss(vectors, label), odds)
    graded = matcher("interaction", classes="grades")
    expected = (graded.head(vectors).softmax(dim=1) * torch.arange(6)).sum(dim=1)
    torch.testing.assert_close(graded.score(vectors), expected)


def test_interaction_cosent_is_cosent_of_scores_without_its_factor():
    joint = matcher("interaction-cosent")
    vectors, label = torch.randn(12, 8, dtype=torch.float64), batch()[1]
    expected, _, _, _ = by_the_definition(joint.score(vectors).detach(), label, 1.0)
    assert joint.loss(vectors, label).item() == pytest.approx(expected, rel=1e-9)
    assert math.isfinite(METHODS["interaction-cosent"].create()(torch.tensor([1e30, -1e30]), torch.tensor([0, 1])))


def test_angles_are_those_of_complex_numbers():
    vectors, label = batch()
    z, w = (torch.complex(*side.chunk(2, dim=1)) for side in vectors)
    # AnglE, section 3.3: z / w with the lengths of both vectors divided out, its parts summed over dimensions.
    turned = (z * w.conj()).sum(dim=1) / (vectors[0].norm(dim=1) * vectors[1].norm(dim=1))
    torch.testing.assert_close(angles(vectors), (turned.real + turned.imag).abs())
    torch.testing.assert_close(turned.real, cosines(vectors))
    expected = by_the_definition(cosines(vectors), label, 20)[0] + 0.5 * by_the_definition(angles(vectors), label, 7)[0]
    value = matcher("angle", angle_scale=7.0, angle_weight=0.5).loss(vectors, label)
    assert value.item() == pytest.approx(expected, rel=1e-9)
    # The published notebooks have cosine_tau = 20 and angle_tau = 1.0, and both losses weigh 1.
    expected = by_the_definition(cosines(vectors), label, 20)[0] + by_the_definition(angles(vectors), label, 1)[0]
    assert matcher("angle").loss(vectors, label).item() == pytest.approx(expected, rel=1e-9)
    with pytest.raises(UsageError, match="an even dimension is needed, found 7"):
        matcher("angle", dimension=7)


def test_plain_function_of_cosines_needs_no_matcher():
    vectors, label = batch()
    plain = matcher_of(lambda cosine, label: (cosine * label).sum(), 8, GRADES, torch.Generator())
    torch.testing.assert_close(plain.loss(vectors, label), (cosines(vectors) * label).sum())
    assert not plain.joint
    assert list(plain.parameters()) == []


def test_half_precision_vectors_are_scored_in_float32():
    vectors, label = batch()
    for name in ("cosent", "sentence-bert", "angle"):
        half = matcher(name).to(torch.bfloat16)
        assert half.score(vectors.bfloat16()).dtype == torch.float32
        assert half.loss(vectors.bfloat16(), label).dtype == torch.float32


@pytest.mark.parametrize("name", ["sentence-bert", "interaction"])
def test_classifiers_without_heads_take_the_cosine_as_log_odds(name):
    cosine, label = torch.tensor([0.5, -1.0]), torch.tensor([1.0, 0.0])
    expected = (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-1.0))) / 2
    assert METHODS[name].create()(cosine, label).item() == pytest.approx(expected)


LOSSES = [
    "angle",
    "cosent",
    "cosent-dense",
    "cosine-contrastive",
    "cosine-mse",
    "interaction",
    "sentence-bert",
    "untrained",
]


@pytest.mark.parametrize("name", LOSSES)
def test_no_pairs_cost_nothing(name):
    cosine = torch.zeros(0, requires_grad=True)
    value = METHODS[name].create()(cosine, torch.zeros(0))
    assert value.item() == 0
    assert torch.autograd.grad(value, cosine)[0].shape == (0,)


@pytest.mark.parametrize("name", ["cosent", "cosent-dense", "cosine-mse", "cosine-contrastive", "untrained"])
def test_shapes_that_do_not_fit_are_an_error(name):
    with pytest.raises(ValueError, match=r"cosine \[3\] and label \[2\]: both must be \[N\]"):
        METHODS[name].create()(torch.zeros(3), torch.zeros(2))
