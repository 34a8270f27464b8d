"""The workload ner/spans: its extremes are as named, and the scorers agree on them."""

from __future__ import annotations

import pytest
import torch
from plugin_run import METHODS, REGISTRY

from harness.spec import resolve

SPANS = REGISTRY.workloads["ner/spans"]
SMALL = {"batch": 3, "types": 4, "length": 24, "width": 160}
KINDS = {"usual": SPANS.inputs, **SPANS.extremes}


def tensors(kind, dtype=torch.float64):
    inputs = resolve(KINDS[kind])(torch.Generator().manual_seed(0), torch.device("cpu"), dtype, **SMALL)
    assert inputs[0].shape == (3, 24, 160)
    assert inputs[0].requires_grad
    return inputs


def value_and_gradient(method, inputs):
    value = resolve(SPANS.call)(METHODS[method].create(), *inputs)
    return value, torch.autograd.grad(value, inputs[0])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_factorised_loss_is_the_dense_one_in_every_regime(kind):
    expected = value_and_gradient("efficient-global-pointer-dense", tensors(kind))
    factorised = value_and_gradient("efficient-global-pointer", tensors(kind, torch.float32))
    assert factorised[0].item() == pytest.approx(expected[0].item(), rel=1e-5, abs=1e-6)
    error = torch.linalg.vector_norm(factorised[1].double() - expected[1])
    assert error <= SPANS.tolerance * torch.linalg.vector_norm(expected[1]) + 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", sorted(n for n, m in METHODS.items() if m.role == "span-scorer"))
def test_every_scorer_has_a_finite_loss_and_gradient(method, kind):
    value, gradient = value_and_gradient(method, tensors(kind, torch.float32))
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_positives_lead_by_more_than_forty_nats():
    hidden, mask, spans, types = tensors("positives dominate")
    head = METHODS["efficient-global-pointer-dense"].create().fresh(160, int(types), torch.Generator().manual_seed(0))
    logits = head.double()(hidden, mask)
    positive = torch.zeros_like(logits, dtype=torch.bool)
    positive[tuple(spans.T)] = True
    for text in range(3):
        lowest = logits[text][positive[text]].min()
        assert lowest - logits[text][~positive[text]].max().clamp_min(0) > 40
    assert positive.any(1).sum() * int(types) == positive.sum()


def test_one_token_and_no_spans_are_as_named():
    _, mask, spans, _ = tensors("one token")
    assert mask.sum(1).tolist() == [1, 1, 1]
    assert spans.tolist() == [[0, 0, 12, 12], [2, 0, 12, 12]]
    assert len(tensors("no spans")[2]) == 0
    assert len(tensors("usual")[2]) == 18


def test_scores_of_the_huge_ones_are_hundreds():
    hidden, mask, _, types = tensors("huge scores")
    head = METHODS["global-pointer"].create().fresh(160, int(types), torch.Generator().manual_seed(0)).double()
    logits = head(hidden, mask)
    assert logits[logits.isfinite()].abs().max() > 200
