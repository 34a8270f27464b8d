"""Does the inequality hold for every sample before and during training, and how tight is it?"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness_plugins.gradient_penalty.bound import Bound, bound
from harness_plugins.gradient_penalty.gradient_norms import LossFunction
from harness_plugins.gradient_penalty.penalties import BatchParameterPenalty
from harness_plugins.gradient_penalty.training import Penalty, accuracy, new_model, problem, train_and_measure
from harness_plugins.images.labelled import Labelled

if TYPE_CHECKING:
    from harness.running.run import Run

#: A left side above the right one by a smaller share than this is rounding and no violation. In float64 a few products
#: of matrices with at most some hundred columns, as in both sides, have relative errors below 1e-12.
ROUNDING = 1e-9


def inequality(penalty: Penalty, run: Run, dataset: str) -> dict[str, float]:
    """Train an MLP under ``penalty`` and check the inequality in float64 at each checkpoint.

    The same training rows are measured each time. Random draws, in this order: weights, these rows, order of
    batches. For the batch mean, the left side is the mean of the rows' left sides and the right side that of the
    gradient of the rows' mean loss. "joint" takes this loss's gradient at all inputs for the left side, which makes
    it 1 / samples of the mean.
    """
    task = problem(run, dataset, run.options["outputs"])
    model = new_model(run.options, task, run.generator, task.train.inputs)
    chosen = torch.randperm(len(task.train), generator=run.generator)[: run.options["samples"]]
    measured = task.train[chosen.to(run.device)]
    checkpoints: list[Bound] = []
    batch_tightness: list[float] = []

    def measure(step: int) -> None:
        sides = bound(model, measured.inputs, measured.labels, task.loss_fn)
        checkpoints.append(sides)
        left = (sides.input_gradient * sides.bracket).mean().item()
        batch_tightness.append(left / batch_square(model, measured, task.loss_fn))
        run.log(
            step,
            tightness=sides.tightness.nanmedian().item(),
            bracket=sides.bracket.median().item(),
            spectral_norm=sides.weight.mean().item(),
            batch_mean_tightness=batch_tightness[-1],
        )

    train_and_measure(model, penalty, task, run, measure)
    first, last = checkpoints[0], checkpoints[-1]
    tightness = torch.cat([sides.tightness for sides in checkpoints])
    tightness = tightness[tightness.isfinite()]
    if not len(tightness):
        raise FloatingPointError("both sides of the inequality are 0 for every sample: there is nothing to compare")
    return {
        "violations": sum(violations(sides.tightness) for sides in checkpoints),
        "frobenius_violations": sum(violations(sides.tightness_frobenius) for sides in checkpoints),
        "layer_violations": sum(violations(sides.tightness_of_layers) for sides in checkpoints),
        "batch_mean_violations": violations(torch.tensor(batch_tightness)),
        "joint_batch_violations": violations(torch.tensor(batch_tightness) / len(measured)),
        "batch_mean_tightness": min(batch_tightness),
        "identity_error": max(sides.identity_error.max().item() for sides in checkpoints),
        "equality_gap": (tightness - 1).abs().max().item(),
        "largest_tightness": tightness.max().item(),
        "tightness_initial": first.tightness.nanmedian().item(),
        "tightness_final": last.tightness.nanmedian().item(),
        "tightness_final_mean": last.tightness.nanmean().item(),
        "tightness_final_frobenius": last.tightness_frobenius.nanmedian().item(),
        "bracket_initial": first.bracket.median().item(),
        "bracket_final": last.bracket.median().item(),
        "bracket_fall": (first.bracket.median() / last.bracket.median()).item(),
        "spectral_norm_initial": first.weight.mean().item(),
        "spectral_norm_final": last.weight.mean().item(),
        "train_accuracy": accuracy(model, task.train),
    }


on_digits = partial(inequality, dataset="digits")
on_mnist = partial(inequality, dataset="mnist")


def violations(tightness: Tensor) -> int:
    """Number of quotients above 1 by more than rounding. NaN, from 0 / 0, is no violation; infinity is one."""
    return int((tightness > 1 + ROUNDING).sum())


def batch_square(model: nn.Module, rows: Labelled, loss_fn: LossFunction) -> float:
    """Squared norm of the gradient of the rows' mean loss at all parameters, in float64."""
    labels = rows.labels.double() if rows.labels.is_floating_point() else rows.labels
    return BatchParameterPenalty(1.0)(deepcopy(model).double(), rows.inputs.double(), labels, loss_fn).item()
