"""How fast a scorer trains with its labels as indices, measured in turns with labels as a multi-hot tensor."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import torch

from harness.errors import UsageError
from harness_plugins.efficient_global_pointer.heads import DenseEfficientGlobalPointer
from harness_plugins.efficient_global_pointer.multilabel import MultilabelLoss

if TYPE_CHECKING:
    from harness.running.run import Run

#: Width of the hidden states that are given: the scores of all cells cost far more than what makes them.
WIDTH = 128
#: Entities of a text, and tokens of an entity at most.
ENTITIES, LONGEST = 6, 8


def training_step(loss: MultilabelLoss, run: Run) -> dict[str, float]:
    """Steps a second, and the ratio to the dense form with multi-hot labels: the median over steps taken in turns.

    A step is everything from spans and hidden states on: making the labels, scores of all cells, loss, gradients and
    Adam. On a CPU the time is the processor's, elsewhere the clock's, with the device waited for. Raises UsageError
    for a loss that is not one of the plugin's.
    """
    if not isinstance(loss, MultilabelLoss):
        raise UsageError("ner/label-forms times the plugin's forms of the loss: a span scorer calls them by their rows")
    batch, kinds, length = (run.options[name] for name in ("batch_size", "kinds", "length"))
    heads = []
    for form in (loss, MultilabelLoss("zlpr")):
        head = DenseEfficientGlobalPointer(kinds, WIDTH, generator=torch.Generator().manual_seed(run.seed))
        head.form = form
        heads.append(head.to(run.device, run.dtype))
    steppers = [torch.optim.Adam(head.parameters(), fused=run.device.type in ("cpu", "cuda")) for head in heads]
    hidden = torch.randn(batch, length, WIDTH, generator=run.generator).to(run.device, run.dtype)
    mask = torch.ones(batch, length, dtype=torch.bool, device=run.device)
    start = torch.randint(length, (batch * ENTITIES,), generator=run.generator)
    end = (start + torch.randint(LONGEST, (len(start),), generator=run.generator)).clamp_max(length - 1)
    kind = torch.randint(kinds, (len(start),), generator=run.generator)
    text = torch.arange(batch).repeat_interleave(ENTITIES)
    spans = torch.stack([text, kind, start, end], dim=1).to(run.device)

    def step(which: int) -> float:
        begin = _now(run.device)
        steppers[which].zero_grad()
        torch.autograd.backward(heads[which].loss(hidden, mask, spans))
        steppers[which].step()
        return _now(run.device) - begin

    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(run.options["steps"] + 1):
        # Who goes first changes, so that a drift of the machine favours neither; the first turn does not count.
        for which in (0, 1) if turn % 2 else (1, 0):
            taken = step(which)
            if turn:
                seconds[which].append(taken)
        run.progress(turn + 1, run.options["steps"] + 1)
    return {
        "steps_per_second": 1 / statistics.median(seconds[0]),
        "times_multi_hot": statistics.median(theirs / ours for ours, theirs in zip(*seconds, strict=True)),
    }


def _now(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize()
    return time.perf_counter()
