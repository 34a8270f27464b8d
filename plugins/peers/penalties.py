"""Norms of each sample's gradient as opacus has them, which needs them to clip gradients for privacy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import UsageError
from harness_plugins.gradient_penalty.gradient_norms import LossFunction, Norms, check_rows, checked_losses
from harness_plugins.peers.packages import imported


class GhostNorms:
    """opacus' ghost norms: a layer's squared norm from its input and its output's gradient (arXiv 2110.05679).

    The model is wrapped and unwrapped in each call, as it is another one each time; that is timed with it.

    Raises ImportError where opacus is not installed.
    """

    #: Name of the wrapper among those of ``opacus.grad_sample``.
    wrapper = "GradSampleModuleFastGradientClipping"

    def __init__(self, weight: float = 0.01) -> None:
        self.weight = weight
        self._wrap = getattr(imported("opacus.grad_sample", "opacus"), self.wrapper)

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Tensor:  # noqa: ARG002
        """Raises UsageError: what opacus computes in hooks cannot be differentiated again."""
        raise UsageError(f"opacus' norms for x {list(x.shape)} cannot be differentiated: there is no penalty of them")

    def norms(self, model: nn.Module, x: Tensor, target: Tensor, loss_fn: LossFunction) -> Norms:
        """Squared input and parameter gradient norms of each sample [B], of layers that opacus knows."""
        check_rows(x, target)
        wrapped = self._wrap(model, loss_reduction="sum", strict=False)
        try:
            with torch.enable_grad():
                start = x.detach().requires_grad_()
                losses = checked_losses(loss_fn(wrapped(start), target), len(x))
                # Of the input alone: the parameters' own gradients are not asked for, which opacus does not need.
                (at_input,) = torch.autograd.grad(losses.sum(), [start])
            return Norms(at_input.flatten(1).square().sum(1), self.squares(wrapped, list(model.parameters())))
        finally:
            wrapped.to_standard_module()

    def squares(self, wrapped: Any, parameters: list[nn.Parameter]) -> Tensor:  # noqa: ARG002
        """What the hooks have left behind, as squared norms [B]."""
        found: Tensor = wrapped.get_norm_sample().square()
        return found


class SampleGradients(GhostNorms):
    """Norms of each sample's whole gradient, B times all parameters in memory, as opacus computes it by default."""

    wrapper = "GradSampleModule"

    def squares(self, wrapped: Any, parameters: list[nn.Parameter]) -> Tensor:  # noqa: ARG002
        gradients = [parameter.grad_sample.flatten(1) for parameter in parameters]  # type: ignore[attr-defined]
        return torch.stack([gradient.square().sum(1) for gradient in gradients]).sum(0)
