"""Train networks that differ only in their activation, on images of digits or clothes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from harness_plugins.images.labelled import Labelled, images_of, labelled_images
from harness_plugins.squareplus.networks import HE, Activation, convolutional, initialised, perceptron, variance_gain

if TYPE_CHECKING:
    from harness.running.run import Run

#: Images that are evaluated at once.
EVALUATED = 256
#: Approximate number of points of a curve.
POINTS = 100


def train_and_test(activation: Activation, run: Run, dataset: str, convolutions: bool) -> dict[str, float]:
    """Train a network with ``activation`` after every hidden layer, then measure it on the test images.

    Everything random comes from ``run.generator``: first the weights, then the order of the images, so that all
    activations start alike and see the same batches. If the loss stops being finite, training ends and
    ``diverged`` is 1. Such a network counts as one that always predicts the test set's most common class, with
    the loss of equal probabilities.
    """
    data, options = images_of(run, dataset), run.options
    train = labelled_images(data, "train", run.device, run.dtype)
    test = labelled_images(data, "test", run.device, run.dtype)
    classes = int(train.labels.max()) + 1
    gain = HE if options["init"] == "he" else variance_gain(activation)
    side = train.inputs.shape[-1]
    if convolutions:
        network = convolutional(activation, side, options["norm"] == "batch", classes)
    else:
        network = perceptron(activation, side**2, options["depth"], options["width"], classes)
    initialised(network, run.generator, gain).to(run.device, run.dtype)
    finite = fit(network, train, run)
    network.eval()
    loss, right = evaluate(network, test)
    train_loss, _ = evaluate(network, train)
    if not (finite and math.isfinite(loss) and math.isfinite(train_loss)):
        right = test.labels == torch.bincount(test.labels).argmax()
        loss = train_loss = math.log(classes)
        finite = False
    run.outcomes("test_accuracy", right)
    return {
        "test_accuracy": int(right.sum().item()) / len(right),
        "test_loss": loss,
        "train_loss": train_loss,
        "diverged": float(not finite),
    }


digits_perceptron = partial(train_and_test, dataset="digits", convolutions=False)
mnist_5k_convolutional = partial(train_and_test, dataset="mnist-5k", convolutions=True)
mnist_convolutional = partial(train_and_test, dataset="mnist", convolutions=True)
fashion_mnist_convolutional = partial(train_and_test, dataset="fashion-mnist", convolutions=True)


def fit(network: nn.Module, train: Labelled, run: Run) -> bool:
    """Train ``network`` in place for the run's epochs, with a cosine schedule. False if the loss stops being finite."""
    options = run.options
    batch_size = min(options["batch_size"], len(train))
    steps = options["epochs"] * (len(train) // batch_size)
    stride = max(1, steps // POINTS)
    optimizer = make_optimizer(list(network.parameters()), options, run.device)
    for step, rows in enumerate(_batches(len(train), batch_size, options["epochs"], run)):
        optimizer.param_groups[0]["lr"] = options["learning_rate"] * (1 + math.cos(math.pi * step / steps)) / 2
        batch = train[rows.to(run.device)]
        loss = F.cross_entropy(network(batch.inputs), batch.labels)
        value = loss.item()
        if not math.isfinite(value):
            return False
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if step % stride == 0 or step == steps - 1:
            run.log(step, loss=value)
            run.progress(step + 1, steps)
    return True


def make_optimizer(
    parameters: list[nn.Parameter], options: dict[str, Any], device: torch.device
) -> torch.optim.Optimizer:
    """Adam, or stochastic gradient descent with momentum 0.9."""
    fused = device.type in ("cpu", "cuda")
    if options["optimizer"] == "adam":
        return torch.optim.Adam(parameters, fused=fused)
    return torch.optim.SGD(parameters, lr=0.0, momentum=0.9, fused=fused)


@torch.no_grad()
def evaluate(network: nn.Module, part: Labelled) -> tuple[float, Tensor]:
    """Mean cross-entropy in nats over all images of ``part``, and which of them are classified rightly."""
    loss, right = 0.0, []
    for images, labels in zip(torch.split(part.inputs, EVALUATED), torch.split(part.labels, EVALUATED), strict=True):
        logits = network(images).float()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        right.append(logits.argmax(dim=1) == labels)
    return loss / len(part), torch.cat(right)


def _batches(count: int, batch_size: int, epochs: int, run: Run) -> Iterator[Tensor]:
    """Row numbers [batch_size], in a fresh random order each epoch; a last smaller batch is left out."""
    for _ in range(epochs):
        order = torch.randperm(count, generator=run.generator)
        yield from torch.split(order[: count // batch_size * batch_size], batch_size)
