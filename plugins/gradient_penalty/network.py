"""Multilayer perceptrons with weights from a seeded generator; and whether a module is one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

#: Activations between two linear layers, by name.
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "softplus": nn.Softplus}
#: The ways to draw weights (``fill``).
INITIALISATIONS = ("glorot", "he", "orthogonal", "torch")

#: Layers that act on each entry alone and have no parameter. Only these classes: a subclass may do anything.
_ELEMENTWISE = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Softplus,
    nn.Sigmoid,
    nn.Tanh,
    nn.Identity,
)


def mlp(sizes: Sequence[int], activation: str, initialisation: str, generator: torch.Generator) -> nn.Sequential:
    """Linear layers of these sizes with the activation between them, and none after the last.

    All numbers come from ``generator``, layer by layer. Biases are 0, except with "torch".

    >>> mlp([64, 32, 10], "relu", "glorot", torch.Generator().manual_seed(0))(torch.zeros(2, 64)).shape
    torch.Size([2, 10])
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        fill(linear.weight, initialisation, generator)
        bound = 1 / math.sqrt(inputs) if initialisation == "torch" else 0.0
        nn.init.uniform_(linear.bias, -bound, bound, generator=generator)
        layers += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def fill(weight: Tensor, initialisation: str, generator: torch.Generator) -> None:
    """Draw a weight matrix [m, n] (from n inputs to m outputs) in place.

    ``glorot``: normal, variance 2 / (m + n) (Glorot and Bengio 2010). ``he``: normal, variance 2 / n (arXiv
    1502.01852). ``orthogonal``: orthonormal rows or columns (arXiv 1312.6120). ``torch``: the default of
    ``nn.Linear``, uniform with variance 1 / (3 n).
    """
    if initialisation == "glorot":
        nn.init.xavier_normal_(weight, generator=generator)
    elif initialisation == "he":
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    elif initialisation == "orthogonal":
        nn.init.orthogonal_(weight, generator=generator)
    else:
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)


def layers_of(model: nn.Module) -> tuple[nn.Module, ...]:
    """The layers of an MLP in the order of their calls.

    An MLP is a ``torch.nn.Sequential``, nested or not, of ``Linear`` layers, each used once, elementwise
    activations without parameters, and ``Flatten``. Raises ValueError, naming the layer, for any other module:
    there the gradient of a layer may be no outer product of two vectors, or a row may depend on other rows.

    >>> layers_of(nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(8, 2)))
    Traceback (most recent call last):
    ValueError: model: layer '0' is a Conv2d, so this is no MLP: only Linear, Flatten and elementwise activations are allowed (parameter-vmap and input-vmap take any module)
    """  # noqa: E501  an error's message is one line
    named = list(_walk(model, ""))
    owners: dict[int, str] = {}
    for name, layer in named:
        if type(layer) is nn.Linear:
            for parameter in layer.parameters():
                if id(parameter) in owners:
                    raise ValueError(
                        f"model: layer {name!r} shares a parameter of shape {list(parameter.shape)} with layer "
                        f"{owners[id(parameter)]!r}: each layer of an MLP may be used only once"
                    )
                owners[id(parameter)] = name
        elif type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) != (1, -1):
            raise ValueError(f"model: layer {name!r} is {layer}, which mixes rows or leaves more than two dimensions")
    others = [(name, list(p.shape)) for name, p in model.named_parameters() if id(p) not in owners]
    if others:
        raise ValueError(f"model: parameter {others[0][0]!r} of shape {others[0][1]} belongs to no Linear layer")
    if not owners:
        raise ValueError("model: it has no Linear layer")
    return tuple(layer for _, layer in named)


def linear_layers(model: nn.Module) -> tuple[nn.Linear, ...]:
    """The linear layers of an MLP, first to last. Raises as ``layers_of`` does."""
    return tuple(layer for layer in layers_of(model) if isinstance(layer, nn.Linear))


def _walk(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    label = name or "model"
    # A hook may change what a layer computes, as torch's older weight_norm and spectral_norm do.
    if module._forward_pre_hooks or module._forward_hooks or module._backward_hooks or module._backward_pre_hooks:
        raise ValueError(f"model: layer {label!r} ({type(module).__name__}) has hooks, which may change what it does")
    if type(module) is nn.Sequential:
        # named_children would leave out the second use of a layer.
        for key, layer in module._modules.items():
            assert layer is not None
            yield from _walk(layer, f"{name}.{key}" if name else key)
    elif type(module) in (nn.Linear, nn.Flatten, *_ELEMENTWISE):
        yield name, module
    else:
        raise ValueError(
            f"model: layer {label!r} is a {type(module).__name__}, so this is no MLP: only Linear, Flatten and "
            "elementwise activations are allowed (parameter-vmap and input-vmap take any module)"
        )
