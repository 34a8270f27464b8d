"""Losses of the cosines of N pairs: CoSENT, fast and as published, and the direct losses it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness_plugins.cosent.ranking import ranking_loss


@dataclass(frozen=True)
class Cosent:
    """CoSENT (kexue.fm/archives/8847) in O(N log N): see ``harness_plugins.cosent.ranking``.

    >>> Cosent()(torch.tensor([0.9, 0.2, 0.4]), torch.tensor([1, 0, 0]))  # log(1 + exp(-14) + exp(-10))
    tensor(4.6230e-05)
    """

    scale: float = 20.0

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        check(cosine, label)
        return ranking_loss(cosine, label, self.scale)


@dataclass(frozen=True)
class DenseCosent:
    """CoSENT (kexue.fm/archives/8847) as published: all N x N differences in one log-sum-exp.

    log(1 + sum over label_i > label_j of exp(scale (cosine_j - cosine_i))), for ``cosine`` [N] and ``label`` [N].

    >>> DenseCosent(10.0)(torch.tensor([0.5, 0.2, 0.4]), torch.tensor([1, 0, 0]))  # log(1 + exp(-3) + exp(-1))
    tensor(0.3490)
    """

    scale: float = 20.0

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        check(cosine, label)
        differences = self.scale * (cosine[None, :] - cosine[:, None])
        compared = differences[label[:, None] > label[None, :]]
        return torch.logsumexp(torch.cat([cosine.new_zeros(1), compared]), dim=0)


@dataclass(frozen=True)
class CosineMse:
    """Mean of (cosine - label)^2, with labels from 0 to 1: sentence-transformers' CosineSimilarityLoss.

    >>> CosineMse()(torch.tensor([1.0, 0.5]), torch.tensor([1.0, 0.0]))
    tensor(0.1250)
    """

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        check(cosine, label)
        return mean((cosine - label.to(cosine.dtype)).square())


@dataclass(frozen=True)
class CosineContrastive:
    """The direct losses that the article on CoSENT begins with, as means over pairs, with t = ``label`` from 0 to 1:

    - ``linear``: t (1 - cos) + (1 - t) (1 + cos), its equation 1;
    - ``squared``: t (1 - cos)^2 + (1 - t) cos^2, its equation 2, which equals (cos - t)^2 + t - t^2 and thus has the
      gradient of ``CosineMse``;
    - ``margin``: t (1 - cos) + (1 - t) max(cos, 0.7), its equation 3.

    >>> CosineContrastive("margin")(torch.tensor([1.0, 0.8, 0.1]), torch.tensor([1.0, 0.0, 0.0]))
    tensor(0.5000)
    """

    form: str = "linear"
    margin: float = 0.7

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        check(cosine, label)
        target = label.to(cosine.dtype)
        if self.form == "linear":
            near, far = 1 - cosine, 1 + cosine
        elif self.form == "squared":
            near, far = (1 - cosine).square(), cosine.square()
        else:
            near, far = 1 - cosine, cosine.clamp(min=self.margin)
        return mean(target * near + (1 - target) * far)


class Untrained:
    """A control that is not trained: always 0, so that the encoder is scored as it was before training."""

    trains = False

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        check(cosine, label)
        return cosine.sum() * 0


def mean(terms: Tensor) -> Tensor:
    """Mean of the terms [N]; 0 for N = 0."""
    return terms.sum() / max(1, len(terms))


def check(cosine: Tensor, label: Tensor) -> None:
    """Raise ValueError unless both are [N]."""
    if cosine.dim() != 1 or label.shape != cosine.shape:
        raise ValueError(f"cosine {list(cosine.shape)} and label {list(label.shape)}: both must be [N]")
