"""Does the inequality hold sample by sample, before and through training, and how much room does it leave?"""

from __future__ import annotations

import math
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness_plugins.gradient_penalty.bound import Bound, bound, spectral_norm
from harness_plugins.gradient_penalty.gradient_norms import LossFunction
from harness_plugins.gradient_penalty.network import fill
from harness_plugins.gradient_penalty.penalties import BatchParameterPenalty
from harness_plugins.gradient_penalty.training import Labelled, Penalty, new_model, problem, walk

if TYPE_CHECKING:
    from harness.running.run import Run

#: A left side may exceed the right one by this share in float64 before it counts as a violation. Both sides go
#: through a few products of matrices of at most some hundred columns: rounding is below 1e-12.
ROUNDING = 1e-9


def inequality(penalty: Penalty, run: Run, dataset: str) -> dict[str, float]:
    """Train an MLP under ``penalty`` and check the inequality in float64 at each checkpoint.

    The same training rows are looked at each time. Draws: weights, these rows, order of batches. For the batch
    mean the left sides are averaged and the right side is the gradient of the mean loss of the same rows;
    "joint" takes the gradient of that mean at all inputs instead, which is 1 / samples of it.
    """
    task = problem(run, dataset, run.options["outputs"])
    model = new_model(run.options, task, run.generator, task.train.rows)
    chosen = torch.randperm(len(task.train), generator=run.generator)[: run.options["samples"]]
    looked_at = task.train[chosen.to(run.device)]
    seen: list[Bound] = []
    batch_tightness: list[float] = []

    def look(step: int) -> None:
        found = bound(model, looked_at.rows, looked_at.targets, task.loss_fn)
        seen.append(found)
        left = (found.input_gradient * found.bracket).mean().item()
        batch_tightness.append(left / batch_square(model, looked_at, task.loss_fn))
        run.log(
            step,
            tightness=found.tightness.nanmedian().item(),
            bracket=found.bracket.median().item(),
            spectral_norm=found.weight.mean().item(),
            batch_mean_tightness=batch_tightness[-1],
        )

    walk(model, penalty, task, run, look)
    first, last = seen[0], seen[-1]
    every = torch.cat([found.tightness for found in seen])
    every = every[every.isfinite()]
    if not len(every):
        raise FloatingPointError("both sides of the inequality are 0 for every sample: there is nothing to compare")
    return {
        "violations": sum(exceeding(found.tightness) for found in seen),
        "frobenius_violations": sum(exceeding(found.tightness_frobenius) for found in seen),
        "layer_violations": sum(exceeding(found.tightness_of_layers) for found in seen),
        "batch_mean_violations": exceeding(torch.tensor(batch_tightness)),
        "joint_batch_violations": exceeding(torch.tensor(batch_tightness) / len(looked_at)),
        "identity_error": max(found.identity_error.max().item() for found in seen),
        "equality_gap": (every - 1).abs().max().item(),
        "largest_tightness": every.max().item(),
        "tightness_initial": first.tightness.nanmedian().item(),
        "tightness_final": last.tightness.nanmedian().item(),
        "tightness_final_mean": last.tightness.nanmean().item(),
        "tightness_final_frobenius": last.tightness_frobenius.nanmedian().item(),
        "bracket_initial": first.bracket.median().item(),
        "bracket_final": last.bracket.median().item(),
        "bracket_fall": (first.bracket.median() / last.bracket.median()).item(),
        "spectral_norm_initial": first.weight.mean().item(),
        "spectral_norm_final": last.weight.mean().item(),
    }


on_digits = partial(inequality, dataset="digits")
on_mnist = partial(inequality, dataset="mnist")


def exceeding(tightness: Tensor) -> int:
    """How many quotients are above 1 by more than rounding. 0 / 0 is no violation, infinity is one."""
    return int((tightness > 1 + ROUNDING).sum())


def batch_square(model: nn.Module, rows: Labelled, loss_fn: LossFunction) -> float:
    """Squared norm of the gradient of the rows' mean loss at all parameters, in float64."""
    targets = rows.targets.double() if rows.targets.is_floating_point() else rows.targets
    return BatchParameterPenalty(1.0)(deepcopy(model).double(), rows.rows.double(), targets, loss_fn).item()


def initialisation(penalty: Penalty, run: Run) -> dict[str, float]:  # noqa: ARG001  no penalty acts before training
    """Singular values of one weight matrix as it is drawn, in float64."""
    rows, columns, how = run.options["rows"], run.options["columns"], run.options["initialisation"]
    weight = torch.empty(rows, columns, dtype=torch.float64)
    fill(weight, how, run.generator)
    norm = spectral_norm(weight).item()
    return {
        "spectral_norm": norm,
        "limit_share": norm / limit(rows, columns, how),
        "mean_square_singular_value": weight.square().sum().item() / min(rows, columns),
    }


def limit(rows: int, columns: int, how: str) -> float:
    """The spectral norm that a large matrix of independent entries tends to: sd (sqrt(rows) + sqrt(columns)).

    (Geman 1980, "A limit theorem for the norm of random matrices".) With variance 1 / columns it is
    1 + sqrt(rows / columns). An orthogonal matrix has independent entries no more: 1.

    >>> round(limit(100, 100, "glorot"), 6), round(limit(100, 400, "he"), 6)
    (2.0, 2.12132)
    """
    variance = {"glorot": 2 / (rows + columns), "he": 2 / columns, "torch": 1 / (3 * columns)}
    if how == "orthogonal":
        return 1.0
    return math.sqrt(variance[how]) * (math.sqrt(rows) + math.sqrt(columns))
