"""Tasks without data: the published example, what must stay as it is, and a simulation after the paper's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness_plugins.can.uncertainty import top_entropy

if TYPE_CHECKING:
    from harness.running.run import Run

Refine = Callable[[Tensor, Tensor], Tensor]

#: A probability that moves by more than this has changed; rounding moves it by less in every dtype but half.
CHANGED = 1e-5
#: Upper border of an entropy bucket by its lower one.
BUCKETS = {0.25: 0.5, 0.5: 0.75, 0.75: 1.0}
#: Rows that are drawn at once where some are to be thrown away.
DRAWN = 1024
#: Scales of the logits of drawn rows: from nearly flat to nearly certain.
SCALES = (0.2, 8.0)
#: Rounds of drawing after which a bucket counts as out of reach.
ROUNDS = 100


def published_examples(refine: Refine, run: Run) -> dict[str, float]:
    """The example of the authors' repository, and the one that the article begins with."""
    even = torch.tensor([0.5, 0.5], device=run.device, dtype=run.dtype)
    first = {}
    for name, certain in (("repository", 0.0), ("article", 0.05)):
        rows = torch.tensor([[0.5, 0.5], [certain, 1 - certain]], device=run.device, dtype=run.dtype)
        first[name] = refine(rows, even)[0, 0].item()
    return first


def invariances(refine: Refine, run: Run) -> dict[str, float]:
    """Count what changes on random rows though the article says, or one would expect, that it does not."""
    sure, unsure = run.options["sure"], run.options["unsure"]
    rows = torch.cat([_rows(sure, run, 0.0, 0.5), _rows(unsure, run, 0.95, 1.0)])
    order = torch.randperm(len(rows), generator=run.generator)
    rows = rows[order].to(run.device, run.dtype)
    is_sure = (order < sure).to(run.device)
    uneven = (1 + torch.rand(rows.shape[1], generator=run.generator, dtype=torch.float64)).to(run.device, run.dtype)
    uneven = uneven / uneven.sum()
    refined = refine(rows, uneven)
    matched = rows[is_sure].double().mean(dim=0).to(run.dtype)
    settled = refine(rows, matched)
    moved = (settled.double() - rows.double()).abs().amax(dim=1)
    again = torch.randperm(len(rows), generator=run.generator).to(run.device)
    reordered = refine(rows[again], uneven)
    return {
        "sure_changed": int((refined != rows).any(dim=1)[is_sure].sum()),
        "matched_flips": int((settled.argmax(dim=1) != rows.argmax(dim=1)).sum()),
        "matched_changed": int((moved > CHANGED).sum()),
        "largest_matched_change": moved.max().item(),
        "order_changed": int(((reordered - refined[again]).abs().amax(dim=1) > CHANGED).sum()),
    }


def simulation(refine: Refine, run: Run) -> dict[str, float]:
    """Unsure rows against C - 1 sure ones with a peak each, drawn many times, by the paper's own measures.

    After the simulation in github.com/KMnP/can: its gain is (b' - b) . prior / (b . prior), which asks how
    near a row comes to the prior and knows no labels. So that a refiner can be called as it is, the sure rows
    are from the lowest entropy bucket and the others from the one that begins at ``tau``.
    ``calibrated_change`` asks what happens to accuracy if b is what it says, the distribution of the label.
    """
    classes, draws, tau = run.options["classes"], run.options["draws"], run.options["tau"]
    gains, flipped, changes = [], [], []
    for number in range(draws):
        sure = _rows(classes - 1, run, 0.0, min(BUCKETS), classes)
        rows = _rows(run.options["rows"], run, tau, BUCKETS[tau], classes)
        prior = 1 + torch.rand(classes, generator=run.generator, dtype=torch.float64)
        prior = (prior / prior.sum()).to(run.device, run.dtype)
        given = torch.cat([sure, rows]).to(run.device, run.dtype)
        after = refine(given, prior)[classes - 1 :].double()
        before, shares = given[classes - 1 :].double(), prior.double()
        gains.append(((after - before) @ shares / (before @ shares)).mean())
        decided = after.argmax(dim=1)
        flipped.append((decided != before.argmax(dim=1)).double().mean())
        changes.append((before.gather(1, decided[:, None])[:, 0] - before.amax(dim=1)).mean())
        run.progress(number + 1, draws)
    return {
        "relative_gain": torch.stack(gains).mean().item(),
        "flip_share": torch.stack(flipped).mean().item(),
        "calibrated_change": torch.stack(changes).mean().item(),
    }


def _rows(count: int, run: Run, low: float, high: float, classes: int | None = None) -> Tensor:
    """``count`` random rows [count, C] in float64 whose top-k entropy is at least ``low`` and below ``high``."""
    classes = classes or run.options["classes"]
    found: list[Tensor] = []
    for _ in range(ROUNDS):
        scale = torch.rand(DRAWN, 1, generator=run.generator, dtype=torch.float64)
        logits = torch.randn(DRAWN, classes, generator=run.generator, dtype=torch.float64)
        rows = torch.softmax((SCALES[0] + (SCALES[1] - SCALES[0]) * scale) * logits, dim=1)
        entropy = top_entropy(rows, run.options["k"])
        found.append(rows[(entropy >= low) & (entropy < high)])
        if sum(map(len, found)) >= count:
            return torch.cat(found)[:count]
    raise ValueError(f"classes = {classes}: no {count} rows with an entropy from {low:g} to {high:g} could be drawn")
