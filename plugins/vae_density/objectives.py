"""The objectives of training with k samples: the ELBO, its average, the importance-weighted bound, DReG's gradient.

Bounds are per image and summed over the minibatch, as in the code published with arXiv 1509.00519. With Adam the
difference between sum and mean matters only in comparison with its epsilon.
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
    """log of the mean over K of weights whose logs are ``log_weights`` [K, N]: [N]. With K = 1 bit-equal to its input.

    >>> log_mean_exp(torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    tensor([0., 1.])
    """
    if len(log_weights) == 1:
        return log_weights[0]
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


def bound(model: Autoencoder, x: Tensor, noise: Tensor, objective: Objective, kl: Divergence) -> Tensor:
    """The lower bound of log p(x) [N] in nats for images ``x`` [N, D] and ``noise`` [k, N, L].

    - ``elbo``: the mean of k log weights; with ``kl = "analytic"`` the top layer's divergence in closed form
      (equation 10 of arXiv 1312.6114; with two layers that of the lower layer has none and stays sampled).
    - ``iwae``, ``dreg``: log of the mean of k weights (arXiv 1509.00519, equation 8).
    """
    if objective == "elbo":
        return model.terms(x, noise, analytic=kl == "analytic").mean(dim=0)
    return log_mean_exp(model.terms(x, noise))


def set_gradients(model: Autoencoder, x: Tensor, noise: Tensor, objective: Objective, kl: Divergence) -> Tensor:
    """Set every parameter's ``grad`` to that of minus the bound, summed over ``x``; return the bound [N], detached.

    For ``dreg`` the encoder's gradient is the doubly reparameterised one (arXiv 1810.04152, equation 8): the path of
    each sample has the square of its normalised weight as factor, and the density of q is held constant. It has the
    expectation of IWAE's gradient and less noise. The decoder's gradient is IWAE's.
    """
    model.zero_grad(set_to_none=True)
    if objective != "dreg":
        value = bound(model, x, noise, objective, kl)
        torch.autograd.backward(-value.sum())
        return value.detach()
    log_weights = model.terms(x, noise, stopped=True)
    weights = torch.softmax(log_weights.detach(), dim=0)
    encoder = model.encoder_parameters()
    encoder_ids = {id(parameter) for parameter in encoder}
    generative = [parameter for parameter in model.parameters() if id(parameter) not in encoder_ids]
    for parameters, factor, retain in ((encoder, weights.square(), True), (generative, weights, False)):
        gradients = torch.autograd.grad(-(factor * log_weights).sum(), parameters, retain_graph=retain)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
    return log_mean_exp(log_weights.detach())
