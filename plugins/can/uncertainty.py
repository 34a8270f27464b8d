"""Uncertainty of predictions: the entropies of their largest probabilities."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from harness_plugins.running_sums import running_sum

Entropy = Literal["renormalised", "plain"]


def top_entropy(probabilities: Tensor, k: int = 3, entropy: Entropy = "renormalised") -> Tensor:
    """Uncertainty of each row [N], from 0 to 1, by its ``k`` largest probabilities (all, if there are fewer).

    - ``"renormalised"``: the k largest are scaled to sum to one, and their entropy is divided by log k: 1 means
      that the k are equal (kexue.fm/archives/8728).
    - ``"plain"``: they are not scaled, and the sum of -p log p is divided by log C. The article reads the paper
      like this; the result is usually far below 1.

    ``probabilities`` [N, C] need not be checked; a zero contributes nothing.

    >>> p = torch.tensor([[0.4, 0.4, 0.2, 0.0], [1.0, 0.0, 0.0, 0.0]])
    >>> top_entropy(p, k=2)
    tensor([1., 0.])
    >>> top_entropy(p, k=2, entropy="plain")
    tensor([0.5288, 0.0000])
    """
    k = min(k, probabilities.shape[1])
    largest = probabilities.topk(k, dim=1).values
    if entropy == "renormalised":
        largest = largest / largest.sum(dim=1, keepdim=True)
    scale = math.log(k if entropy == "renormalised" else probabilities.shape[1])
    # Subtracted from zero, so that a certain row has 0 and not -0.
    return 0 - torch.xlogy(largest, largest).sum(dim=1) / scale


def any_top_entropy(probabilities: Tensor) -> Tensor:
    """The largest renormalised top-k entropy over every k from 2 to C, each to the base k: [N], 0 to 1.

    The authors' code calls a row confused if *any* k reaches the threshold, that is, if this maximum does
    (github.com/KMnP/can, prepare_rsa). Two equal largest probabilities give 1, whatever the others are.
    All k come at once from running sums: with S_k and T_k the sums of p and p log p over the k largest, the
    entropy is log S_k - T_k / S_k.

    >>> any_top_entropy(torch.tensor([[0.45, 0.45, 0.1], [0.98, 0.01, 0.01]]))
    tensor([1.0000, 0.1019])
    """
    ordered = probabilities.sort(dim=1, descending=True).values
    total = running_sum(ordered)[:, 1:]
    weighted = running_sum(torch.xlogy(ordered, ordered))[:, 1:]
    bases = torch.arange(2, probabilities.shape[1] + 1, device=probabilities.device, dtype=probabilities.dtype)
    return ((total.log() - weighted / total) / bases.log()).amax(dim=1).clamp_min(0)
