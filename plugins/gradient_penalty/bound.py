"""Both sides of the inequality between input and parameter gradients of an MLP, in numbers, sample by sample.

For one input x, h_1 = x, h_{t+1} = g_t(W_t h_t + b_t) and a scalar f of h_{l+1} (kexue.fm/archives/8796):

    |grad_x f|^2  sum_t (1 + |h_t|^2) / (|W_t|^2 |J_t|^2)  <=  |grad_theta f|^2,     J_t = dh_t / dx

with the spectral norms of W_t and J_t. It also holds with their Frobenius norms, which are larger and make the left
side smaller. Here the sum is called the bracket, and the left side over the right one the tightness.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness_plugins.gradient_penalty.gradient_norms import LossFunction, backward
from harness_plugins.gradient_penalty.network import layers_of, linear_layers

#: Rows whose Jacobians are in memory at once.
ROWS = 32


@dataclass(frozen=True)
class Bound:
    """The terms of both sides, float64, for B samples and l layers. A norm is squared only where it says so."""

    #: Squared norms of the gradients at the input and at all parameters, both [B].
    input_gradient: Tensor
    parameter_gradient: Tensor
    #: Squared |h_t|, and squared norm of the gradient at each layer's output z_t, both [B, l].
    hidden: Tensor
    at_outputs: Tensor
    #: Norms of J_t, spectral and Frobenius, [B, l].
    jacobian: Tensor
    jacobian_frobenius: Tensor
    #: Norms of W_t, spectral and Frobenius, and 1 where the layer has a bias, all [l].
    weight: Tensor
    weight_frobenius: Tensor
    bias: Tensor
    #: Distance of delta_t W_t J_t, which the derivation starts from, from the input's gradient by autograd, relative
    #: to the latter, at the worst layer, [B].
    identity_error: Tensor

    @property
    def bracket(self) -> Tensor:
        """The sum of the inequality by spectral norms, [B]."""
        return self._bracket(self.weight * self.jacobian)

    @property
    def tightness(self) -> Tensor:
        """Left over right side by spectral norms, [B]; NaN where both are 0."""
        return self.input_gradient * self.bracket / self.parameter_gradient

    @property
    def tightness_frobenius(self) -> Tensor:
        """Left over right side by Frobenius norms, [B]; NaN where both are 0."""
        bracket = self._bracket(self.weight_frobenius * self.jacobian_frobenius)
        return self.input_gradient * bracket / self.parameter_gradient

    @property
    def tightness_of_layers(self) -> Tensor:
        """Left over right side of each layer alone, [B, l]; NaN where both are 0.

        The factor |h_t|^2 of the weight, and 1 of the bias, is on both sides: weight and bias have one quotient.
        """
        product = self.weight * self.jacobian
        left = torch.where(product > 0, self.input_gradient[:, None] / product.square(), 0.0)
        return left / self.at_outputs

    def _bracket(self, product: Tensor) -> Tensor:
        # Where W_t or J_t is 0 (all units of a layer are off), so is the input's gradient: the term is left out
        # instead of becoming 0 / 0.
        terms = (self.hidden + self.bias) / product.square()
        return torch.where(product > 0, terms, 0.0).sum(dim=1)


def bound(model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Bound:
    """Both sides of the inequality for rows x [B, ...] of an MLP of any dtype, computed in float64.

    Raises as ``gradient_norms.backward`` does.

    >>> first_output = lambda output, target: output[:, 0]
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> sides = bound(model, torch.tensor([[1.0, 2.0]]), torch.zeros(1), first_output)
    >>> round(sides.tightness.item(), 12)  # one layer with one output: equality
    1.0
    """
    exact = deepcopy(model).double()
    layers = linear_layers(exact)
    weights = [layer.weight.detach() for layer in layers]
    columns: dict[str, list[Tensor]] = {}
    exact_target = target.double() if target.is_floating_point() else target
    for rows, targets in zip(torch.split(x.double(), ROWS), torch.split(exact_target, ROWS), strict=True):
        passed = backward(exact, rows, targets, loss_fn, differentiable=False)
        norms, flat = passed.norms, passed.at_input.flatten(1)
        spectral, frobenius, errors = [], [], []
        for weight, delta, jacobian in zip(weights, passed.at_outputs, jacobians(exact, rows), strict=True):
            spectral.append(spectral_norm(jacobian))
            frobenius.append(torch.linalg.matrix_norm(jacobian))
            chained = torch.einsum("bm,mn,bnd->bd", delta, weight, jacobian)
            errors.append((chained - flat).norm(dim=1) / flat.norm(dim=1).clamp_min(torch.finfo(flat.dtype).tiny))
        terms = {
            "input_gradient": norms.input,
            "parameter_gradient": norms.parameter,
            "hidden": torch.stack([h.square().sum(dim=1) for h in passed.hidden], dim=1),
            "at_outputs": torch.stack([delta.square().sum(dim=1) for delta in passed.at_outputs], dim=1),
            "jacobian": torch.stack(spectral, dim=1),
            "jacobian_frobenius": torch.stack(frobenius, dim=1),
            "identity_error": torch.stack(errors).amax(dim=0),
        }
        for name, column in terms.items():
            columns.setdefault(name, []).append(column)
    return Bound(
        **{name: torch.cat(parts) for name, parts in columns.items()},
        weight=torch.stack([spectral_norm(weight) for weight in weights]),
        weight_frobenius=torch.stack([torch.linalg.matrix_norm(weight) for weight in weights]),
        bias=torch.tensor([float(layer.bias is not None) for layer in layers], dtype=torch.float64, device=x.device),
    )


@torch.no_grad()
def jacobians(model: nn.Module, x: Tensor) -> Iterator[Tensor]:
    """J_t = dh_t / dx for the input h_t of each linear layer of an MLP: l of [B, n_t, d], with d values in a row of x.

    They are computed forward through the layers with one matrix product each; the first is the identity.
    """
    current = x.flatten(1)
    width = current.shape[1]
    jacobian = torch.eye(width, dtype=x.dtype, device=x.device).expand(len(x), width, width)
    for layer in layers_of(model):
        if isinstance(layer, nn.Linear):
            yield jacobian
            jacobian = layer.weight @ jacobian
            current = layer(current)
        elif not isinstance(layer, nn.Flatten):
            with torch.enable_grad():
                inputs = current.detach().requires_grad_()
                (slope,) = torch.autograd.grad(layer(inputs.clone()).sum(), inputs)
            jacobian = slope[:, :, None] * jacobian
            current = layer(current)


@torch.no_grad()
def spectral_norm(matrix: Tensor) -> Tensor:
    """Largest singular value [...] of matrices [..., m, n], float64.

    It is the root of the largest eigenvalue of the smaller Gram matrix, several times as fast as a singular value
    decomposition. Squaring loses the accuracy of small singular values, not that of the largest.

    >>> spectral_norm(torch.tensor([[3.0, 0.0], [4.0, 0.0]]).double()).item()
    5.0
    """
    tall = matrix.shape[-2] > matrix.shape[-1]
    gram = matrix.mT @ matrix if tall else matrix @ matrix.mT
    largest: Tensor = torch.linalg.eigvalsh(gram)[..., -1].clamp_min(0).sqrt()
    return largest
