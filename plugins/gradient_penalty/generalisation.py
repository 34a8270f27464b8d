"""Effects of a penalty on accuracy, on robustness against noise, and on the slope of a network's output."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from harness_plugins.gradient_penalty.bound import ROWS, jacobians
from harness_plugins.gradient_penalty.network import linear_layers
from harness_plugins.gradient_penalty.training import (
    Penalty,
    Problem,
    accuracy,
    classified_rightly,
    descent,
    mean_loss,
    new_model,
    problem,
)
from harness_plugins.images.labelled import Labelled
from harness_plugins.images.readers import TEST_SHARE, stratified_split

if TYPE_CHECKING:
    from harness.running.run import Run

#: Share of the training rows that choose the penalty's weight.
VALID_SHARE = 0.2
#: Quotient of two neighbouring weights of the sweep.
SWEEP_FACTOR = 4.0
#: Training rows on which gradients are measured at the end.
MEASURED = 512


@dataclass(frozen=True)
class Trained:
    """A network at the end of its training."""

    model: nn.Sequential
    weight: float
    steps: int
    train_loss: float
    valid_accuracy: float


def generalisation(penalty: Penalty, run: Run, dataset: str, redraw: bool = False) -> dict[str, float]:
    """Train with each weight of the sweep, choose the best network on valid rows, measure it once on test rows.

    Every weight starts from the same network and sees the same batches. ``redraw`` draws the test rows by the seed,
    for a data set with so few that their choice would be most of the result. Random draws: the split, weights, order
    of batches, noise.
    """
    whole = problem(run, dataset)
    if redraw:
        whole = _with_new_test_rows(whole, run.seed)
    task, valid = _split(whole, run.options["train_size"], run.seed)
    candidates = sweep(penalty, run.options["sweep"])
    trained: list[Trained] = []
    for number, candidate in enumerate(candidates):
        try:
            trained.append(train(candidate, task, valid, run.options, run.seed))
        except FloatingPointError:
            # A weight that makes training diverge is one that the valid rows would not choose.
            if number == len(candidates) - 1 and not trained:
                raise
        run.progress(number + 1, len(candidates))
    best = max(trained, key=lambda candidate: (candidate.valid_accuracy, -candidate.train_loss))
    noise = torch.randn(task.test.inputs.shape, generator=run.generator).to(task.test.inputs)
    noisy = Labelled(task.test.inputs + run.options["noise"] * noise, task.test.labels)
    measured = task.train[:MEASURED]
    norms = penalty.norms(best.model, measured.inputs, measured.labels, task.loss_fn)
    right = {
        "test_accuracy": classified_rightly(best.model, task.test),
        "noisy_accuracy": classified_rightly(best.model, noisy),
    }
    for name, outcomes in right.items():
        run.outcomes(name, outcomes)
    return {
        **{name: outcomes.double().mean().item() for name, outcomes in right.items()},
        "test_loss": mean_loss(best.model, task.test, task.loss_fn),
        "valid_accuracy": best.valid_accuracy,
        "train_loss": best.train_loss,
        "input_gradient": norms.input.double().mean().item(),
        "parameter_gradient": norms.parameter.double().mean().item(),
        "geometric_complexity": geometric_complexity(best.model, measured),
        "chosen_weight": best.weight,
        "steps": best.steps,
    }


on_digits = partial(generalisation, dataset="digits", redraw=True)
on_mnist = partial(generalisation, dataset="mnist")


def sweep(penalty: Penalty, count: int) -> list[Penalty]:
    """The penalty at ``count`` weights, a factor of 4 apart, with its own weight in the middle.

    For an even ``count`` it is the one just below the middle. A penalty without a weight, or with the weight 0, is
    tried once.

    >>> from harness_plugins.gradient_penalty.penalties import InputPenalty, NoPenalty
    >>> sweep(InputPenalty(0.1), 3), sweep(NoPenalty(), 3)
    ([InputPenalty(weight=0.025), InputPenalty(weight=0.1), InputPenalty(weight=0.4)], [NoPenalty(weight=0.0)])
    """
    own = getattr(penalty, "weight", 0.0)
    if not own or not is_dataclass(penalty):
        return [penalty]
    exponents = range(-((count - 1) // 2), count // 2 + 1)
    return [replace(penalty, weight=own * SWEEP_FACTOR**e) for e in exponents]


def train(penalty: Penalty, task: Problem, valid: Labelled, options: dict[str, Any], seed: int) -> Trained:
    """Train from scratch for all epochs, or until the mean loss over the training rows is at most the target.

    This loss is without the penalty. Raises RuntimeError if the target is not reached: measurements would not be at
    equal loss.
    """
    generator = torch.Generator().manual_seed(seed)
    model = new_model(options, task, generator, task.train.inputs)
    target, steps, reached = options["loss_target"], 0, False
    for step, _ in descent(model, penalty, task, options, generator):
        steps = step
        # Checked after every step: otherwise the loss would end well below the target with small batches or long steps.
        if target and mean_loss(model, task.train, task.loss_fn) <= target:
            reached = True
            break
    loss = mean_loss(model, task.train, task.loss_fn)
    if target and not reached:
        raise RuntimeError(f"the training loss is {loss:.3g} after {options['epochs']} epochs, its target {target:g}")
    return Trained(model, getattr(penalty, "weight", 0.0), steps, loss, accuracy(model, valid))


@torch.no_grad()
def geometric_complexity(model: nn.Sequential, data: Labelled) -> float:
    """Mean over rows of the squared Frobenius norm of the output's Jacobian at the input (arXiv 2111.15090).

    The last layer must be linear.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    >>> for layer in model[0], model[2]:
    ...     _ = nn.init.ones_(layer.weight), nn.init.zeros_(layer.bias)
    >>> geometric_complexity(model, Labelled(torch.zeros(1, 2), torch.zeros(1)))  # both entries are 2
    8.0
    """
    total = 0.0
    for rows in torch.split(data.inputs, ROWS):
        *_, jacobian = jacobians(model, rows)
        total += (linear_layers(model)[-1].weight @ jacobian).double().square().sum().item()
    return total / len(data)


def _with_new_test_rows(whole: Problem, seed: int) -> Problem:
    """The problem with all of its rows split anew into training and test rows, a fifth of each class."""
    rows = Labelled(
        torch.cat([whole.train.inputs, whole.test.inputs]), torch.cat([whole.train.labels, whole.test.labels])
    )
    parts = stratified_split(rows.labels.cpu().numpy(), TEST_SHARE, seed)
    train, test = (rows[torch.from_numpy(part).to(rows.inputs.device)] for part in parts)
    return replace(whole, train=train, test=test)


def _split(whole: Problem, train_size: int, seed: int) -> tuple[Problem, Labelled]:
    """The problem with ``train_size`` training rows, and the valid rows; 0 takes all rows that are not valid rows."""
    labels = whole.train.labels.cpu().numpy()
    parts = stratified_split(labels, VALID_SHARE, seed)
    training, valid = (torch.from_numpy(rows).to(whole.train.inputs.device) for rows in parts)
    if train_size > len(training):
        raise ValueError(f"train_size = {train_size}: the data set has {len(training)} rows besides the valid ones")
    training = training[: train_size or len(training)]
    return replace(whole, train=whole.train[training]), whole.train[valid]
