"""How much frozen features say about the labels: multinomial logistic regression and nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

#: Divides the cosine in a neighbour's vote (Wu et al. 2018, arXiv 1805.01978, section 3.4).
VOTE_TEMPERATURE = 0.07
#: The probe stops when no entry of its gradient is larger, or after so many steps.
TOLERANCE, STEPS = 1e-5, 300
#: Test rows that are compared with all training rows at once.
BLOCK = 1024


@dataclass(frozen=True)
class Labelled:
    """Features [N, D] float32 and labels [N] int64 of one part of a data set, on one device."""

    features: Tensor
    labels: Tensor


def linear_probe(train: Labelled, test: Labelled, penalty: float) -> float:
    """Share of ``test`` that logistic regression on standardised features gets right.

    Minimises mean cross-entropy + penalty / 2 * sum of squared weights over the whole of ``train`` with
    L-BFGS until it has converged; the optimum is unique, so it holds no chance of its own. Raises
    FloatingPointError where the features are not finite.
    """
    if not (train.features.isfinite().all() and test.features.isfinite().all()):
        raise FloatingPointError("the encoder's features are not finite, so they cannot be probed")
    mean = train.features.mean(dim=0)
    # A feature that never varies carries nothing: it stays 0 instead of becoming NaN.
    spread = train.features.std(dim=0, correction=0).clamp_min(1e-6)
    inputs = (train.features - mean) / spread
    target = F.one_hot(train.labels).to(inputs.dtype)
    weight = torch.zeros(target.shape[1], inputs.shape[1], device=inputs.device, requires_grad=True)
    bias = torch.zeros(target.shape[1], device=inputs.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=STEPS,
        tolerance_grad=TOLERANCE,
        tolerance_change=1e-9,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> float:
        optimizer.zero_grad()
        logits = F.linear(inputs, weight, bias)
        # With one-hot targets the backward pass scatters nothing, so it is deterministic on every device.
        fit = -(target * torch.log_softmax(logits, dim=1)).sum() / len(inputs)
        loss = fit + penalty / 2 * weight.square().sum()
        torch.autograd.backward(loss)
        return loss.item()

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    predicted = F.linear((test.features - mean) / spread, weight, bias).argmax(dim=1)
    return _share_right(predicted, test.labels)


@torch.no_grad()
def nearest_neighbours(train: Labelled, test: Labelled, neighbours: int) -> float:
    """Share of ``test`` that a vote of the ``neighbours`` most alike rows of ``train`` gets right.

    Alike is by cosine c; a vote weighs exp(c / 0.07). At most as many neighbours vote as there are rows.
    """
    known = F.normalize(train.features, dim=1)
    target = F.one_hot(train.labels).to(known.dtype)
    predicted = []
    for rows in torch.split(F.normalize(test.features, dim=1), BLOCK):
        cosine, nearest = (rows @ known.T).topk(min(neighbours, len(known)), dim=1)
        votes = torch.exp((cosine - 1) / VOTE_TEMPERATURE)[:, :, None] * target[nearest]
        predicted.append(votes.sum(dim=1).argmax(dim=1))
    return _share_right(torch.cat(predicted), test.labels)


def _share_right(predicted: Tensor, labels: Tensor) -> float:
    return (predicted == labels).double().mean().item()
