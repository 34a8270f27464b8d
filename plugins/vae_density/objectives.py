"""What is maximised over k samples: the ELBO, its average, the importance-weighted bound, and DReG's gradient.

All are given per image and summed over the minibatch, as the code published with arXiv 1509.00519 does; under Adam
the sum against the mean matters only beside its epsilon.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from harness_plugins.vae_density.networks import Autoencoder

Divergence = Literal["analytic", "sampled"]
Objective = Literal["elbo", "iwae", "dreg"]


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """log of the mean of weights [K, N] over K, [N]. With one weight it is that weight, bit for bit.

    >>> log_mean_exp(torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    tensor([0., 1.])
    """
    if len(log_weights) == 1:
        return log_weights[0]
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


def bound(model: Autoencoder, x: Tensor, noise: Tensor, objective: Objective, kl: Divergence) -> Tensor:
    """The lower bound of log p(x) [N] in nats for images ``x`` [N, D] and ``noise`` [k, N, L].

    - ``elbo``: the mean of k log weights; with ``kl = "analytic"`` the top layer's divergence in closed form
      (equation 10 of arXiv 1312.6114; with two layers the lower one's has none and stays sampled).
    - ``iwae``, ``dreg``: log of the mean of k weights (arXiv 1509.00519, equation 8).
    """
    if objective == "elbo":
        return model.terms(x, noise, analytic=kl == "analytic").mean(dim=0)
    return log_mean_exp(model.terms(x, noise))


def set_gradients(model: Autoencoder, x: Tensor, noise: Tensor, objective: Objective, kl: Divergence) -> Tensor:
    """Set every parameter's ``grad`` to that of minus the bound, summed over ``x``; gives the bound [N], detached.

    For ``dreg`` the encoder's gradient is the doubly reparameterised one (arXiv 1810.04152, equation 8): each
    sample's path counts with the square of its normalised weight, and the density of q is held constant. Same
    expectation as IWAE's, less noise. The decoder's gradient is IWAE's.
    """
    model.zero_grad(set_to_none=True)
    if objective != "dreg":
        value = bound(model, x, noise, objective, kl)
        torch.autograd.backward(-value.sum())
        return value.detach()
    log_weights = model.terms(x, noise, stopped=True)
    weights = torch.softmax(log_weights.detach(), dim=0)
    encoder = model.encoder_parameters()
    of_encoder = {id(parameter) for parameter in encoder}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in of_encoder]
    for parameters, factor, keep in ((encoder, weights.square(), True), (rest, weights, False)):
        found = torch.autograd.grad(-(factor * log_weights).sum(), parameters, retain_graph=keep)
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
    return log_mean_exp(log_weights.detach())
