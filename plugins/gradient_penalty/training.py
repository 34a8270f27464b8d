"""Images as rows of pixels, and plain stochastic gradient descent on a loss with a penalty."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from harness_plugins.gradient_penalty.gradient_norms import LossFunction, Norms
from harness_plugins.gradient_penalty.network import mlp
from harness_plugins.images.labelled import Labelled, labelled_images

if TYPE_CHECKING:
    from harness.running.run import Run


class Penalty(Protocol):
    """A gradient penalty, and the norms that it is made of (docs/roles.md)."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor: ...

    def norms(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Norms: ...


@dataclass(frozen=True)
class Problem:
    """A data set for an MLP: inputs [N, d] and labels [N], which are classes, or 0.0 and 1.0 for a single output."""

    train: Labelled
    test: Labelled
    outputs: int
    loss_fn: LossFunction


def problem(run: Run, dataset: str, outputs: str = "classes") -> Problem:
    """Rows of pixels in [0, 1]. ``outputs``: "classes" with cross-entropy, or "scalar", odd against even digits.

    With one output z the loss is the logistic one, log(1 + e^z) - y z.
    """
    data = run.data(dataset)
    train, test = _rows(data, "train", run, outputs), _rows(data, "test", run, outputs)
    if outputs == "scalar":
        return Problem(train, test, 1, logistic)
    return Problem(train, test, int(train.labels.max()) + 1, partial(F.cross_entropy, reduction="none"))


def _rows(data: Mapping[str, Any], part: Literal["train", "test"], run: Run, outputs: str) -> Labelled:
    images = labelled_images(data, part, run.device, run.dtype)
    labels = (images.labels % 2).to(run.dtype) if outputs == "scalar" else images.labels
    return Labelled(images.inputs.flatten(1), labels)


def logistic(output: Tensor, target: Tensor) -> Tensor:
    """log(1 + e^z) - y z of outputs z [B, 1] and targets y [B] in {0, 1}: [B]."""
    return F.binary_cross_entropy_with_logits(output[:, 0], target, reduction="none")


def new_model(options: dict[str, Any], task: Problem, generator: torch.Generator, like: Tensor) -> nn.Sequential:
    """The MLP of these options, on the device and in the dtype of ``like``."""
    hidden = [options["width"]] * (options["depth"] - 1)
    sizes = [task.train.inputs.shape[1], *hidden, task.outputs]
    return mlp(sizes, options["activation"], options["initialisation"], generator).to(like.device, like.dtype)


def descent(
    model: nn.Module, penalty: Penalty, task: Problem, options: dict[str, Any], generator: torch.Generator
) -> Iterator[tuple[int, float]]:
    """Train in place; after each step yield the number of steps and the batch's mean loss without the penalty.

    Each of the ``epochs`` passes over the training rows has a fresh random order, in batches of ``batch_size``; a
    last smaller batch is left out. Raises FloatingPointError naming the step where loss or penalty stop being finite.
    """
    data, loss_fn = task.train, task.loss_fn
    batch_size = min(options["batch_size"], len(data))
    optimizer = torch.optim.SGD(model.parameters(), lr=options["learning_rate"])
    step = 0
    for _ in range(options["epochs"]):
        order = torch.randperm(len(data), generator=generator).to(data.inputs.device)
        for first in range(0, len(data) - batch_size + 1, batch_size):
            batch = data[order[first : first + batch_size]]
            loss = loss_fn(model(batch.inputs), batch.labels).mean()
            total = loss + penalty(model, batch.inputs, batch.labels, loss_fn)
            if not math.isfinite(total.item()):
                raise FloatingPointError(f"loss {loss.item()} with penalty {total.item()} at step {step}")
            optimizer.zero_grad()
            torch.autograd.backward(total)
            optimizer.step()
            step += 1
            yield step, loss.item()


def checkpoints(total: int, count: int) -> list[int]:
    """``count`` + 1 evenly spaced numbers of steps from 0 to ``total``, each of them once.

    >>> checkpoints(10, 4)
    [0, 2, 5, 8, 10]
    """
    return sorted({round(total * i / count) for i in range(count + 1)})


def train_and_measure(
    model: nn.Module, penalty: Penalty, task: Problem, run: Run, measure: Callable[[int], None]
) -> None:
    """Train; call ``measure(step)`` before the first step, after the last, and at evenly spaced steps between them."""
    options = run.options
    batch_size = min(options["batch_size"], len(task.train))
    total = options["epochs"] * (len(task.train) // batch_size)
    due = checkpoints(total, options["checkpoints"])
    measure(0)
    for step, loss in descent(model, penalty, task, options, run.generator):
        if step in due:
            run.log(step, loss=loss)
            measure(step)
            run.progress(step, total)


@torch.no_grad()
def classified_rightly(model: nn.Module, data: Labelled) -> Tensor:
    """Which rows have their largest output at their class; with a single output, which have its sign."""
    output: Tensor = model(data.inputs)
    predicted = output.argmax(dim=1) if output.shape[1] > 1 else output[:, 0] > 0
    return predicted == data.labels


def accuracy(model: nn.Module, data: Labelled) -> float:
    """Share of the rows that are classified rightly."""
    return classified_rightly(model, data).double().mean().item()


@torch.no_grad()
def mean_loss(model: nn.Module, data: Labelled, loss_fn: LossFunction) -> float:
    """Mean loss over all rows."""
    losses: Tensor = loss_fn(model(data.inputs), data.labels)
    return losses.mean().item()
