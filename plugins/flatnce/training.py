"""A small SimCLR: train an encoder on pairs of views, then probe its frozen features."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from harness_plugins.flatnce.encoder import Encoder
from harness_plugins.flatnce.losses import ContrastiveLoss, InfoNCE, log_odds
from harness_plugins.flatnce.probes import linear_probe, nearest_neighbours
from harness_plugins.flatnce.views import two_views
from harness_plugins.images.labelled import Labelled, images_of, labelled_images
from harness_plugins.images.readers import stratified_split

if TYPE_CHECKING:
    from harness.running.run import Run

#: Batch size at which every rule gives the learning rate ``base_lr``.
REFERENCE_BATCH = 256
#: Images whose views are rendered together. Small batches are cut from them, as rendering each alone costs more.
RENDERED = 512
#: Approximate number of points of a curve and of reports of progress.
POINTS = 100
#: Up to this xi, log(1 + xi) is within 5 % of xi.
SMALL_XI = 0.1
#: Share of the training rows that the probe of validation is scored on.
VALIDATION_SHARE = 0.2
#: Least number of pairs on which the trained encoder is measured.
DIAGNOSED = 512


class Loss(Protocol):
    """A contrastive loss returns a scalar (docs/roles.md)."""

    def __call__(self, view_a: Tensor, view_b: Tensor) -> Tensor: ...


def train_and_probe(loss: Loss, run: Run, dataset: str) -> dict[str, float]:
    """Train an encoder with ``loss`` on the data set's training images, then measure its features.

    Everything random comes from ``run.generator``: first the weights, then order and views, so that all
    losses start from one encoder and see the same batches. Returns the metrics of the tasks
    ``contrastive/...``. Raises FloatingPointError naming the step where the loss stops being finite.
    """
    data = images_of(run, dataset)
    train_part = labelled_images(data, "train", run.device, torch.float32)
    images = train_part.inputs
    encoder = Encoder(images.shape[-1], run.generator).to(run.device, run.dtype)
    train(encoder, loss, images, run)
    metrics = diagnose(encoder, loss, images, run)

    known = _features(encoder, train_part, run)
    test = _features(encoder, labelled_images(data, "test", run.device, torch.float32), run)
    right = {
        "probe_accuracy": linear_probe(known, test, run.options["probe_penalty"]),
        "knn_accuracy": nearest_neighbours(known, test, run.options["neighbours"]),
    }
    for name, outcomes in right.items():
        run.outcomes(name, outcomes)
        metrics[name] = outcomes.double().mean().item()
    validation = linear_probe(*held_out(known, run.seed), run.options["probe_penalty"])
    metrics["validation_accuracy"] = validation.double().mean().item()
    return metrics


on_digits = partial(train_and_probe, dataset="digits")
on_mnist_5k = partial(train_and_probe, dataset="mnist-5k")
on_fashion_mnist = partial(train_and_probe, dataset="fashion-mnist")


def train(encoder: Encoder, loss: Loss, images: Tensor, run: Run) -> None:
    """Train ``encoder`` in place on samples_seen // batch_size batches of pairs of views, at least one."""
    batch_size = run.options["batch_size"]
    steps = max(1, run.options["samples_seen"] // batch_size)
    stride = max(1, steps // POINTS)
    parameters = list(encoder.parameters())
    optimizer = make_optimizer(parameters, run.options, run.device)
    peak = learning_rate(run.options["base_lr"], run.options["lr_rule"], batch_size)
    for step, views in enumerate(batches(images, batch_size, steps, run)):
        optimizer.param_groups[0]["lr"] = peak * (1 + math.cos(math.pi * step / steps)) / 2
        view_a, view_b = encoder(views.flatten(0, 1)).chunk(2)
        batch_loss = loss(view_a, view_b)
        value = batch_loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {step} of {steps}")
        optimizer.zero_grad()
        torch.autograd.backward(batch_loss)
        if run.options["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(parameters, run.options["clip_norm"])
        optimizer.step()
        if step % stride == 0 or step == steps - 1:
            run.log(step, loss=value, mean_weight=torch.sigmoid(_log_xi(loss, view_a, view_b)).mean().item())
            run.progress(step + 1, steps)


def batches(images: Tensor, batch_size: int, steps: int, run: Run) -> Iterator[Tensor]:
    """``steps`` batches of two views each, [2, batch_size, 1, H, W] in the run's dtype.

    Each pass over the images has a fresh random order and leaves none out: a batch may end one pass and begin
    the next. A batch larger than the data set holds images more than once.
    """
    batches_at_once = max(1, RENDERED // batch_size)
    order = torch.empty(0, dtype=torch.long)
    for first in range(0, steps, batches_at_once):
        needed = min(batches_at_once, steps - first) * batch_size
        while len(order) < needed:
            order = torch.cat([order, torch.randperm(len(images), generator=run.generator)])
        rows, order = order[:needed].to(run.device), order[needed:]
        yield from torch.split(two_views(images[rows], run.generator).to(run.dtype), batch_size, dim=1)


def learning_rate(base: float, rule: str, batch_size: int) -> float:
    """The peak learning rate: ``base`` at a batch of 256, otherwise by the rule.

    >>> learning_rate(0.3, "linear", 512), round(learning_rate(0.3, "sqrt", 64), 3), learning_rate(0.3, "constant", 8)
    (0.6, 0.15, 0.3)
    """
    exponent = {"constant": 0.0, "sqrt": 0.5, "linear": 1.0}[rule]
    return float(base * (batch_size / REFERENCE_BATCH) ** exponent)


def make_optimizer(
    parameters: list[torch.nn.Parameter], options: dict[str, Any], device: torch.device
) -> torch.optim.Optimizer:
    """Adam, or stochastic gradient descent with momentum 0.9."""
    # One kernel for all parameters: with small batches one call for each parameter costs more than the encoder.
    fused = device.type in ("cpu", "cuda")
    if options["optimizer"] == "adam":
        return torch.optim.Adam(parameters, weight_decay=options["weight_decay"], fused=fused)
    return torch.optim.SGD(parameters, lr=0.0, momentum=0.9, weight_decay=options["weight_decay"], fused=fused)


@torch.no_grad()
def diagnose(encoder: Encoder, loss: Loss, images: Tensor, run: Run) -> dict[str, float]:
    """Measure xi of the anchors of fresh batches after training. These metrics mean the same for every loss."""
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
    """log xi of each anchor [2B], from the loss's own scores; from those of InfoNCE's defaults where it has none."""
    scored = loss if isinstance(loss, ContrastiveLoss) else InfoNCE()
    return log_odds(*scored.scores(view_a.detach(), view_b.detach())).float()


def held_out(known: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """Training rows for a probe, and a fifth of them, drawn by the seed, that it is scored on instead of test rows.

    The encoder has seen all these images, without labels; test images it has not.
    """
    parts = stratified_split(known.labels.cpu().numpy(), VALIDATION_SHARE, seed)
    fitted, scored = (torch.from_numpy(rows).to(known.labels.device) for rows in parts)
    return known[fitted], known[scored]


@torch.no_grad()
def _features(encoder: Encoder, part: Labelled, run: Run) -> Labelled:
    """Features [N, D] of the images, in float32 for every dtype of the run: the probes are not what is compared."""
    pieces = [encoder.features(images.to(run.dtype)).float() for images in torch.split(part.inputs, RENDERED)]
    return Labelled(torch.cat(pieces), part.labels)
