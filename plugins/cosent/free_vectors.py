"""Can vectors of few dimensions have any similarities that labels ask for? Free vectors, trained on all pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize

if TYPE_CHECKING:
    from harness.running.run import Run


def fit_free_vectors(loss: Callable[[Tensor, Tensor], Tensor], run: Run) -> dict[str, float]:
    """The metrics of ``matching/free-vectors``: orders of pairs that are still wrong after training.

    Fits ``items`` vectors of ceil(factor ln items) dimensions to labels of all their pairs: ``random`` labels, or 1
    within random ``groups`` of about eight and 0 between them. The best such vectors bound what an encoder can do.
    ``steps`` of Adam may not find the best ones.
    """
    options = run.options
    items, steps = options["items"], options["steps"]
    dimensions = math.ceil(options["factor"] * math.log(items))
    first, second = torch.triu_indices(items, items, offset=1)
    if options["labels"] == "random":
        label = (torch.rand(len(first), generator=run.generator) < 0.5).to(run.dtype)
    else:
        group = torch.randint(max(2, items // 8), (items,), generator=run.generator)
        label = (group[first] == group[second]).to(run.dtype)
    start = torch.randn(items, dimensions, generator=run.generator)
    vectors = start.to(run.device, run.dtype).requires_grad_()
    first, second, label = first.to(run.device), second.to(run.device), label.to(run.device)
    adam = torch.optim.Adam([vectors], lr=options["learning_rate"])
    for step in range(steps):
        adam.param_groups[0]["lr"] = options["learning_rate"] * (1 - step / steps)
        cosine = (normalize(vectors) @ normalize(vectors).T)[first, second]
        value = loss(cosine, label)
        adam.zero_grad()
        torch.autograd.backward(value)
        adam.step()
        run.progress(step + 1, steps)
        if step % max(1, steps // 100) == 0:
            run.log(step, loss=value.item())
    with torch.no_grad():
        cosine = (normalize(vectors) @ normalize(vectors).T)[first, second]
    return {
        "wrong_orders": wrong_orders(cosine, label),
        "dimensions": dimensions,
        "numbers_per_label": items * dimensions / len(label),
    }


def wrong_orders(cosine: Tensor, label: Tensor) -> float:
    """Share of the combinations of a 1 and a 0 whose cosines are in the wrong order or equal; O(N log N).

    >>> wrong_orders(torch.tensor([0.9, 0.5, 0.6, 0.1]), torch.tensor([1.0, 1.0, 0.0, 0.0]))
    0.25
    """
    ones, zeros = cosine[label > 0.5], cosine[label <= 0.5].sort().values
    if not len(ones) or not len(zeros):
        return 0.0
    below = torch.searchsorted(zeros, ones.contiguous(), right=False)
    return 1 - float(below.double().mean()) / len(zeros)
