"""Does a multi-label loss balance itself where few of many labels are positive? On drawn rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from harness_plugins.efficient_global_pointer.identities import Loss
from harness_plugins.efficient_global_pointer.scores import Score, best_threshold

if TYPE_CHECKING:
    from harness.running.run import Run

#: Rows, features, and noise of the scores that labels are drawn from, over the scores' own standard deviation.
TRAIN, VALID, TEST, FEATURES, NOISE = 2000, 500, 2000, 32, 0.5
#: Full passes of Adam over the training rows, in batches.
BATCH, LEARNING_RATE = 100, 0.01


def label_balance(loss: Loss, run: Run) -> dict[str, float]:
    """Train a linear classifier with ``loss`` on rows of which a share ``rate`` of the labels is positive.

    A label is positive where a linear score of 32 features plus noise is above the quantile that gives the rate. F1 is
    taken over all labels of 2,000 test rows, at the threshold 0 and at the one that is best on 500 further rows.
    """
    labels, rate = run.options["labels"], run.options["rate"]
    generator = run.generator
    rows = TRAIN + VALID + TEST
    features = torch.randn(rows, FEATURES, generator=generator)
    teacher = torch.randn(FEATURES, labels, generator=generator) * FEATURES**-0.5
    noisy = features @ teacher + NOISE * torch.randn(rows, labels, generator=generator)
    target = noisy > torch.quantile(noisy[:TRAIN], 1 - rate, dim=0)
    order = torch.Generator().manual_seed(run.seed)
    model = nn.Linear(FEATURES, labels)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    model.to(run.device, run.dtype)
    features, target = features.to(run.device, run.dtype), target.to(run.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    epochs = run.options["passes"]
    for epoch in range(epochs):
        for batch in torch.split(torch.randperm(TRAIN, generator=order), BATCH):
            value = loss(model(features[batch]), target[batch])
            optimizer.zero_grad()
            torch.autograd.backward(value)
            optimizer.step()
        run.log(epoch, loss=value.item())
        run.progress(epoch + 1, epochs)
    with torch.no_grad():
        logits = model(features)
    valid, test = slice(TRAIN, TRAIN + VALID), slice(TRAIN + VALID, rows)
    threshold = _best(logits[valid], target[valid])
    at_zero, tuned = (_f1(logits[test], target[test], t) for t in (0.0, threshold))
    return {
        "f1": at_zero,
        "tuned_f1": tuned,
        "threshold": threshold,
        "threshold_gain": tuned - at_zero,
        "predicted_share": (logits[test] > 0).double().mean().item() / target[test].double().mean().item(),
    }


def _f1(logits: Tensor, target: Tensor, threshold: float) -> float:
    predicted = logits > threshold
    return Score(int((predicted & target).sum()), int(predicted.sum()), int(target.sum())).f1


def _best(logits: Tensor, target: Tensor) -> float:
    scores = logits.double().flatten().cpu().numpy()
    return best_threshold(scores, target.flatten().cpu().numpy().astype(np.bool_), int(target.sum()))
