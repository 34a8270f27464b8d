"""The workload ner/pointer-loss: its extremes are as named, both forms of the loss agree, other scorers are refused."""

from __future__ import annotations

import pytest
import torch
from plugin_run import METHODS, REGISTRY

from harness.errors import UsageError
from harness.spec import resolve
from harness_plugins.efficient_global_pointer import partition

LOSS = REGISTRY.workloads["ner/pointer-loss"]
SMALL = {"batch": 4, "types": 3, "length": 30, "dimension": 16}
KINDS = {"usual": LOSS.inputs, **LOSS.extremes}


def tensors(kind, dtype=torch.float64):
    inputs = resolve(KINDS[kind])(torch.Generator().manual_seed(0), torch.device("cpu"), dtype, **SMALL)
    assert [list(tensor.shape) for tensor in inputs[:5]] == [[4, 30, 16]] * 2 + [[4, 3, 30]] * 2 + [[4, 30]]
    assert [tensor.requires_grad for tensor in inputs] == [True] * 4 + [False] * 2
    return inputs


def value_and_gradients(method, inputs):
    value = resolve(LOSS.call)(METHODS[method].create(), *inputs)
    return value, torch.autograd.grad(value, inputs[:4])


def scores(kind):
    query, key, start, end, mask, spans = tensors(kind)
    whole = (query @ key.mT)[:, None] + start[..., None] + end[:, :, None]
    legal = (mask[:, :, None] & mask[:, None]).triu()
    return whole.detach(), legal[:, None].expand_as(whole), spans


@pytest.mark.parametrize("kind", KINDS)
def test_the_factorised_loss_is_the_dense_one_in_every_regime(kind):
    expected = value_and_gradients("efficient-global-pointer-dense", tensors(kind))
    factorised = value_and_gradients("efficient-global-pointer", tensors(kind, torch.float32))
    assert factorised[0].item() == pytest.approx(expected[0].item(), rel=1e-5)
    for gradient, true in zip(factorised[1], expected[1], strict=True):
        error = torch.linalg.vector_norm(gradient.double() - true)
        assert error <= LOSS.tolerance * torch.linalg.vector_norm(true) + 1e-12


@pytest.mark.parametrize("method", ["global-pointer", "softmax-bio", "crf-bio"])
def test_scorers_without_such_parts_are_refused(method):
    with pytest.raises(UsageError, match="no query and key that all types share"):
        resolve(LOSS.call)(METHODS[method].create(), *tensors("usual"))


def test_usual_scores_have_a_variance_of_three():
    whole, legal, _ = scores("usual")
    assert whole[legal].var().item() == pytest.approx(3, rel=0.15)


def test_positives_lead_by_fifty_nats_under_every_type():
    whole, legal, spans = scores("positives dominate")
    positive = torch.zeros_like(legal)
    positive[tuple(spans.T)] = True
    assert whole[positive].min().item() == pytest.approx(50)
    assert whole[legal & ~positive].max().item() == 0
    assert (positive.sum(1) % 3 == 0).all()


def test_huge_scores_are_hundreds_and_one_token_is_one():
    whole, legal, _ = scores("huge scores")
    assert whole[legal].max() > 200
    assert tensors("one token")[4].sum(1).tolist() == [1] * 4
    assert len(tensors("no spans")[5]) == 0


def test_where_best_start_and_end_never_meet_float32_is_not_enough(monkeypatch):
    dtypes = []
    add = partition._Negatives.add

    def recording(negatives, first, last, missing, dtype):
        dtypes.append(dtype)
        add(negatives, first, last, missing, dtype)

    monkeypatch.setattr(partition._Negatives, "add", recording)
    value_and_gradients("efficient-global-pointer", tensors("never meet", torch.float32))
    assert dtypes == [torch.float32] + [torch.float64] * 4
