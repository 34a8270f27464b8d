"""Cross-entropy, and the batches on which classification losses are checked."""

from __future__ import annotations

import math

import pytest
import torch
from plugin_run import METHODS, REGISTRY

from harness.spec import resolve
from harness_plugins.classification.workload_inputs import inputs, right, wrong

WORKLOAD = REGISTRY.workloads["classification/logits"]
LOSS = METHODS["cross-entropy"].create()


def test_cross_entropy_is_the_mean_of_minus_log_probability():
    logits = [[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]]
    by_hand = [math.log(sum(math.exp(x) for x in row)) - row[t] for row, t in zip(logits, (0, 1), strict=True)]
    loss = LOSS(torch.tensor(logits, dtype=torch.float64), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(sum(by_hand) / 2, rel=1e-14)


@pytest.mark.parametrize(("logits", "target"), [((2, 3), (3,)), ((0, 3), (0,)), ((3,), (3,)), ((2, 3), (2, 3))])
def test_error_for_other_shapes_names_them(logits, target):
    with pytest.raises(ValueError, match=rf"logits {list(logits)} and target".replace("[", r"\[")):
        LOSS(torch.zeros(logits), torch.zeros(target, dtype=torch.int64))


@pytest.mark.parametrize(("make", "least", "most"), [(right, 0.0, 1e-30), (wrong, 90.0, 110.0)])
def test_extreme_rows_have_all_probability_on_the_target_or_the_next_class(make, least, most):
    logits, target = make(torch.Generator().manual_seed(0), torch.device("cpu"), torch.float64, rows=50, classes=7)
    assert logits.requires_grad
    assert least <= LOSS(logits, target).item() <= most


def test_every_dtype_gets_the_same_rows():
    device = torch.device("cpu")
    exact, rounded = (
        inputs(torch.Generator().manual_seed(0), device, dtype, rows=9, classes=4)
        for dtype in (torch.float64, torch.float32)
    )
    assert torch.equal(exact[0].float(), rounded[0])
    assert torch.equal(exact[1], rounded[1])


def test_workload_counts_the_least_work():
    assert resolve(WORKLOAD.bytes)(4, rows=10, classes=3) == 2 * 30 * 4 + 80
    assert resolve(WORKLOAD.flops)(rows=10, classes=3) == 150
