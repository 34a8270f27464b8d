"""Inputs, call and least work of the workload: the K-sample bound of binary pictures, forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.estimator import VariationalDensity

#: Latents and hidden units of the published one-layer model, the defaults of the methods.
LATENT, HIDDEN = 50, 200


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, samples: int, dimension: int, batch: int
) -> tuple[Tensor, Tensor]:
    """Binary pictures [batch, dimension] and the noise [samples, batch, 50] of their latents.

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same numbers.
    """
    pictures, noise = _pictures(generator, batch, dimension), _noise(generator, samples, batch)
    return _rounded(pictures, noise, device, dtype)


def far_samples(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, samples: int, dimension: int, batch: int
) -> tuple[Tensor, Tensor]:
    """Latents ten times as far from their means, so that log weights differ by hundreds of nats."""
    pictures, noise = _pictures(generator, batch, dimension), 10 * _noise(generator, samples, batch)
    return _rounded(pictures, noise, device, dtype)


def all_on(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, samples: int, dimension: int, batch: int
) -> tuple[Tensor, Tensor]:
    """Pictures whose pixels are all 1."""
    pictures = _pictures(generator, batch, dimension, share_on=1.0)
    return _rounded(pictures, _noise(generator, samples, batch), device, dtype)


def _pictures(generator: torch.Generator, batch: int, dimension: int, share_on: float = 0.2) -> Tensor:
    uniform = torch.empty(batch, dimension, dtype=torch.float64, device=generator.device).uniform_(generator=generator)
    return (uniform < share_on).double()


def _noise(generator: torch.Generator, samples: int, batch: int) -> Tensor:
    noise = torch.empty(samples, batch, LATENT, dtype=torch.float64, device=generator.device)
    return noise.normal_(generator=generator)


def _rounded(pictures: Tensor, noise: Tensor, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return pictures.to(device, dtype), noise.to(device, dtype).requires_grad_()


def call(estimator: VariationalDensity, pictures: Tensor, noise: Tensor) -> Tensor:
    """The mean bound, in nats, of an untrained network whose weights are always the same.

    Raises UsageError for an estimator that is not one of the plugin's autoencoders.
    """
    if not isinstance(estimator, VariationalDensity):
        raise UsageError("density/importance-weights needs one of the plugin's autoencoders")
    if not _has_network_for(estimator, pictures, noise):
        # From a grey row, not from these pictures, so that every batch gets the same network.
        estimator.start(torch.full_like(pictures[:1], 0.5), torch.Generator().manual_seed(0))
    return estimator.bound(pictures, noise).mean()


def _has_network_for(estimator: VariationalDensity, pictures: Tensor, noise: Tensor) -> bool:
    if estimator.unfitted:
        return False
    weight = next(estimator.model.parameters())
    network = (weight.dtype, weight.device, estimator.model.sizes.dimension)
    return network == (noise.dtype, noise.device, pictures.shape[1])


def least_bytes(itemsize: int, samples: int, dimension: int, batch: int) -> int:
    """Pictures and noise read once, the noise's gradient written once. The pixels of a weight need not reach memory."""
    return (batch * dimension + 2 * samples * batch * LATENT) * itemsize


def least_flops(samples: int, dimension: int, batch: int) -> int:
    """Multiplications and additions of the decoder's matrix products, forward and as many backward.

    Only the noise is differentiated: gradients of the network's parameters need no products.
    """
    products = LATENT * HIDDEN + HIDDEN * HIDDEN + HIDDEN * dimension
    return 2 * 2 * samples * batch * products
