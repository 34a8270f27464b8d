"""SimCLR in small: learn an encoder from pairs of views, then probe its frozen features."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from harness_plugins.flatnce.encoder import Encoder
from harness_plugins.flatnce.losses import ContrastiveLoss, InfoNCE, log_odds
from harness_plugins.flatnce.probes import Labelled, linear_probe, nearest_neighbours
from harness_plugins.flatnce.views import two_views

if TYPE_CHECKING:
    from harness.running.run import Run

#: Batch size at which the learning rate is ``base_lr`` whatever the rule.
REFERENCE_BATCH = 256
#: Images whose views are rendered at once; small batches are cut from them, for singly they would cost more.
RENDERED = 512
#: About so many points make a curve, and so many signs of progress.
POINTS = 100
#: Up to this xi, log(1 + xi) is within 5 % of xi.
SMALL_XI = 0.1
#: At least so many pairs tell how far an encoder has come.
DIAGNOSED = 512


class Loss(Protocol):
    """What a contrastive loss must do: give a scalar (docs/roles.md)."""

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor: ...


def train_and_probe(loss: Loss, run: Run, dataset: str) -> dict[str, float]:
    """Train an encoder with ``loss`` on the data set's training images, then measure what it has learned.

    Everything random comes from ``run.generator``: first the weights, then order and views, so that all
    losses start from one encoder and see the same batches. Returns the metrics of the tasks
    ``contrastive/...``. Raises FloatingPointError naming the step where the loss stops being finite.
    """
    data = run.data(dataset)
    images = torch.tensor(data["train_images"], device=run.device)
    encoder = Encoder(images.shape[-1], run.generator).to(run.device, run.dtype)
    train(encoder, loss, images, run)
    metrics = diagnose(encoder, loss, images, run)

    known = Labelled(_features(encoder, images, run), torch.tensor(data["train_labels"], device=run.device))
    test_images = torch.tensor(data["test_images"], device=run.device)
    asked = Labelled(_features(encoder, test_images, run), torch.tensor(data["test_labels"], device=run.device))
    metrics["probe_accuracy"] = linear_probe(known, asked, run.options["probe_penalty"])
    metrics["knn_accuracy"] = nearest_neighbours(known, asked, run.options["neighbours"])
    return metrics


on_digits = partial(train_and_probe, dataset="digits")
on_mnist_5k = partial(train_and_probe, dataset="mnist-5k")
on_fashion_mnist = partial(train_and_probe, dataset="fashion-mnist")


def train(encoder: Encoder, loss: Loss, images: Tensor, run: Run) -> None:
    """Train ``encoder`` in place on samples_seen // batch_size batches (at least one) of pairs of views."""
    batch_size = run.options["batch_size"]
    steps = max(1, run.options["samples_seen"] // batch_size)
    stride = max(1, steps // POINTS)
    parameters = list(encoder.parameters())
    optimizer = make_optimizer(parameters, run.options, run.device)
    peak = learning_rate(run.options["base_lr"], run.options["lr_rule"], batch_size)
    for step, views in enumerate(batches(images, batch_size, steps, run)):
        optimizer.param_groups[0]["lr"] = peak * (1 + math.cos(math.pi * step / steps)) / 2
        view_a, view_b = encoder(views.flatten(0, 1)).chunk(2)
        current = loss(view_a, view_b)
        value = current.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {step} of {steps}")
        optimizer.zero_grad()
        torch.autograd.backward(current)
        if run.options["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(parameters, run.options["clip_norm"])
        optimizer.step()
        if step % stride == 0 or step == steps - 1:
            run.log(step, loss=value, mean_weight=torch.sigmoid(_log_xi(loss, view_a, view_b)).mean().item())
            run.progress(step + 1, steps)


def batches(images: Tensor, batch_size: int, steps: int, run: Run) -> Iterator[Tensor]:
    """``steps`` batches of two views each, [2, batch_size, 1, H, W] in the run's dtype.

    Each pass over the images is in a fresh random order and leaves none out: a batch may end one pass and
    begin the next, and one larger than the data set holds images more than once.
    """
    at_once = max(1, RENDERED // batch_size)
    order = torch.empty(0, dtype=torch.long)
    for first in range(0, steps, at_once):
        needed = min(at_once, steps - first) * batch_size
        while len(order) < needed:
            order = torch.cat([order, torch.randperm(len(images), generator=run.generator)])
        rows, order = order[:needed].to(run.device), order[needed:]
        yield from torch.split(two_views(images[rows], run.generator).to(run.dtype), batch_size, dim=1)


def learning_rate(base: float, rule: str, batch_size: int) -> float:
    """The peak learning rate: ``base`` at a batch of 256, elsewhere by the rule.

    >>> learning_rate(0.3, "linear", 512), round(learning_rate(0.3, "sqrt", 64), 3), learning_rate(0.3, "constant", 8)
    (0.6, 0.15, 0.3)
    """
    exponent = {"constant": 0.0, "sqrt": 0.5, "linear": 1.0}[rule]
    return float(base * (batch_size / REFERENCE_BATCH) ** exponent)


def make_optimizer(
    parameters: list[torch.nn.Parameter], options: dict[str, Any], device: torch.device
) -> torch.optim.Optimizer:
    """Adam, or stochastic gradient descent with momentum 0.9."""
    # One kernel for all parameters: at small batches an optimiser's many small calls cost more than the
    # encoder.
    fused = device.type in ("cpu", "cuda")
    if options["optimizer"] == "adam":
        return torch.optim.Adam(parameters, weight_decay=options["weight_decay"], fused=fused)
    return torch.optim.SGD(parameters, lr=0.0, momentum=0.9, weight_decay=options["weight_decay"], fused=fused)


@torch.no_grad()
def diagnose(encoder: Encoder, loss: Loss, images: Tensor, run: Run) -> dict[str, float]:
    """Where training has left the anchors, on fresh batches: figures that mean the same for every loss."""
    batch_size = run.options["batch_size"]
    count = math.ceil(DIAGNOSED / batch_size)
    fresh = batches(images, batch_size, count, run)
    log_xi = torch.cat([_log_xi(loss, *encoder(views.flatten(0, 1)).chunk(2)) for views in fresh])
    return {
        "share_small_xi": (log_xi <= math.log(SMALL_XI)).float().mean().item(),
        "mean_weight": torch.sigmoid(log_xi).mean().item(),
    }


@torch.no_grad()
def _log_xi(loss: Loss, view_a: Tensor, view_b: Tensor) -> Tensor:
    """log xi of each anchor [2B], by the scores that the loss sees, or by SimCLR's where it does not say."""
    seen = loss if isinstance(loss, ContrastiveLoss) else InfoNCE()
    return log_odds(*seen.scores(view_a.detach(), view_b.detach())).float()


@torch.no_grad()
def _features(encoder: Encoder, images: Tensor, run: Run) -> Tensor:
    """Features [N, D] float32: the probes' own arithmetic is not what is compared."""
    return torch.cat([encoder.features(part.to(run.dtype)).float() for part in torch.split(images, RENDERED)])
