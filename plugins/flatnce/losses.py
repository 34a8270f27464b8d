"""Contrastive losses that differ only in their treatment of xi, the odds against the positive.

For one anchor with the score s_t of its positive and the scores s_i of its negatives (cosine / temperature),

    xi = sum_{i != t} exp(s_i - s_t),    log xi = logsumexp_{i != t}(s_i) - s_t,    p_t = 1 / (1 + xi).

InfoNCE is log(1 + xi) and FlatNCE has the gradient of log xi. By the chain rule the gradient of InfoNCE is that
of log xi times xi / (1 + xi) = 1 - p_t. The method ``weight`` of each loss is its factor on the gradient of log xi.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Negatives = Literal["all", "cross"]


def log_odds(positive: Tensor, negatives: Tensor) -> Tensor:
    """log xi of each anchor: how much its negatives outweigh its positive, in nats.

    ``positive`` [N] and ``negatives`` [N, K] are scores of one dtype; a negative of -inf does not count.
    Returns [N]. The largest score is subtracted before the exponential, so that finite scores never overflow.

    >>> log_odds(torch.tensor([2.0]), torch.tensor([[1.0, 1.0, -torch.inf]]))  # log(2) - 1
    tensor([-0.3069])
    """
    return torch.logsumexp(negatives, dim=1) - positive


def scores(view_a: Tensor, view_b: Tensor, temperature: float, negatives: Negatives = "all") -> tuple[Tensor, Tensor]:
    """Scores of the positive [2B] and of the negatives [2B, K] of every anchor of a batch of pairs.

    ``view_a`` and ``view_b`` are [B, d] of one floating dtype, rows paired; they are normalised here. The
    anchors are the rows of ``view_a``, then those of ``view_b``. A score is the cosine of an anchor and another
    row, divided by ``temperature``.

    - ``"all"``: the 2B - 2 other rows of both views are negatives (SimCLR, arXiv 2002.05709, equation 1; K = 2B).
    - ``"cross"``: the B - 1 other rows of the opposite view are (CLIP, SimCSE; K = B).

    K counts the columns; those of the anchor itself and of its positive hold -inf.
    Raises ValueError for other shapes, and for a batch of one pair, which has no negative.

    >>> positive, negative = scores(torch.eye(2), torch.eye(2), temperature=0.5, negatives="cross")
    >>> positive
    tensor([2., 2., 2., 2.])
    >>> negative[0]
    tensor([-inf, 0.])
    """
    view_a, view_b = unit_rows(view_a, view_b)
    pairs = len(view_a)
    same_pair = torch.eye(pairs, dtype=torch.bool, device=view_a.device)
    if negatives == "all":
        rows = torch.cat([view_a, view_b])
        similar = rows @ rows.T / temperature
        positive = similar.diagonal(pairs)
        # Row i and column j are of one pair where i = j modulo B: the anchor itself and its positive.
        others = similar.masked_fill(same_pair.repeat(2, 2), -torch.inf)
    else:
        similar = view_a @ view_b.T / temperature
        positive = similar.diagonal()
        others = torch.cat([similar, similar.T]).masked_fill(same_pair.repeat(2, 1), -torch.inf)
    return positive.repeat(2), others


def unit_rows(view_a: Tensor, view_b: Tensor) -> tuple[Tensor, Tensor]:
    """Both views [B, d] with rows of length 1; rows of zeros stay zeros. Raises ValueError as ``scores`` does.

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.eye(2))[0]
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    if view_a.dim() != 2 or view_a.shape != view_b.shape:
        shapes = f"{list(view_a.shape)} and {list(view_b.shape)}"
        raise ValueError(f"the two views must both be [B, d], rows paired, not {shapes}")
    pairs = len(view_a)
    if pairs < 2:
        raise ValueError(
            f"views of shape {list(view_a.shape)}: a batch of {pairs} has no negatives, at least 2 are needed"
        )
    # torch's default floor of 1e-12 is zero in float16 and would turn a zero row into NaN.
    floor = max(1e-12, torch.finfo(view_a.dtype).tiny)
    return F.normalize(view_a, dim=1, eps=floor), F.normalize(view_b, dim=1, eps=floor)


class ContrastiveLoss:
    """Base of all these losses: in-batch scores, then one loss per anchor, then the mean over anchors.

    A subclass defines ``from_scores``, and ``value`` and ``weight``, its closed forms as functions of log xi.
    """

    def __init__(self, temperature: float = 0.1, negatives: Negatives = "all") -> None:
        if negatives not in ("all", "cross"):
            raise ValueError(f"negatives = {negatives!r}: 'all' or 'cross' is allowed")
        self.temperature = temperature
        self.negatives: Negatives = negatives

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """Mean loss of a batch of pairs, a scalar. ``view_a`` and ``view_b`` are [B, d], not yet normalised."""
        return self.from_scores(*self.scores(view_a, view_b)).mean()

    def scores(self, view_a: Tensor, view_b: Tensor) -> tuple[Tensor, Tensor]:
        """Scores under this loss's temperature and choice of negatives (see the function ``scores``)."""
        return scores(view_a, view_b, self.temperature, self.negatives)

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        """Loss of each anchor [N] from ``positive`` [N] and ``negatives`` [N, K], where -inf does not count."""
        raise NotImplementedError

    def value(self, log_xi: Tensor) -> Tensor:
        """The loss of each anchor [N] as a function of log xi [N]."""
        raise NotImplementedError

    def weight(self, log_xi: Tensor) -> Tensor:
        """The factor of each anchor [N] on its gradient of log xi, as a function of log xi [N]."""
        raise NotImplementedError


class FlatNCE(ContrastiveLoss):
    """log xi itself: every anchor has the same weight, easy or hard.

    It has the gradient of FlatNCE (arXiv 2107.01152) without the stop-gradient, as derived in
    kexue.fm/archives/8586. Negative values are normal.

    >>> loss = FlatNCE(temperature=0.5)
    >>> loss(torch.eye(2), torch.eye(2))  # two negatives of cosine 0: log(2 exp(0)) - 2
    tensor(-1.3069)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return log_odds(positive, negatives)

    def value(self, log_xi: Tensor) -> Tensor:
        return log_xi

    def weight(self, log_xi: Tensor) -> Tensor:
        return torch.ones_like(log_xi)


class DetachedFlatNCE(FlatNCE):
    """xi / sg(xi), as published (arXiv 2107.01152): its value is always 1, and only its gradient matters.

    Written as exp(log xi - sg(log xi)), which cannot overflow where xi would.

    >>> DetachedFlatNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(1.)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        log_xi = log_odds(positive, negatives)
        return torch.exp(log_xi - log_xi.detach())

    def value(self, log_xi: Tensor) -> Tensor:
        return torch.ones_like(log_xi)


class InfoNCE(ContrastiveLoss):
    """log(1 + xi) = softplus(log xi) (arXiv 1807.03748, equation 4; NT-Xent in arXiv 2002.05709).

    The positive stays out of the log-sum-exp, so that a small xi is never added to 1 and rounded away: value
    and gradient keep their relative accuracy for every xi.

    >>> InfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))  # log(1 + 2 exp(-2))
    tensor(0.2395)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return self.value(log_odds(positive, negatives))

    def value(self, log_xi: Tensor) -> Tensor:
        # torch's softplus returns its argument above 20, an error of 2e-9; logsigmoid has no such threshold.
        return -F.logsigmoid(-log_xi)

    def weight(self, log_xi: Tensor) -> Tensor:
        return torch.sigmoid(log_xi)


class NaiveInfoNCE(InfoNCE):
    """log(1 + sum exp(s_i - s_t)), computed exactly as it is written.

    Its value is 0 where xi is below half a unit in the last place of 1, and inf where xi overflows.

    >>> NaiveInfoNCE(temperature=0.01)(torch.eye(2), torch.eye(2))  # 2 exp(-100) is lost beside 1
    tensor(0.)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return torch.log(1 + torch.exp(negatives - positive[:, None]).sum(dim=1))


class CrossEntropyInfoNCE(InfoNCE):
    """Softmax cross-entropy with the positive as class 0, as most libraries write InfoNCE.

    Its gradient is softmax - onehot: p_t - 1 at the positive, a difference of nearly equal numbers for an easy
    anchor, and p_i at a negative, which stays accurate.

    >>> CrossEntropyInfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(0.2395)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        logits = torch.cat([positive[:, None], negatives], dim=1)
        target = torch.zeros(len(positive), dtype=torch.long, device=positive.device)
        return F.cross_entropy(logits, target, reduction="none")


class Float64InfoNCE(InfoNCE):
    """InfoNCE in float64: the views are converted first, and the result is rounded to their dtype.

    Rounding inside the loss costs nothing here; everything else is InfoNCE.

    >>> Float64InfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(0.2395)
    """

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        return super().__call__(view_a.double(), view_b.double()).to(view_a.dtype)

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return super().from_scores(positive.double(), negatives.double()).to(positive.dtype)


class DCL(FlatNCE):
    """-s_t + log sum_{i != t} exp(s_i): InfoNCE without the positive in the denominator (arXiv 2110.06848).

    With the same negatives this equals log xi; only the order of the subtraction differs.

    >>> DCL(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(-1.3069)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return -positive + torch.logsumexp(negatives, dim=1)


class WeightedDCL(ContrastiveLoss):
    """DCLW: DCL in which a positive counts more if its two views are less alike (arXiv 2110.06848).

    -w s_t + log sum_{i != t} exp(s_i) with the negative von Mises-Fisher weight
    w = 2 - exp(c_t / sigma) / mean over anchors of exp(c_t / sigma), c_t the positive's cosine.
    The gradient goes through w too: the formula has no stop-gradient.

    >>> WeightedDCL(temperature=0.5)(torch.eye(2), torch.eye(2))  # all positives alike: w = 1, DCL again
    tensor(-1.3069)
    """

    def __init__(self, temperature: float = 0.1, negatives: Negatives = "all", sigma: float = 0.5) -> None:
        super().__init__(temperature, negatives)
        self.sigma = sigma

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        # n * softmax equals exp / mean(exp) and cannot overflow.
        weight = 2 - len(positive) * torch.softmax(positive * (self.temperature / self.sigma), dim=0)
        return -weight * positive + torch.logsumexp(negatives, dim=1)

    def value(self, log_xi: Tensor) -> Tensor:
        raise ValueError(f"dclw is no function of log xi {list(log_xi.shape)}: its weight is on the positive alone")

    def weight(self, log_xi: Tensor) -> Tensor:
        raise ValueError(f"dclw has no weight on log xi {list(log_xi.shape)}: its weight is on the positive alone")
