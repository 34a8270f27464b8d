"""Objectives compared with their definitions, and the noise of their gradients, on real digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from harness.errors import UsageError
from harness_plugins.vae_density.estimator import VariationalDensity, log_probability
from harness_plugins.vae_density.exact import FALSE_ALARM_RATE
from harness_plugins.vae_density.networks import Autoencoder
from harness_plugins.vae_density.objectives import bound, set_gradients
from harness_plugins.vae_density.observations import binarise

if TYPE_CHECKING:
    from harness.running.run import Run

#: Largest relative distance of a bound from its definition, in float64, that is no violation.
IDENTITY_TOLERANCE = 1e-12
#: Size of the minibatch whose gradient is repeated.
GRADIENT_BATCH = 20


def identities(estimator: Any, run: Run) -> dict[str, float]:
    """Count images for which an objective with one sample differs from the VAE's ELBO or from the definition.

    Networks are fresh, of the size that the estimator's options say. The definition is log(p(x|z) p(z) / q(z|x)) from
    torch.distributions. The VAE's sampled and analytic ELBO are also compared with each other, over many samples. The
    dtype should be float64.
    """
    model, images = _untrained(estimator, run)
    noise = model.noise(1, len(images), run.generator, images)
    with torch.no_grad():
        own = bound(model, images, noise, estimator.objective, estimator.kl)
        elbo = bound(model, images, noise, "elbo", "sampled")
        defined = by_definition(model, images, noise[0])
        draws = model.noise(run.options["draws"], len(images), run.generator, images)
        sampled = torch.stack([bound(model, images, draw[None], "elbo", "sampled") for draw in draws])
        analytic = torch.stack([bound(model, images, draw[None], "elbo", "analytic") for draw in draws])
    difference = sampled - analytic
    error = difference.std(dim=0) / len(draws) ** 0.5
    limit = float(stats.t.isf(FALSE_ALARM_RATE / (2 * len(images)), len(draws) - 1))
    relative_error = ((own - defined) / defined).abs()
    return {
        "vae_violations": int((own != elbo).sum()),
        "definition_violations": int((relative_error > IDENTITY_TOLERANCE).sum()),
        "analytic_violations": int((difference.mean(dim=0).abs() > limit * error + IDENTITY_TOLERANCE).sum()),
        "largest_error": relative_error.max().item(),
        "noise_saved": 1 - (analytic.std(dim=0) / sampled.std(dim=0)).mean().item(),
    }


def by_definition(model: Autoencoder, x: Tensor, noise: Tensor) -> Tensor:
    """log p(x|z) p(z) / q(z|x) [N] of samples from ``noise`` [N, L], by torch.distributions; one or two layers."""
    below, total, samples = x, torch.zeros(len(x), dtype=x.dtype, device=x.device), []
    first = 0
    for encoder, width in zip(model.encoder, model.sizes.latents, strict=True):
        mean, log_scale = encoder(below)
        below = mean + log_scale.exp() * noise[:, first : first + width]
        first += width
        samples.append(below)
        total = total - log_probability(Normal(mean, log_scale.exp()), below)
    for prior, lower, upper in zip(model.prior, samples, samples[1:], strict=False):
        mean, log_scale = prior(upper)
        total = total + log_probability(Normal(mean, log_scale.exp()), lower)
    standard = Normal(torch.zeros_like(below), torch.ones_like(below))
    return total + log_probability(standard, below) + log_probability(Bernoulli(logits=model.decoder(samples[0])), x)


def gradient_noise(estimator: Any, run: Run) -> dict[str, float]:
    """Signal-to-noise ratio of the gradient of a briefly trained model.

    Trains with the estimator's own objective, then repeats the gradient of one minibatch with fresh samples. The
    ratio of a parameter is |mean| / standard deviation over the repeats (arXiv 1802.04537, equation 8). It is averaged
    over the encoder's parameters and over the generative model's.
    """
    _require_autoencoder(estimator)
    grey = torch.tensor(run.data("digits")["train_images"], device=run.device, dtype=run.dtype)
    estimator.fit(binarise(grey, run.generator), generator=run.generator)
    model = estimator.model
    rows = torch.randperm(len(grey), generator=run.generator)[:GRADIENT_BATCH]
    images = binarise(grey[rows.to(run.device)], run.generator).flatten(1)
    repeats = run.options["repeats"]
    encoder = list(model.encoder_parameters())
    encoder_ids = {id(parameter) for parameter in encoder}
    decoder = [parameter for parameter in model.parameters() if id(parameter) not in encoder_ids]
    encoder_gradients: list[Tensor] = []
    decoder_gradients: list[Tensor] = []
    for repeat in range(repeats):
        noise = model.noise(estimator.k, len(images), run.generator, images)
        set_gradients(model, images, noise, estimator.objective, estimator.kl)
        encoder_gradients.append(_flat_gradient(encoder))
        decoder_gradients.append(_flat_gradient(decoder))
        run.progress(repeat + 1, repeats)
    return {
        "encoder_snr": signal_to_noise(torch.stack(encoder_gradients)),
        "decoder_snr": signal_to_noise(torch.stack(decoder_gradients)),
    }


def _flat_gradient(parameters: Sequence[Tensor]) -> Tensor:
    """The gradients of all parameters that have one, in one vector."""
    return torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])


def signal_to_noise(gradients: Tensor) -> float:
    """Mean over parameters of |mean| / standard deviation of ``gradients`` [repeats, parameters].

    A parameter whose gradient never changes has no ratio and does not count.

    >>> signal_to_noise(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))  # 2 / sqrt(2)
    1.4142135381698608
    """
    spread = gradients.std(dim=0)
    return (gradients.mean(dim=0).abs() / spread)[spread > 0].mean().item()


def _untrained(estimator: Any, run: Run) -> tuple[Autoencoder, Tensor]:
    _require_autoencoder(estimator)
    grey = torch.tensor(run.data("digits")["train_images"], device=run.device, dtype=run.dtype)
    images = binarise(grey[: run.options["images"]], run.generator)
    return estimator.start(images, run.generator), images.flatten(1)


def _require_autoencoder(estimator: object) -> None:
    if not isinstance(estimator, VariationalDensity) or estimator.likelihood != "bernoulli":
        raise UsageError("this task needs one of the plugin's autoencoders with likelihood = 'bernoulli'")
