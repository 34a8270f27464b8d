"""What importance weights are checked and timed on: the K-sample bound of binary pictures, forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.estimator import VariationalDensity

#: Latents and hidden units of the published one-layer model, which the methods have by default.
LATENT, HIDDEN = 50, 200


def inputs(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, samples: int, dimension: int, batch: int
) -> tuple[Tensor, Tensor]:
    """Binary pictures [batch, dimension] and the noise [samples, batch, 50] that their latents are made of.

    Drawn in float64 on the generator's device and then rounded: every dtype and device gets the same numbers.
    """
    return _drawn(generator, device, dtype, samples, dimension, batch)


def far_samples(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, samples: int, dimension: int, batch: int
) -> tuple[Tensor, Tensor]:
    """Latents ten times as far from their means: log weights that lie hundreds of nats apart."""
    return _drawn(generator, device, dtype, samples, dimension, batch, distance=10.0)


def all_on(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, samples: int, dimension: int, batch: int
) -> tuple[Tensor, Tensor]:
    """Pictures whose pixels are all 1."""
    return _drawn(generator, device, dtype, samples, dimension, batch, on=1.0)


def _drawn(
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
    samples: int,
    dimension: int,
    batch: int,
    distance: float = 1.0,
    on: float = 0.2,
) -> tuple[Tensor, Tensor]:
    like = torch.empty(0, dtype=torch.float64, device=generator.device)
    pictures = (like.new_empty(batch, dimension).uniform_(generator=generator) < on).double()
    noise = distance * like.new_empty(samples, batch, LATENT).normal_(generator=generator)
    return pictures.to(device, dtype), noise.to(device, dtype).requires_grad_()


def call(estimator: VariationalDensity, pictures: Tensor, noise: Tensor) -> Tensor:
    """The mean bound, in nats, of an untrained network whose weights are always the same.

    Raises UsageError for an estimator without importance weights of its own making.
    """
    if not isinstance(estimator, VariationalDensity):
        raise UsageError("density/importance-weights times the plugin's autoencoders and no other estimator")
    place = None if estimator.unfitted else next(estimator.model.parameters())
    width = None if place is None else estimator.model.sizes.dimension
    if place is None or (place.dtype, place.device, width) != (noise.dtype, noise.device, pictures.shape[1]):
        # At a grey row, not at these pictures: the next batch finds the same network.
        estimator.start(torch.full_like(pictures[:1], 0.5), torch.Generator().manual_seed(0))
    return estimator.bound(pictures, noise).mean()


def least_bytes(itemsize: int, samples: int, dimension: int, batch: int) -> int:
    """Pictures and noise read once, the noise's gradient written once. No weight's pixels need to reach memory."""
    return (batch * dimension + 2 * samples * batch * LATENT) * itemsize


def least_flops(samples: int, dimension: int, batch: int) -> int:
    """Multiplications and additions of the decoder's matrix products, forward and as many backward.

    Only the noise is differentiated: no product is needed for a weight's gradient.
    """
    one = LATENT * HIDDEN + HIDDEN * HIDDEN + HIDDEN * dimension
    return 2 * 2 * samples * batch * one
