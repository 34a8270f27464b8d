"""Squared norms of each sample's loss gradient with respect to its input and to all parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from harness.numbers import plural
from harness_plugins.gradient_penalty.network import layers_of

#: ``loss_fn(output [B, ...], target [B, ...])`` returns the loss of each row [B], which depends on no other row. An
#: example is ``partial(torch.nn.functional.cross_entropy, reduction="none")``.
LossFunction = Callable[[Tensor, Tensor], Tensor]


class Norms(NamedTuple):
    """Squared l2 norms of each sample's loss gradient, both [B]."""

    input: Tensor
    parameter: Tensor


@dataclass(frozen=True)
class Backward:
    """Results of one backward pass through an MLP of l linear layers."""

    #: Input h of each linear layer, l of [B, n].
    hidden: tuple[Tensor, ...]
    #: Gradient of each row's loss at the output z of each linear layer, l of [B, m].
    at_outputs: tuple[Tensor, ...]
    #: Gradient of each row's loss at its input, shaped like x.
    at_input: Tensor
    #: 1 for each layer that has a bias, else 0.
    biases: tuple[int, ...]

    @property
    def norms(self) -> Norms:
        """The norms, without the gradients of the weights (Goodfellow 2015, arXiv 1510.01799).

        The gradient of a weight is the outer product of delta (``at_outputs``) and h (``hidden``), that of a bias is
        delta. So the squared norm of a layer's gradient is |delta|^2 (|h|^2 + 1).
        """
        parts = [
            _squares(delta) * (_squares(hidden) + bias)
            for delta, hidden, bias in zip(self.at_outputs, self.hidden, self.biases, strict=True)
        ]
        return Norms(_squares(self.at_input), torch.stack(parts).sum(dim=0))


def backward(model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction, differentiable: bool) -> Backward:
    """One forward and one backward pass of an MLP over all rows together.

    Rows do not depend on each other, so that the gradient of the sum of all losses holds the gradient of each. No
    gradient of a weight is computed. ``differentiable`` keeps the graph, so that functions of the result can be
    differentiated with respect to the parameters. Raises ValueError for a model that is no MLP and for inputs
    that do not fit.
    """
    layers = layers_of(model)
    check_rows(x, target)
    hidden: list[Tensor] = []
    outputs: list[Tensor] = []

    def keep(layer: nn.Linear, before: Tensor, after: Tensor) -> None:  # noqa: ARG001
        hidden.append(before)
        outputs.append(after)

    with torch.enable_grad():
        start = x if x.requires_grad else x.detach().requires_grad_()
        losses = checked_losses(loss_fn(_forward(layers, start, keep), target), len(x))
        at_input, *at_outputs = torch.autograd.grad(losses.sum(), [start, *outputs], create_graph=differentiable)
    biases = tuple(int(layer.bias is not None) for layer in layers if isinstance(layer, nn.Linear))
    if not differentiable:
        hidden = [h.detach() for h in hidden]
    return Backward(tuple(hidden), tuple(at_outputs), at_input, biases)


def gradient_norms(
    model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction, differentiable: bool = False
) -> Norms:
    """Squared input and parameter gradient norms of each sample of an MLP, by one backward pass.

    ``x`` is [B, ...]; the parameters are all weights and biases of the linear layers. Raises ValueError for a
    model that is no MLP (``layers_of``) and for rows that do not fit, and FloatingPointError naming the row or
    the parameter that is not finite.

    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> _ = model[0].weight.data.copy_(torch.tensor([[3.0, 4.0]])), model[0].bias.data.zero_()
    >>> half_square = lambda output, target: (output[:, 0] - target) ** 2 / 2  # the output's gradient is 1 here
    >>> gradient_norms(model, torch.tensor([[1.0, 2.0]]), torch.tensor([10.0]), half_square)
    Norms(input=tensor([25.]), parameter=tensor([6.]))
    """
    if differentiable:
        norms = backward(model, x, target, loss_fn, differentiable).norms
    else:
        norms = _norms_by_hooks(model, x, target, loss_fn)
    check_finite(norms.input + norms.parameter, model)
    return norms


def _norms_by_hooks(model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Norms:
    """``backward(...).norms`` in less memory: a hook adds each layer's part and keeps no gradient."""
    layers = layers_of(model)
    check_rows(x, target)
    parts: list[Tensor] = []

    def add_hook(layer: nn.Linear, before: Tensor, after: Tensor) -> None:
        factor = _squares(before.detach()) + int(layer.bias is not None)
        after.register_hook(lambda delta: parts.append(_squares(delta) * factor))  # type: ignore[no-untyped-call]

    with torch.enable_grad():
        start = x.detach().requires_grad_()
        losses = checked_losses(loss_fn(_forward(layers, start, add_hook), target), len(x))
        (at_input,) = torch.autograd.grad(losses.sum(), start)
    return Norms(_squares(at_input), torch.stack(parts).sum(dim=0))


def gradient_norms_vmap(model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Norms:
    """The norms of any module, from every sample's whole gradient, as ``torch.func`` documents it: the baseline.

    It needs memory for B gradients of all parameters, and may be differentiated. Weights that are used twice,
    convolutions and normalisation within a row are allowed. Raises ValueError for batch normalisation in training
    mode.
    """
    check_rows(x, target)
    _check_no_batch_norm(model)
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    buffers = dict(model.named_buffers())

    def loss_of_row(parameters: dict[str, Tensor], row: Tensor, row_target: Tensor) -> Tensor:
        output = torch.func.functional_call(model, (parameters, buffers), (row[None],))
        return checked_losses(loss_fn(output, row_target[None]), 1)[0]

    gradients = torch.func.vmap(torch.func.grad(loss_of_row, argnums=(0, 1)), in_dims=(None, 0, 0))
    at_parameters, at_input = gradients(parameters, x, target)
    norms = Norms(_squares(at_input), torch.stack([_squares(g) for g in at_parameters.values()]).sum(dim=0))
    check_finite(norms.input + norms.parameter, model)
    return norms


def input_norms(model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:
    """Squared input gradient norms [B] of any module whose rows do not depend on each other; differentiable.

    Raises ValueError for rows that do not fit and for batch normalisation in training mode.
    """
    check_rows(x, target)
    _check_no_batch_norm(model)
    with torch.enable_grad():
        start = x if x.requires_grad else x.detach().requires_grad_()
        losses = checked_losses(loss_fn(model(start), target), len(x))
        (at_input,) = torch.autograd.grad(losses.sum(), [start], create_graph=True)
    norms = _squares(at_input)
    check_finite(norms, model)
    return norms


def _forward(
    layers: tuple[nn.Module, ...], current: Tensor, at_linear: Callable[[nn.Linear, Tensor, Tensor], None]
) -> Tensor:
    """The MLP's output; calls ``at_linear(layer, input, output)`` for each linear layer."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            _check_width(current, layer)
            before, current = current, layer(current)
            at_linear(layer, before, current)
        else:
            # An in-place activation would overwrite the z at which the gradient is computed.
            current = layer(current.clone() if getattr(layer, "inplace", False) else current)
    return current


def check_rows(x: Tensor, target: Tensor) -> None:
    """Raise ValueError if x is no batch or target has another number of rows, FloatingPointError if x is not finite."""
    if x.dim() < 2 or not len(x):
        raise ValueError(f"x: found shape {list(x.shape)}: at least one row and two dimensions, [B, ...], are needed")
    if not target.dim() or len(target) != len(x):
        raise ValueError(
            f"target: found shape {list(target.shape)} for x of shape {list(x.shape)}: {len(x)} rows are needed"
        )
    # A sum is one pass without a temporary copy, and it is not finite if any entry is not.
    if not x.detach().sum().isfinite():
        finite = x.detach().isfinite()
        if finite.all():  # the sum overflowed
            return
        row = int((~finite.flatten(1).all(dim=1)).nonzero()[0])
        raise FloatingPointError(f"x: row {row} of shape {list(x.shape)[1:]} holds a value that is not finite")


def checked_losses(losses: Tensor, rows: int) -> Tensor:
    """The losses. Raises ValueError unless there is one for each row."""
    if losses.shape != (rows,):
        raise ValueError(
            f"loss_fn: found a loss of shape {list(losses.shape)} for {plural(rows, 'row')}: one for each row, "
            f"[{rows}], is needed (reduction='none'; output and target of the same shape where the loss is elementwise)"
        )
    return losses


def check_finite(norms: Tensor, model: nn.Module) -> None:
    """Raise FloatingPointError if a norm is not finite, naming a parameter that is not finite, or else the row."""
    finite = norms.detach().isfinite()
    if finite.all():
        return
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise FloatingPointError(
                f"model: parameter {name!r} of shape {list(parameter.shape)} holds a value that is not finite"
            )
    row = int((~finite).nonzero()[0])
    raise FloatingPointError(f"the squared gradient norms, shape {list(norms.shape)}: row {row} is not finite")


def _check_width(current: Tensor, layer: nn.Linear) -> None:
    if current.dim() != 2 or current.shape[1] != layer.in_features:
        raise ValueError(
            f"x: a linear layer would see shape {list(current.shape)}: rows of {layer.in_features} values, "
            f"[B, {layer.in_features}], are needed (a layer that is shared over positions has no outer product)"
        )


def _check_no_batch_norm(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and (layer.training or not layer.track_running_stats):
            raise ValueError(
                f"model: layer {name!r} is a {type(layer).__name__} in training mode, so that a row's loss depends on "
                "other rows and has no gradient of its own"
            )


def _squares(rows: Tensor) -> Tensor:
    """Sum of squares of each row: [B, ...] to [B]. Half precisions are summed in float32: 256^2 overflows float16."""
    rows = rows.flatten(1)
    if rows.dtype in (torch.float16, torch.bfloat16):
        rows = rows.float()
    return rows.square().sum(dim=1)
