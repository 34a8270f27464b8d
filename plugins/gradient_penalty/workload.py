"""What a penalty is checked and timed on: the gradient norms of a batch through an MLP, differentiated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from harness_plugins.gradient_penalty.gradient_norms import LossFunction

#: Classes that the last layer tells apart. It is narrow beside the others and left out of the counts.
CLASSES = 10


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, width: int, depth: int
) -> tuple[Tensor, ...]:
    """Rows [batch, width], labels [batch], then weight and bias of each of ``depth`` layers, all but labels float.

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same network.
    """
    return _network(generator, device, dtype, batch, width, depth, scale=1.0)


def saturated(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, width: int, depth: int
) -> tuple[Tensor, ...]:
    """Weights three times as large: most units sit where the activation is flat, and predictions are certain."""
    return _network(generator, device, dtype, batch, width, depth, scale=3.0)


def small_weights(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, width: int, depth: int
) -> tuple[Tensor, ...]:
    """Weights a hundredth as large: the gradient of the first layer is a millionth of that of the last."""
    return _network(generator, device, dtype, batch, width, depth, scale=0.01)


def _network(
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
    batch: int,
    width: int,
    depth: int,
    scale: float,
) -> tuple[Tensor, ...]:
    draw = partial(torch.randn, generator=generator, dtype=torch.float64, device=generator.device)
    labels = torch.randint(CLASSES, (batch,), generator=generator, device=generator.device)
    found = [draw(batch, width)]
    for outputs in [width] * (depth - 1) + [CLASSES]:
        found += [draw(outputs, width) * scale * (2 / width) ** 0.5, 0.1 * draw(outputs)]
    x, *parameters = (tensor.to(device, dtype) for tensor in found)
    return x, labels.to(device), *(parameter.requires_grad_() for parameter in parameters)


def call(
    penalty: Callable[[nn.Module, Tensor, Tensor, LossFunction], Tensor], x: Tensor, target: Tensor, *parameters: Tensor
) -> Tensor:
    """The scalar that is differentiated with respect to the parameters."""
    return penalty(_model(parameters), x, target, partial(F.cross_entropy, reduction="none"))


def call_norms(penalty: Any, x: Tensor, target: Tensor, *parameters: Tensor) -> Tensor:
    """Both norms of every sample, weighted so that errors of single samples do not cancel; not differentiated."""
    found = penalty.norms(_model(parameters), x, target, partial(F.cross_entropy, reduction="none"))
    weights = torch.linspace(1, 2, len(x), dtype=x.dtype, device=x.device)
    total: Tensor = (weights * (found.input + found.parameter)).sum()
    return total


def _model(parameters: tuple[Tensor, ...]) -> nn.Module:
    layers: list[nn.Module] = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        # The very tensors, not copies of them: their gradients are what is compared.
        linear._parameters["weight"], linear._parameters["bias"] = weight, bias  # type: ignore[assignment]
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def least_bytes(itemsize: int, batch: int, width: int, depth: int) -> int:
    """Rows and weights read once, gradients of the weights written once; nothing in between needs to reach memory."""
    return (batch * width + 2 * (depth - 1) * width * width) * itemsize


def least_flops(batch: int, width: int, depth: int) -> int:
    """Multiplications and additions of six matrix products for each hidden layer, less four.

    One forward, one back to its rows; then both are differentiated, each with respect to what comes in and to the
    weight. The norm of a weight's gradient needs nothing that lies before the first layer's output, and the rows need
    no gradient: the first layer is not gone back through, which is three products less, nor is its forward product
    differentiated with respect to the rows.
    """
    return (6 * (depth - 1) - 4) * 2 * batch * width * width


def least_bytes_of_norms(itemsize: int, batch: int, width: int, depth: int) -> int:
    """Rows and weights read once, two numbers a row written once."""
    return (batch * (width + 2) + (depth - 1) * width * width) * itemsize


def least_flops_of_norms(batch: int, width: int, depth: int) -> int:
    """Multiplications and additions of two matrix products a hidden layer: forward, and back to its input."""
    return 2 * 2 * batch * width * width * (depth - 1)
