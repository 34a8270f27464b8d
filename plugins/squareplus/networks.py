"""A multilayer perceptron and a small convolutional network with any activation, and their initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]

#: Factor on 1 / sqrt(fan in) in He's initialisation (arXiv 1502.01852), which is made for ReLU.
HE = math.sqrt(2)
#: Channels of the two convolutions, and width of the layer after them.
CHANNELS, WIDTH = (16, 32), 64
#: Nodes of the Gauss-Hermite rule for the mean over a normal distribution.
NODES = 100


class Activated(nn.Module):
    """An activation as a layer.

    >>> Activated(torch.relu)(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x)


def perceptron(activation: Activation, inputs: int, depth: int, width: int, classes: int) -> nn.Sequential:
    """Images [N, ...] of ``inputs`` pixels to logits [N, classes] through ``depth`` hidden layers of ``width``.

    >>> perceptron(torch.relu, 64, 2, 16, 10)(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 10])
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in in [inputs] + [width] * (depth - 1):
        layers += [nn.Linear(fan_in, width), Activated(activation)]
    return nn.Sequential(*layers, nn.Linear(width, classes))


def convolutional(activation: Activation, side: int, normalised: bool, classes: int) -> nn.Sequential:
    """Images [N, 1, side, side] to logits [N, classes]: two convolutions with pooling, then one hidden layer.

    ``normalised`` puts batch normalisation before every activation.

    >>> convolutional(torch.relu, 28, True, 10)(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 10])
    """
    first, second = CHANNELS
    return nn.Sequential(
        nn.Conv2d(1, first, 3, stride=2, padding=1),
        nn.BatchNorm2d(first) if normalised else nn.Identity(),
        Activated(activation),
        nn.Conv2d(first, second, 3, padding=1),
        nn.BatchNorm2d(second) if normalised else nn.Identity(),
        Activated(activation),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(second * (math.ceil(side / 2) // 2) ** 2, WIDTH),
        nn.BatchNorm1d(WIDTH) if normalised else nn.Identity(),
        Activated(activation),
        nn.Linear(WIDTH, classes),
    )


def initialised(network: nn.Sequential, generator: torch.Generator, gain: float) -> nn.Sequential:
    """The network with normal weights of standard deviation ``gain`` / sqrt(fan in) and biases of 0.

    Weights come from ``generator`` alone: up to the factor ``gain`` they are the same for every activation.
    """
    for layer in network:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in), generator=generator)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return network


def variance_gain(activation: Activation) -> float:
    """The factor on 1 / sqrt(fan in) that keeps the variance of the activation's inputs: 1 / sqrt(E f(z)^2).

    z is standard normal, as in He's derivation, which gives sqrt(2) for ReLU. Raises ValueError where E f(z)^2 is 0
    or not finite.

    >>> round(variance_gain(torch.relu), 2)
    1.41
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    values = activation(torch.from_numpy(nodes)).detach().square()
    power = float(torch.from_numpy(weights) @ values) / math.sqrt(2 * math.pi)
    if not power > 0 or math.isinf(power):
        raise ValueError(f"the mean square of this activation over a standard normal input is {power}: no gain fits")
    return 1 / math.sqrt(power)
