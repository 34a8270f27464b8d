"""Batches and MLPs on which gradient penalties are checked and timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from harness_plugins.gradient_penalty.gradient_norms import LossFunction

#: Outputs of the last layer. It is narrow beside the other layers and left out of the counts.
CLASSES = 10


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, width: int, depth: int
) -> tuple[Tensor, ...]:
    """Rows [batch, width], labels [batch], then weight and bias of each of ``depth`` layers.

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same network.
    """
    return _to(_network(generator, (batch, width, depth), scale=1.0), device, dtype)


def saturated(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, width: int, depth: int
) -> tuple[Tensor, ...]:
    """Weights three times as large: most units are where the activation is flat, and predictions are certain."""
    return _to(_network(generator, (batch, width, depth), scale=3.0), device, dtype)


def small_weights(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, batch: int, width: int, depth: int
) -> tuple[Tensor, ...]:
    """Weights a hundredth as large: the gradient of the first layer is a millionth of that of the last."""
    return _to(_network(generator, (batch, width, depth), scale=0.01), device, dtype)


def _network(generator: torch.Generator, size: tuple[int, int, int], scale: float) -> tuple[Tensor, ...]:
    """Labels, rows and parameters for a size (batch, width, depth), weights times ``scale``, in float64."""
    batch, width, depth = size
    draw = partial(torch.randn, generator=generator, dtype=torch.float64, device=generator.device)
    labels = torch.randint(CLASSES, (batch,), generator=generator, device=generator.device)
    tensors = [draw(batch, width)]
    for outputs in [width] * (depth - 1) + [CLASSES]:
        tensors += [draw(outputs, width) * scale * (2 / width) ** 0.5, 0.1 * draw(outputs)]
    return labels, *tensors


def _to(network: tuple[Tensor, ...], device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    labels, *tensors = network
    x, *parameters = (tensor.to(device, dtype) for tensor in tensors)
    return x, labels.to(device), *(parameter.requires_grad_() for parameter in parameters)


def call(
    penalty: Callable[[nn.Module, Tensor, Tensor, LossFunction], Tensor], x: Tensor, target: Tensor, *parameters: Tensor
) -> Tensor:
    """The scalar that is differentiated with respect to the parameters."""
    return penalty(_model(parameters), x, target, partial(F.cross_entropy, reduction="none"))


def call_norms(penalty: Any, x: Tensor, target: Tensor, *parameters: Tensor) -> Tensor:
    """Both norms of every sample, weighted so that errors of single samples do not cancel; not differentiated."""
    norms = penalty.norms(_model(parameters), x, target, partial(F.cross_entropy, reduction="none"))
    weights = torch.linspace(1, 2, len(x), dtype=x.dtype, device=x.device)
    total: Tensor = (weights * (norms.input + norms.parameter)).sum()
    return total


def _model(parameters: tuple[Tensor, ...]) -> nn.Module:
    layers: list[nn.Module] = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        # These tensors themselves, not copies: their gradients are compared.
        linear._parameters["weight"], linear._parameters["bias"] = weight, bias  # type: ignore[assignment]
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def least_bytes(itemsize: int, batch: int, width: int, depth: int) -> int:
    """Rows and weights are read once, gradients of the weights written once. Nothing else needs to reach memory."""
    return (batch * width + 2 * (depth - 1) * width * width) * itemsize


def least_flops(batch: int, width: int, depth: int) -> int:
    """Multiplications and additions of six matrix products for each hidden layer, less four.

    A layer has one product forward and one back to its rows. Both are differentiated, each with respect to its input
    and to the weight: four more. The norms need no gradient before the first layer's output, which saves that layer's
    product back to its rows and its two derivatives; the rows need no gradient, which saves one derivative of its
    forward product.
    """
    return (6 * (depth - 1) - 4) * 2 * batch * width * width


def least_bytes_of_norms(itemsize: int, batch: int, width: int, depth: int) -> int:
    """Rows and weights are read once, two numbers for each row written once."""
    return (batch * (width + 2) + (depth - 1) * width * width) * itemsize


def least_flops_of_norms(batch: int, width: int, depth: int) -> int:
    """Multiplications and additions of two matrix products for each hidden layer: forward, and back to its input."""
    return 2 * 2 * batch * width * width * (depth - 1)
