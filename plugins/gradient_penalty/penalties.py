"""Penalties to add to a loss: on gradients with respect to inputs or parameters, or on weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness_plugins.gradient_penalty.gradient_norms import (
    LossFunction,
    Norms,
    check_finite,
    check_rows,
    checked_losses,
    gradient_norms,
    gradient_norms_vmap,
    input_norms,
)
from harness_plugins.gradient_penalty.network import linear_layers


@dataclass(frozen=True)
class NoPenalty:
    """No penalty: only the learning rate and the batch size regularise.

    >>> NoPenalty()(nn.Linear(2, 1), torch.ones(3, 2), torch.zeros(3), lambda output, target: output[:, 0])
    tensor(0.)
    """

    #: Multiplies the penalty.
    weight: float = 0.0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:  # noqa: ARG002
        """The scalar to add to the mean loss of the batch."""
        return x.new_zeros(())

    def norms(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Norms:
        """Squared input and parameter gradient norms of each sample of an MLP, without a graph."""
        return gradient_norms(model, x, target, loss_fn)


@dataclass(frozen=True)
class InputPenalty(NoPenalty):
    """Mean over samples of the squared norm of the loss gradient at the input (Drucker and LeCun 1992).

    Takes any module whose rows do not depend on each other.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> InputPenalty(0.1)(model, torch.ones(3, 2), torch.zeros(3), lambda output, target: output[:, 0])
    tensor(2.5000, grad_fn=<MulBackward0>)
    """

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:
        return self.weight * input_norms(model, x, target, loss_fn).mean()


@dataclass(frozen=True)
class ParameterPenalty(NoPenalty):
    """Mean over samples of the squared norm of the loss gradient at all parameters; MLPs only.

    Each sample's own gradient counts: the penalty is not 0 where the gradients of a batch cancel.
    """

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:
        return self.weight * gradient_norms(model, x, target, loss_fn, differentiable=True).parameter.mean()


@dataclass(frozen=True)
class BatchParameterPenalty(NoPenalty):
    """Squared norm of the gradient of the batch's mean loss at all trainable parameters; any module.

    With the weight (learning rate) / 4 it is the implicit penalty of gradient descent (arXiv 2009.11162, equation 3).
    """

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:
        check_rows(x, target)
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            loss = checked_losses(loss_fn(model(x), target), len(x)).mean()
            gradients = torch.autograd.grad(loss, trainable, create_graph=True, materialize_grads=True)
        square = torch.stack([gradient.square().sum() for gradient in gradients]).sum()
        check_finite(square[None], model)
        return self.weight * square


@dataclass(frozen=True)
class SpectralNormPenalty(NoPenalty):
    """Sum, or product, of the squared spectral norms of an MLP's weights.

    The sum is spectral norm regularisation (arXiv 1705.10941, equation 5), here with the exact norm instead of
    one step of power iteration. The product bounds the growth of a gradient's squared norm from the output to the
    input, if no activation has a slope above 1.

    >>> model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    >>> _ = model[0].weight.data.copy_(torch.tensor([[3.0, 0], [0, 2]])), model[2].weight.data.fill_(1)
    >>> for form in "sum", "product":
    ...     print(round(SpectralNormPenalty(1, form)(model, torch.ones(1, 2), torch.ones(1), None).item(), 4))
    11.0
    18.0
    """

    form: str = "sum"

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:  # noqa: ARG002
        squares = []
        for layer in linear_layers(model):
            if not layer.weight.isfinite().all():
                check_finite(layer.weight.detach().sum()[None], model)
            squares.append(squared_spectral_norm(layer.weight))
        stacked = torch.stack(squares)
        return self.weight * (stacked.sum() if self.form == "sum" else stacked.prod())


@dataclass(frozen=True)
class InputPenaltyVmap(InputPenalty):
    """``InputPenalty`` from every sample's whole gradient by ``torch.func``: slow, for any module."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:
        return self.weight * gradient_norms_vmap(model, x, target, loss_fn).input.mean()

    def norms(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Norms:
        norms = gradient_norms_vmap(model, x, target, loss_fn)
        return Norms(norms.input.detach(), norms.parameter.detach())


@dataclass(frozen=True)
class ParameterPenaltyVmap(InputPenaltyVmap):
    """``ParameterPenalty`` from every sample's whole gradient by ``torch.func``: slow, for any module."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:
        return self.weight * gradient_norms_vmap(model, x, target, loss_fn).parameter.mean()


def squared_spectral_norm(weight: Tensor) -> Tensor:
    """Largest squared singular value s^2 of a matrix W [m, n], a scalar that can be differentiated.

    With the leading eigenvector v of the smaller Gram matrix as a constant, |W v|^2 has the value of s^2 and its
    gradient 2 s u v^T, at a third of the cost of a singular value decomposition. Where several singular values are
    the largest, the gradient is one of the subgradients.

    >>> squared_spectral_norm(torch.tensor([[3.0, 0.0], [4.0, 0.0]])).item()
    25.0
    """
    oriented = weight.mT if weight.shape[0] < weight.shape[1] else weight
    with torch.no_grad():
        leading = torch.linalg.eigh(oriented.mT @ oriented).eigenvectors[:, -1]
    square: Tensor = (oriented @ leading).square().sum()
    return square
