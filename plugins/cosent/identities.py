"""Identities that a loss of cosines and labels satisfies by its definition, tested on random batches in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from harness.running.run import Run

#: Relative error that float64 sums of some hundred exponentials stay well below.
TOLERANCE = 1e-9

Loss = Callable[[Tensor, Tensor], Tensor]


def count_violations(loss: Loss, run: Run) -> dict[str, float]:
    """The metrics of ``matching/identities``: random batches in which an identity does not hold."""
    pairs, grades, scale = (run.options[name] for name in ("pairs", "grades", "scale"))
    counts = dict.fromkeys(
        ("relabelled", "shifted", "reordered", "unranked", "definition", "gradient", "bound", "mse_gradient"), 0
    )
    largest_error = 0.0
    for number in range(run.options["draws"]):
        cosine, label = _batch(number, run)
        value, gradient = _value_and_gradient(loss, cosine, label)

        # Summed before it is moved: a GPU has no deterministic cumsum.
        rising = (torch.rand(grades, generator=run.generator, dtype=torch.float64) + 0.01).cumsum(0).to(run.device)
        counts["relabelled"] += not _same((value, gradient), _value_and_gradient(loss, cosine, rising[label.long()]))
        counts["shifted"] += not _same((value, gradient), _value_and_gradient(loss, cosine + 0.25, label))
        order = torch.randperm(pairs, generator=run.generator).to(run.device)
        reordered = _value_and_gradient(loss, cosine[order], label[order])
        counts["reordered"] += not _same((value, gradient[order]), reordered)
        equal_value, equal_gradient = _value_and_gradient(loss, cosine, torch.ones_like(label))
        counts["unranked"] += bool(equal_value != 0 or equal_gradient.any())

        true_value, true_gradient, worst, terms = by_the_definition(cosine, label, scale)
        error = abs(float(value) - true_value) / max(abs(true_value), 1e-300)
        largest_error = max(largest_error, min(error, 1.0))
        counts["definition"] += error > TOLERANCE
        counts["gradient"] += not _near(gradient, true_gradient)
        low, high = math.log1p(math.exp(scale * worst)), math.log1p(terms * math.exp(scale * worst))
        counts["bound"] += bool(terms) and not low * (1 - TOLERANCE) <= float(value) <= high * (1 + TOLERANCE)
        target = label / (grades - 1)
        mse_gradient = 2 * (cosine - target) / pairs
        counts["mse_gradient"] += not _near(_value_and_gradient(loss, cosine, target)[1], mse_gradient)
    return {**{name: float(count) for name, count in counts.items()}, "largest_error": largest_error}


def _batch(number: int, run: Run) -> tuple[Tensor, Tensor]:
    """Cosines and labels [N] of a draw. Labels are the whole numbers below ``grades``.

    Cosines fill an interval around 0 of a width between a thousandth and all of -1 to 1. Every fifth batch is
    perfectly separated, and every fifth has equal cosines.
    """
    pairs, generator = run.options["pairs"], run.generator
    width = 10 ** (-3 * float(torch.rand((), generator=generator)))
    cosine = width * (2 * torch.rand(pairs, generator=generator, dtype=torch.float64) - 1)
    label = torch.randint(run.options["grades"], (pairs,), generator=generator).double()
    if number % 5 == 1:
        cosine, label = cosine.sort().values, label.sort().values
    if number % 5 == 2:
        cosine = torch.full_like(cosine, float(cosine[0]))
    return cosine.to(run.device), label.to(run.device)


def by_the_definition(cosine: Tensor, label: Tensor, scale: float) -> tuple[float, Tensor, float, int]:
    """CoSENT term by term: its loss, its gradient [N], the largest violation of an order, and the number of orders.

    >>> value, gradient, worst, terms = by_the_definition(torch.tensor([0.5, 0.2]), torch.tensor([0, 1]), 1.0)
    >>> round(value, 4), [round(slope, 4) for slope in gradient.tolist()], round(worst, 4), terms
    (0.8544, [0.5744, -0.5744], 0.3, 1)
    """
    # math.fsum is exact, so the total is right to a last digit or two.
    c, y = cosine.tolist(), label.tolist()
    orders = [(i, j) for i in range(len(c)) for j in range(len(c)) if y[i] > y[j]]
    terms = [math.exp(scale * (c[j] - c[i])) for i, j in orders]
    total = math.fsum(terms)
    gradient = [0.0] * len(c)
    for (i, j), term in zip(orders, terms, strict=True):
        gradient[i] -= scale * term / (1 + total)
        gradient[j] += scale * term / (1 + total)
    worst = max((c[j] - c[i] for i, j in orders), default=0.0)
    return math.log1p(total), torch.tensor(gradient, dtype=torch.float64, device=cosine.device), worst, len(orders)


def _value_and_gradient(loss: Loss, cosine: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient [N]."""
    leaf = cosine.detach().clone().requires_grad_()
    value = loss(leaf, label)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def _same(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> bool:
    return _near(first[0].reshape(1), second[0].reshape(1)) and _near(first[1], second[1])


def _near(vector: Tensor, reference: Tensor) -> bool:
    """Whether the difference is at most the tolerance times the length of the reference."""
    return float((vector - reference).norm()) <= TOLERANCE * float(reference.norm()) + 1e-300
