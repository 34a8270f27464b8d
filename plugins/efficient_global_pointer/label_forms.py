"""The task ner/label-forms: training speed with labels as indices, over that with labels as a multi-hot tensor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.efficient_global_pointer.heads import DenseEfficientGlobalPointer
from harness_plugins.efficient_global_pointer.multilabel import MultilabelLoss
from harness_plugins.efficient_global_pointer.turns import time_in_turns

if TYPE_CHECKING:
    from harness.running.run import Run

#: Width of the hidden states: small, as the scores of all cells cost far more than the layers that make them.
WIDTH = 128
#: Entities of a text, and tokens of an entity at most.
ENTITIES, LONGEST = 6, 8


def training_step(loss: MultilabelLoss, run: Run) -> dict[str, float]:
    """Steps a second, and the speed over that of the dense form with multi-hot labels: medians over turns.

    A step covers everything after spans and hidden states: making the labels, scores of all cells, loss, gradients and
    Adam. Raises UsageError for a loss of another plugin.
    """
    if not isinstance(loss, MultilabelLoss):
        raise UsageError(
            "ner/label-forms times this plugin's forms of the loss: a span scorer calls them by their rows"
        )
    batch = _batch(run)
    steps = tuple(partial(_step, *_head_and_optimizer(form, run), *batch) for form in (loss, MultilabelLoss("zlpr")))
    seconds = time_in_turns((steps[0], steps[1]), run.options["steps"], run.device, run.progress)
    return {"steps_per_second": 1 / seconds.median, "times_multi_hot": seconds.speedup}


def _head_and_optimizer(form: MultilabelLoss, run: Run) -> tuple[DenseEfficientGlobalPointer, torch.optim.Optimizer]:
    """A scorer trained with this form, the same for every form, and its optimizer."""
    generator = torch.Generator().manual_seed(run.seed)
    head = DenseEfficientGlobalPointer(run.options["kinds"], WIDTH, generator=generator)
    head.form = form
    head = head.to(run.device, run.dtype)
    return head, torch.optim.Adam(head.parameters(), fused=run.device.type in ("cpu", "cuda"))


def _batch(run: Run) -> tuple[Tensor, Tensor, Tensor]:
    """Random hidden states, a mask without padding, and spans."""
    batch, kinds, length = (run.options[name] for name in ("batch_size", "kinds", "length"))
    hidden = torch.randn(batch, length, WIDTH, generator=run.generator).to(run.device, run.dtype)
    mask = torch.ones(batch, length, dtype=torch.bool, device=run.device)
    start = torch.randint(length, (batch * ENTITIES,), generator=run.generator)
    end = (start + torch.randint(LONGEST, (len(start),), generator=run.generator)).clamp_max(length - 1)
    kind = torch.randint(kinds, (len(start),), generator=run.generator)
    text = torch.arange(batch).repeat_interleave(ENTITIES)
    return hidden, mask, torch.stack([text, kind, start, end], dim=1).to(run.device)


def _step(head: Any, optimizer: torch.optim.Optimizer, hidden: Tensor, mask: Tensor, spans: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(head.loss(hidden, mask, spans))
    optimizer.step()
