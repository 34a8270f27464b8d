"""Norms of each sample's gradient from opacus, which computes them to clip gradients for privacy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import UsageError
from harness_plugins.gradient_penalty.gradient_norms import LossFunction, Norms, check_rows, checked_losses
from harness_plugins.peers.packages import import_from


class GhostNorms:
    """opacus' ghost norms: a layer's squared norm from its input and its output's gradient (arXiv 2110.05679).

    Each call wraps and unwraps its model, as no two calls need have the same; the time of that counts.

    Raises ImportError where opacus is not installed.
    """

    #: Name of the wrapper among those of ``opacus.grad_sample``.
    wrapper = "GradSampleModuleFastGradientClipping"

    def __init__(self, weight: float = 0.01) -> None:
        self.weight = weight
        self._wrap = getattr(import_from("opacus.grad_sample", "opacus"), self.wrapper)

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:  # noqa: ARG002
        """Raise UsageError: what opacus computes in hooks cannot be differentiated again."""
        raise UsageError(f"opacus' norms for x {list(x.shape)} cannot be differentiated: there is no penalty of them")

    def norms(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Norms:
        """Squared input and parameter gradient norms of each sample [B], of layers that opacus knows."""
        check_rows(x, target)
        wrapped = self._wrap(model, loss_reduction="sum", strict=False)
        try:
            with torch.enable_grad():
                start = x.detach().requires_grad_()
                losses = checked_losses(loss_fn(wrapped(start), target), len(x))
                # With respect to the input alone: opacus does not need the parameters' own gradients.
                (at_input,) = torch.autograd.grad(losses.sum(), [start])
            return Norms(at_input.flatten(1).square().sum(1), self.squares(wrapped, list(model.parameters())))
        finally:
            wrapped.to_standard_module()

    def squares(self, wrapped: Any, parameters: list[nn.Parameter]) -> Tensor:  # noqa: ARG002
        """Squared norms [B] from what the hooks have stored."""
        norms: Tensor = wrapped.get_norm_sample()
        return norms.square()


class SampleGradients(GhostNorms):
    """Norms of each sample's whole gradient, opacus' default; holds B times all parameters in memory."""

    wrapper = "GradSampleModule"

    def squares(self, wrapped: Any, parameters: list[nn.Parameter]) -> Tensor:  # noqa: ARG002
        gradients = [parameter.grad_sample.flatten(1) for parameter in parameters]  # type: ignore[attr-defined]
        return torch.stack([gradient.square().sum(1) for gradient in gradients]).sum(0)
