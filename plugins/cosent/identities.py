"""What a loss of cosines and labels must satisfy by its definition, counted on random batches in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from harness.running.run import Run

#: Relative error that float64 sums of some hundred exponentials stay well within.
TOLERANCE = 1e-9

Loss = Callable[[Tensor, Tensor], Tensor]


def count_violations(loss: Loss, run: Run) -> dict[str, float]:
    """The metrics of ``matching/identities``: draws of random pairs in which a statement does not hold.

    Cosines spread over all of -1 to 1 in one draw and over a thousandth of that in another; labels are ``grades``
    whole numbers. All-equal and perfectly separated batches take their turn.
    """
    pairs, grades, scale = (run.options[name] for name in ("pairs", "grades", "scale"))
    counts = dict.fromkeys(
        ("relabelled", "shifted", "reordered", "unranked", "definition", "gradient", "bound", "mse_gradient"), 0
    )
    largest = 0.0
    for draw in range(run.options["draws"]):
        width = 10 ** (-3 * float(torch.rand((), generator=run.generator)))
        cosine = width * (2 * torch.rand(pairs, generator=run.generator, dtype=torch.float64) - 1)
        label = torch.randint(grades, (pairs,), generator=run.generator).double()
        if draw % 5 == 1:
            cosine = cosine.sort().values
            label = label.sort().values
        if draw % 5 == 2:
            cosine = torch.full_like(cosine, float(cosine[0]))
        cosine, label = cosine.to(run.device), label.to(run.device)
        value, gradient = _both(loss, cosine, label)

        # Added up before they are moved: a GPU has no deterministic cumsum.
        rising = (torch.rand(grades, generator=run.generator, dtype=torch.float64) + 0.01).cumsum(0).to(run.device)
        counts["relabelled"] += not _same((value, gradient), _both(loss, cosine, rising[label.long()]))
        counts["shifted"] += not _same((value, gradient), _both(loss, cosine + 0.25, label))
        order = torch.randperm(pairs, generator=run.generator).to(run.device)
        moved, turned = _both(loss, cosine[order], label[order])
        counts["reordered"] += not _same((value, gradient[order]), (moved, turned))
        zero, flat = _both(loss, cosine, torch.ones_like(label))
        counts["unranked"] += bool(zero != 0 or flat.any())

        truth, slope, worst, terms = by_the_definition(cosine, label, scale)
        error = abs(float(value) - truth) / max(abs(truth), 1e-300)
        largest = max(largest, min(error, 1.0))
        counts["definition"] += error > TOLERANCE
        counts["gradient"] += not _near(gradient, slope)
        low, high = math.log1p(math.exp(scale * worst)), math.log1p(terms * math.exp(scale * worst))
        counts["bound"] += bool(terms) and not low * (1 - TOLERANCE) <= float(value) <= high * (1 + TOLERANCE)
        share = label / (grades - 1)
        counts["mse_gradient"] += not _near(_both(loss, cosine, share)[1], 2 * (cosine - share) / pairs)
    return {**{name: float(count) for name, count in counts.items()}, "largest_error": largest}


def by_the_definition(cosine: Tensor, label: Tensor, scale: float) -> tuple[float, Tensor, float, int]:
    """CoSENT's loss and gradient [N] pair by pair, the largest violation of an order, and how many orders there are.

    >>> value, gradient, worst, terms = by_the_definition(torch.tensor([0.5, 0.2]), torch.tensor([0, 1]), 1.0)
    >>> round(value, 4), [round(slope, 4) for slope in gradient.tolist()], round(worst, 4), terms
    (0.8544, [0.5744, -0.5744], 0.3, 1)
    """
    # Exact to the last digit or two: the terms are added from the smallest on by math.fsum.
    c, y = cosine.tolist(), label.tolist()
    compared = [(i, j) for i in range(len(c)) for j in range(len(c)) if y[i] > y[j]]
    terms = [math.exp(scale * (c[j] - c[i])) for i, j in compared]
    total = math.fsum(terms)
    slope = [0.0] * len(c)
    for (i, j), term in zip(compared, terms, strict=True):
        slope[i] -= scale * term / (1 + total)
        slope[j] += scale * term / (1 + total)
    worst = max((c[j] - c[i] for i, j in compared), default=0.0)
    return math.log1p(total), torch.tensor(slope, dtype=torch.float64, device=cosine.device), worst, len(compared)


def _both(loss: Loss, cosine: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient [N]."""
    leaf = cosine.detach().clone().requires_grad_()
    value = loss(leaf, label)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def _same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return _near(one[0].reshape(1), other[0].reshape(1)) and _near(one[1], other[1])


def _near(one: Tensor, other: Tensor) -> bool:
    """Whether two vectors differ by no more than the tolerance times their length."""
    return float((one - other).norm()) <= TOLERANCE * float(other.norm()) + 1e-300
