"""Measures of frozen features: multinomial logistic regression and nearest neighbours."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from harness_plugins.images.labelled import Labelled

#: Divides the cosine in a neighbour's vote (Wu et al. 2018, arXiv 1805.01978, section 3.4).
VOTE_TEMPERATURE = 0.07
#: The probe stops when no entry of its gradient is larger than this, or after this many steps.
TOLERANCE, STEPS = 1e-5, 300
#: Test rows that are compared with all training rows at once.
BLOCK = 1024


def linear_probe(train: Labelled, test: Labelled, penalty: float) -> Tensor:
    """Which rows of ``test`` a logistic regression on standardised features [N, D] classifies rightly.

    Minimises mean cross-entropy + penalty / 2 * sum of squared weights over the whole of ``train`` with L-BFGS
    until convergence. The optimum is unique, so chance has no part in it. Raises FloatingPointError where the
    features are not finite.
    """
    if not (train.inputs.isfinite().all() and test.inputs.isfinite().all()):
        raise FloatingPointError("the encoder's features are not finite, so they cannot be probed")
    mean = train.inputs.mean(dim=0)
    # A feature that never varies becomes 0, not NaN.
    spread = train.inputs.std(dim=0, correction=0).clamp_min(1e-6)
    features = (train.inputs - mean) / spread
    target = F.one_hot(train.labels).to(features.dtype)
    weight = torch.zeros(target.shape[1], features.shape[1], device=features.device, requires_grad=True)
    bias = torch.zeros(target.shape[1], device=features.device, requires_grad=True)
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
        logits = F.linear(features, weight, bias)
        # With one-hot targets the backward pass scatters nothing, so it is deterministic on every device.
        cross_entropy = -(target * torch.log_softmax(logits, dim=1)).sum() / len(features)
        loss = cross_entropy + penalty / 2 * weight.square().sum()
        torch.autograd.backward(loss)
        return loss.item()

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    predicted = F.linear((test.inputs - mean) / spread, weight, bias).argmax(dim=1)
    return predicted == test.labels


@torch.no_grad()
def nearest_neighbours(train: Labelled, test: Labelled, neighbours: int) -> Tensor:
    """Which rows of ``test`` the ``neighbours`` rows of ``train`` with the largest cosines vote rightly for.

    A vote has the weight exp(c / 0.07), c its cosine. All rows vote where there are fewer than ``neighbours``.
    """
    reference = F.normalize(train.inputs, dim=1)
    target = F.one_hot(train.labels).to(reference.dtype)
    predicted = []
    for rows in torch.split(F.normalize(test.inputs, dim=1), BLOCK):
        cosine, nearest = (rows @ reference.T).topk(min(neighbours, len(reference)), dim=1)
        votes = torch.exp((cosine - 1) / VOTE_TEMPERATURE)[:, :, None] * target[nearest]
        predicted.append(votes.sum(dim=1).argmax(dim=1))
    return torch.cat(predicted) == test.labels
