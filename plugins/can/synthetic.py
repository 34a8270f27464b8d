"""Tasks on synthetic predictions: the published examples, invariances, and a simulation like the paper's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness_plugins.can.uncertainty import top_entropy

if TYPE_CHECKING:
    from harness.running.run import Run

Refine = Callable[[Tensor, Tensor], Tensor]

#: A probability has changed if it differs by more than this; rounding is smaller in every dtype except half.
CHANGED = 1e-5
#: Ranges of entropy in the simulation: upper border by lower border.
BUCKETS = {0.25: 0.5, 0.5: 0.75, 0.75: 1.0}
#: Number of random rows in one draw, of which those in the range of entropy are used.
DRAW_SIZE = 1024
#: Scales of the logits of random rows: from nearly flat to nearly certain.
SCALES = (0.2, 8.0)
#: Number of draws after which a range of entropy counts as out of reach.
MOST_DRAWS = 100


def published_examples(refine: Refine, run: Run) -> dict[str, float]:
    """The example of the authors' repository, and the article's first example."""
    even = torch.tensor([0.5, 0.5], device=run.device, dtype=run.dtype)
    metrics = {}
    for name, probability in (("repository", 0.0), ("article", 0.05)):
        rows = torch.tensor([[0.5, 0.5], [probability, 1 - probability]], device=run.device, dtype=run.dtype)
        metrics[name] = refine(rows, even)[0, 0].item()
    return metrics


def invariances(refine: Refine, run: Run) -> dict[str, float]:
    """Count changes on random rows where, by the article or by common sense, nothing changes."""
    sure, unsure = run.options["sure"], run.options["unsure"]
    rows = torch.cat([_random_rows(sure, run, 0.0, 0.5), _random_rows(unsure, run, 0.95, 1.0)])
    order = torch.randperm(len(rows), generator=run.generator)
    rows = rows[order].to(run.device, run.dtype)
    is_sure = (order < sure).to(run.device)
    uneven = (1 + torch.rand(rows.shape[1], generator=run.generator, dtype=torch.float64)).to(run.device, run.dtype)
    uneven = uneven / uneven.sum()
    refined = refine(rows, uneven)
    matching_prior = rows[is_sure].double().mean(dim=0).to(run.dtype)
    matched = refine(rows, matching_prior)
    change = (matched.double() - rows.double()).abs().amax(dim=1)
    other_order = torch.randperm(len(rows), generator=run.generator).to(run.device)
    reordered = refine(rows[other_order], uneven)
    return {
        "sure_changed": int((refined != rows).any(dim=1)[is_sure].sum()),
        "matched_flips": int((matched.argmax(dim=1) != rows.argmax(dim=1)).sum()),
        "matched_changed": int((change > CHANGED).sum()),
        "largest_matched_change": change.max().item(),
        "order_changed": int(((reordered - refined[other_order]).abs().amax(dim=1) > CHANGED).sum()),
    }


def simulation(refine: Refine, run: Run) -> dict[str, float]:
    """Refine unsure rows with C - 1 sure rows of one peak each, drawn many times, by the paper's own measures.

    Follows the simulation in github.com/KMnP/can. Its gain is (b' - b) . prior / (b . prior): how much nearer a row
    comes to the prior; labels have no part in it. The sure rows come from the lowest range of entropy and the unsure
    rows from the range that begins at ``tau``, so that a refiner finds both kinds by its own rule.
    ``calibrated_change`` is the change of accuracy if b is true, that is, if it is the distribution of the label.
    """
    classes, draws, tau = run.options["classes"], run.options["draws"], run.options["tau"]
    gains, flip_shares, changes = [], [], []
    for number in range(draws):
        sure = _random_rows(classes - 1, run, 0.0, min(BUCKETS), classes)
        unsure = _random_rows(run.options["rows"], run, tau, BUCKETS[tau], classes)
        prior = 1 + torch.rand(classes, generator=run.generator, dtype=torch.float64)
        prior = (prior / prior.sum()).to(run.device, run.dtype)
        rows = torch.cat([sure, unsure]).to(run.device, run.dtype)
        after = refine(rows, prior)[classes - 1 :].double()
        before, shares = rows[classes - 1 :].double(), prior.double()
        gains.append(((after - before) @ shares / (before @ shares)).mean())
        decisions = after.argmax(dim=1)
        flip_shares.append((decisions != before.argmax(dim=1)).double().mean())
        changes.append((before.gather(1, decisions[:, None])[:, 0] - before.amax(dim=1)).mean())
        run.progress(number + 1, draws)
    return {
        "relative_gain": torch.stack(gains).mean().item(),
        "flip_share": torch.stack(flip_shares).mean().item(),
        "calibrated_change": torch.stack(changes).mean().item(),
    }


def _random_rows(count: int, run: Run, low: float, high: float, classes: int | None = None) -> Tensor:
    """``count`` random rows [count, C] in float64 whose top-k entropy is at least ``low`` and below ``high``."""
    classes = classes or run.options["classes"]
    accepted: list[Tensor] = []
    for _ in range(MOST_DRAWS):
        scale = torch.rand(DRAW_SIZE, 1, generator=run.generator, dtype=torch.float64)
        logits = torch.randn(DRAW_SIZE, classes, generator=run.generator, dtype=torch.float64)
        rows = torch.softmax((SCALES[0] + (SCALES[1] - SCALES[0]) * scale) * logits, dim=1)
        entropy = top_entropy(rows, run.options["k"])
        accepted.append(rows[(entropy >= low) & (entropy < high)])
        if sum(map(len, accepted)) >= count:
            return torch.cat(accepted)[:count]
    raise ValueError(f"classes = {classes}: {count} rows with an entropy from {low:g} to {high:g} could not be drawn")
