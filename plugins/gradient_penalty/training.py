"""Digits as rows, and plain stochastic gradient descent on a loss with a penalty."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from harness_plugins.gradient_penalty.gradient_norms import LossFunction, Norms
from harness_plugins.gradient_penalty.network import mlp

if TYPE_CHECKING:
    from harness.running.run import Run


class Penalty(Protocol):
    """What a gradient penalty must do (docs/roles.md)."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor: ...

    def norms(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Norms: ...


@dataclass(frozen=True)
class Labelled:
    """Rows [N, d] and their targets [N]: class numbers, or 0.0 and 1.0 where there is one output."""

    rows: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor | slice) -> Labelled:
        return Labelled(self.rows[index], self.targets[index])


@dataclass(frozen=True)
class Problem:
    """A data set as an MLP sees it."""

    train: Labelled
    test: Labelled
    outputs: int
    loss_fn: LossFunction


def problem(run: Run, dataset: str, outputs: str = "classes") -> Problem:
    """Images as rows of pixels in [0, 1]; "classes" with cross-entropy, "scalar" tells odd from even digits.

    With one output z the loss is the logistic one, log(1 + e^z) - y z.
    """
    data = run.data(dataset)
    parts = []
    for part in ("train", "test"):
        rows = torch.tensor(data[f"{part}_images"], device=run.device).flatten(1).to(run.dtype)
        labels = torch.tensor(data[f"{part}_labels"], device=run.device)
        parts.append(Labelled(rows, (labels % 2).to(run.dtype) if outputs == "scalar" else labels))
    if outputs == "scalar":
        return Problem(parts[0], parts[1], 1, logistic)
    return Problem(parts[0], parts[1], int(parts[0].targets.max()) + 1, partial(F.cross_entropy, reduction="none"))


def logistic(output: Tensor, target: Tensor) -> Tensor:
    """log(1 + e^z) - y z of outputs z [B, 1] and targets y [B] in {0, 1}: [B]."""
    return F.binary_cross_entropy_with_logits(output[:, 0], target, reduction="none")


def new_model(options: dict[str, Any], task: Problem, generator: torch.Generator, like: Tensor) -> nn.Sequential:
    """The MLP that the options ask for, on the device and in the dtype of ``like``."""
    hidden = [options["width"]] * (options["depth"] - 1)
    sizes = [task.train.rows.shape[1], *hidden, task.outputs]
    return mlp(sizes, options["activation"], options["initialisation"], generator).to(like.device, like.dtype)


def descent(
    model: nn.Module,
    penalty: Penalty,
    data: Labelled,
    loss_fn: LossFunction,
    options: dict[str, Any],
    generator: torch.Generator,
) -> Iterator[tuple[int, float]]:
    """Train in place; yields (steps made, the batch's mean loss without the penalty) after each step.

    ``epochs`` passes over the data in a fresh random order each, in batches of ``batch_size``, a last smaller
    one left out. Raises FloatingPointError naming the step where loss or penalty stop being finite.
    """
    batch_size = min(options["batch_size"], len(data))
    optimizer = torch.optim.SGD(model.parameters(), lr=options["learning_rate"])
    step = 0
    for _ in range(options["epochs"]):
        order = torch.randperm(len(data), generator=generator).to(data.rows.device)
        for first in range(0, len(data) - batch_size + 1, batch_size):
            batch = data[order[first : first + batch_size]]
            loss = loss_fn(model(batch.rows), batch.targets).mean()
            total = loss + penalty(model, batch.rows, batch.targets, loss_fn)
            if not math.isfinite(total.item()):
                raise FloatingPointError(f"loss {loss.item()} with penalty {total.item()} at step {step}")
            optimizer.zero_grad()
            torch.autograd.backward(total)
            optimizer.step()
            step += 1
            yield step, loss.item()


def checkpoints(total: int, count: int) -> list[int]:
    """``count`` + 1 numbers of steps from 0 to ``total``, evenly spaced, each once.

    >>> checkpoints(10, 4)
    [0, 2, 5, 8, 10]
    """
    return sorted({round(total * i / count) for i in range(count + 1)})


def walk(
    model: nn.Module,
    penalty: Penalty,
    task: Problem,
    run: Run,
    look: Callable[[int], None],
) -> None:
    """Train, and call ``look(step)`` at each checkpoint: before the first step, evenly spaced, after the last."""
    options = run.options
    batch_size = min(options["batch_size"], len(task.train))
    total = options["epochs"] * (len(task.train) // batch_size)
    due = checkpoints(total, options["checkpoints"])
    look(0)
    for step, loss in descent(model, penalty, task.train, task.loss_fn, options, run.generator):
        if step in due:
            run.log(step, loss=loss)
            look(step)
            run.progress(step, total)


@torch.no_grad()
def accuracy(model: nn.Module, data: Labelled) -> float:
    """Share of rows whose largest output is their class."""
    right: Tensor = model(data.rows).argmax(dim=1) == data.targets
    return right.double().mean().item()


@torch.no_grad()
def mean_loss(model: nn.Module, data: Labelled, loss_fn: LossFunction) -> float:
    """Mean loss over all rows."""
    losses: Tensor = loss_fn(model(data.rows), data.targets)
    return losses.mean().item()
