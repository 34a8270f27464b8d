"""The task ner/label-balance: does a multi-label loss balance itself if few of many labels are positive?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from harness_plugins.efficient_global_pointer.f1 import Score, best_threshold

if TYPE_CHECKING:
    from harness.running.run import Run
    from harness_plugins.efficient_global_pointer.formula import Loss

#: Rows, features, and the noise of the scores that decide the labels, over the scores' own standard deviation.
TRAIN, VALID, TEST, FEATURES, NOISE = 2000, 500, 2000, 32, 0.5
#: Batch size and learning rate of Adam.
BATCH, LEARNING_RATE = 100, 0.01


def label_balance(loss: Loss, run: Run) -> dict[str, float]:
    """Train a linear classifier with ``loss`` on rows in which a share ``rate`` of the labels is positive.

    A label is positive if a linear score of 32 features plus noise is above the quantile that gives the rate. F1 is
    over all labels of 2,000 test rows, at threshold 0 and at the best one on 500 further rows.
    """
    features, target = _draw(run)
    model = _fit(loss, run, features[:TRAIN], target[:TRAIN])
    with torch.no_grad():
        logits = model(features)
    valid, test = slice(TRAIN, TRAIN + VALID), slice(TRAIN + VALID, None)
    threshold = _best(logits[valid], target[valid])
    at_zero, tuned = (_f1(logits[test], target[test], t) for t in (0.0, threshold))
    return {
        "f1": at_zero,
        "tuned_f1": tuned,
        "threshold": threshold,
        "threshold_gain": tuned - at_zero,
        "predicted_share": (logits[test] > 0).double().mean().item() / target[test].double().mean().item(),
    }


def _draw(run: Run) -> tuple[Tensor, Tensor]:
    """Features [rows, 32] and labels, bool [rows, labels], of the training, validation and test rows in turn."""
    labels, rate = run.options["labels"], run.options["rate"]
    generator, rows = run.generator, TRAIN + VALID + TEST
    features = torch.randn(rows, FEATURES, generator=generator)
    teacher = torch.randn(FEATURES, labels, generator=generator) * FEATURES**-0.5
    noisy = features @ teacher + NOISE * torch.randn(rows, labels, generator=generator)
    target = noisy > torch.quantile(noisy[:TRAIN], 1 - rate, dim=0)
    return features.to(run.device, run.dtype), target.to(run.device)


def _fit(loss: Loss, run: Run, features: Tensor, target: Tensor) -> nn.Linear:
    """Train from zero weights for the option ``passes``."""
    order = torch.Generator().manual_seed(run.seed)
    model = nn.Linear(FEATURES, target.shape[1])
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    model.to(run.device, run.dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    passes = run.options["passes"]
    for number in range(passes):
        for batch in torch.split(torch.randperm(len(features), generator=order), BATCH):
            value = loss(model(features[batch]), target[batch])
            optimizer.zero_grad()
            torch.autograd.backward(value)
            optimizer.step()
        run.log(number, loss=value.item())
        run.progress(number + 1, passes)
    return model


def _f1(logits: Tensor, target: Tensor, threshold: float) -> float:
    predicted = logits > threshold
    return Score(int((predicted & target).sum()), int(predicted.sum()), int(target.sum())).f1


def _best(logits: Tensor, target: Tensor) -> float:
    scores = logits.double().flatten().cpu().numpy()
    return best_threshold(scores, target.flatten().cpu().numpy().astype(np.bool_), int(target.sum()))
