"""Contrastive losses that differ only in how they treat xi, the odds against the positive.

For one anchor with the score s_t of its positive and the scores s_i of its negatives (cosine / temperature),

    xi = sum_{i != t} exp(s_i - s_t),    log xi = logsumexp_{i != t}(s_i) - s_t,    p_t = 1 / (1 + xi).

InfoNCE is log(1 + xi), FlatNCE has the gradient of log xi, and by the chain rule the first has the second's
gradient times xi / (1 + xi) = 1 - p_t. Every loss here says what it multiplies that gradient with in
``weight``.
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
    Returns [N]. The largest score is taken out before the exponential, so that no finite scores overflow.

    >>> log_odds(torch.tensor([2.0]), torch.tensor([[1.0, 1.0, -torch.inf]]))  # log(2) - 1
    tensor([-0.3069])
    """
    return torch.logsumexp(negatives, dim=1) - positive


def scores(view_a: Tensor, view_b: Tensor, temperature: float, negatives: Negatives = "all") -> tuple[Tensor, Tensor]:
    """Scores of the positive [2B] and of the negatives [2B, K] of every anchor of a batch of pairs.

    ``view_a`` and ``view_b`` are [B, d] of one floating dtype, rows paired; they are normalised here. An
    anchor is each row of ``view_a``, then each row of ``view_b``; a score is its cosine with another row over
    ``temperature``.

    - ``"all"``: the 2B - 2 other rows of both views are negatives (SimCLR, arXiv 2002.05709, equation 1; K = 2B).
    - ``"cross"``: the B - 1 other rows of the opposite view are (CLIP, SimCSE; K = B).

    K counts the columns; the anchor itself and its positive stand in them as -inf.
    Raises ValueError if the shapes are not those, or if a batch of one pair leaves no negative.

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
    """What all these losses share: in-batch scores, then one loss per anchor, then the mean over anchors.

    A loss gives ``from_scores``; ``value`` and ``weight`` are its value and its coupling in closed form.
    """

    def __init__(self, temperature: float = 0.1, negatives: Negatives = "all") -> None:
        if negatives not in ("all", "cross"):
            raise ValueError(f"negatives = {negatives!r}: 'all' or 'cross' is allowed")
        self.temperature = temperature
        self.negatives: Negatives = negatives

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """Mean loss of a batch of pairs: ``view_a`` and ``view_b`` [B, d], not yet normalised, to a scalar."""
        return self.from_scores(*self.scores(view_a, view_b)).mean()

    def scores(self, view_a: Tensor, view_b: Tensor) -> tuple[Tensor, Tensor]:
        """Scores under this loss's temperature and choice of negatives (see the function ``scores``)."""
        return scores(view_a, view_b, self.temperature, self.negatives)

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        """Loss of each anchor [N] from ``positive`` [N] and ``negatives`` [N, K], where -inf does not count."""
        raise NotImplementedError

    def value(self, log_xi: Tensor) -> Tensor:
        """The loss of each anchor as a function of log xi [N], in closed form."""
        raise NotImplementedError

    def weight(self, log_xi: Tensor) -> Tensor:
        """What multiplies each anchor's gradient of log xi [N], in closed form."""
        raise NotImplementedError


class FlatNCE(ContrastiveLoss):
    """log xi itself: every anchor weighs the same, however easy it is.

    The same gradient as FlatNCE's (arXiv 2107.01152) without its stop-gradient, as derived in
    kexue.fm/archives/8586. May be negative, which is normal.

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
    """xi / sg(xi), as published (arXiv 2107.01152): always 1, only its gradient matters.

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

    The positive is kept out of the log-sum-exp, so that xi is never added to a 1 that would swallow it: value
    and gradient keep their relative accuracy however small xi is.

    >>> InfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))  # log(1 + 2 exp(-2))
    tensor(0.2395)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return self.value(log_odds(positive, negatives))

    def value(self, log_xi: Tensor) -> Tensor:
        # torch's softplus returns its argument above 20, which is wrong by 2e-9; logsigmoid has no such
        # threshold.
        return -F.logsigmoid(-log_xi)

    def weight(self, log_xi: Tensor) -> Tensor:
        return torch.sigmoid(log_xi)


class NaiveInfoNCE(InfoNCE):
    """log(1 + sum exp(s_i - s_t)) as the formula stands.

    Its value is 0 once xi is below half a unit in the last place of 1, and inf once xi overflows.

    >>> NaiveInfoNCE(temperature=0.01)(torch.eye(2), torch.eye(2))  # 2 exp(-100) is lost beside 1
    tensor(0.)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return torch.log(1 + torch.exp(negatives - positive[:, None]).sum(dim=1))


class CrossEntropyInfoNCE(InfoNCE):
    """Softmax cross-entropy with the positive as class 0, as most libraries write InfoNCE.

    Its gradient is softmax - onehot: at the positive p_t - 1, a difference of nearly equal numbers once the
    anchor is easy; at the negatives p_i, which stays accurate.

    >>> CrossEntropyInfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(0.2395)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        logits = torch.cat([positive[:, None], negatives], dim=1)
        target = torch.zeros(len(positive), dtype=torch.long, device=positive.device)
        return F.cross_entropy(logits, target, reduction="none")


class Float64InfoNCE(InfoNCE):
    """InfoNCE computed in float64 from the views on and handed back in their dtype.

    What rounding inside the loss could have cost, it does not cost here; everything else is InfoNCE.

    >>> Float64InfoNCE(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(0.2395)
    """

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        return super().__call__(view_a.double(), view_b.double()).to(view_a.dtype)

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return super().from_scores(positive.double(), negatives.double()).to(positive.dtype)


class DCL(FlatNCE):
    """-s_t + log sum_{i != t} exp(s_i): the positive taken out of the denominator (arXiv 2110.06848).

    With the same negatives this is log xi again; only the order of the subtraction differs.

    >>> DCL(temperature=0.5)(torch.eye(2), torch.eye(2))
    tensor(-1.3069)
    """

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return -positive + torch.logsumexp(negatives, dim=1)


class WeightedDCL(ContrastiveLoss):
    """DCLW: DCL whose positive counts more the less alike the two views are (arXiv 2110.06848).

    -w s_t + log sum_{i != t} exp(s_i) with the negative von Mises-Fisher weight
    w = 2 - exp(c_t / sigma) / mean over anchors of exp(c_t / sigma), c_t the positive's cosine.
    The gradient goes through w, as the formula stands.

    >>> WeightedDCL(temperature=0.5)(torch.eye(2), torch.eye(2))  # all positives alike: w = 1, DCL again
    tensor(-1.3069)
    """

    def __init__(self, temperature: float = 0.1, negatives: Negatives = "all", sigma: float = 0.5) -> None:
        super().__init__(temperature, negatives)
        self.sigma = sigma

    def from_scores(self, positive: Tensor, negatives: Tensor) -> Tensor:
        # n * softmax is exp / mean(exp) without its overflow.
        weight = 2 - len(positive) * torch.softmax(positive * (self.temperature / self.sigma), dim=0)
        return -weight * positive + torch.logsumexp(negatives, dim=1)

    def value(self, log_xi: Tensor) -> Tensor:
        raise ValueError(f"dclw is no function of log xi {list(log_xi.shape)}: it weighs its positive alone")

    def weight(self, log_xi: Tensor) -> Tensor:
        raise ValueError(f"dclw has no weight on log xi {list(log_xi.shape)}: it weighs its positive alone")
