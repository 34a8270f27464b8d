"""Objectives against their definitions, and how noisy their gradients are: untrained networks on real digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal

from harness.errors import UsageError
from harness_plugins.vae_density.estimator import VariationalDensity
from harness_plugins.vae_density.exact import FALSE_ALARM
from harness_plugins.vae_density.networks import Autoencoder
from harness_plugins.vae_density.objectives import bound, set_gradients
from harness_plugins.vae_density.observations import binarise

if TYPE_CHECKING:
    from harness.running.run import Run

#: How far a bound may be from the definition in float64, relative to its size, before it counts as violated.
IDENTITY_TOLERANCE = 1e-12
#: Images whose gradients are repeated: their sum is one minibatch's.
GRADIENT_BATCH = 20


def identities(estimator: Any, run: Run) -> dict[str, float]:
    """Count images on which an objective with one sample is not the VAE's, or not the definition's.

    Networks are fresh ones, sized by the estimator's options. The definition is -log(p(x|z) p(z) / q(z|x)),
    written with torch.distributions; the VAE's loss is its own sampled and its analytic form. Float64 is meant.
    """
    model, images = _untrained(estimator, run)
    noise = model.noise(1, len(images), run.generator, images)
    with torch.no_grad():
        own = bound(model, images, noise, estimator.objective, estimator.kl)
        elbo = bound(model, images, noise, "elbo", "sampled")
        defined = by_definition(model, images, noise[0])
        draws = model.noise(run.options["draws"], len(images), run.generator, images)
        sampled = torch.stack([bound(model, images, one[None], "elbo", "sampled") for one in draws])
        analytic = torch.stack([bound(model, images, one[None], "elbo", "analytic") for one in draws])
    difference = sampled - analytic
    error = difference.std(dim=0) / len(draws) ** 0.5
    limit = float(stats.t.isf(FALSE_ALARM / (2 * len(images)), len(draws) - 1))
    relative = ((own - defined) / defined).abs()
    return {
        "vae_violations": int((own != elbo).sum()),
        "definition_violations": int((relative > IDENTITY_TOLERANCE).sum()),
        "analytic_violations": int((difference.mean(dim=0).abs() > limit * error + IDENTITY_TOLERANCE).sum()),
        "largest_error": relative.max().item(),
        "noise_saved": 1 - (analytic.std(dim=0) / sampled.std(dim=0)).mean().item(),
    }


def by_definition(model: Autoencoder, x: Tensor, noise: Tensor) -> Tensor:
    """log p(x|z) p(z) / q(z|x) [N] of the samples made of ``noise`` [N, L], from distributions; one or two layers."""
    below, total, samples = x, torch.zeros(len(x), dtype=x.dtype, device=x.device), []
    first = 0
    for encoder, width in zip(model.encoder, model.sizes.latents, strict=True):
        mean, log_scale = encoder(below)
        below = mean + log_scale.exp() * noise[:, first : first + width]
        first += width
        samples.append(below)
        total = total - _log_prob(Normal(mean, log_scale.exp()), below)
    for prior, lower, upper in zip(model.prior, samples, samples[1:], strict=False):
        mean, log_scale = prior(upper)
        total = total + _log_prob(Normal(mean, log_scale.exp()), lower)
    standard = Normal(torch.zeros_like(below), torch.ones_like(below))
    return total + _log_prob(standard, below) + _log_prob(Bernoulli(logits=model.decoder(samples[0])), x)


def _log_prob(distribution: Distribution, value: Tensor) -> Tensor:
    """Summed over the last dimension."""
    found: Tensor = distribution.log_prob(value)
    return found.sum(-1)


def gradient_noise(estimator: Any, run: Run) -> dict[str, float]:
    """Signal and noise of the gradient of a briefly trained model: the mean over repeats against their spread.

    Trains with the estimator's own objective, then repeats the gradient of one minibatch with fresh samples. The
    signal-to-noise ratio of a parameter is |mean| / standard deviation (arXiv 1802.04537, equation 8), here
    averaged over the parameters of the encoder and of the decoder.
    """
    _require_trained(estimator)
    grey = torch.tensor(run.data("digits")["train_images"], device=run.device, dtype=run.dtype)
    estimator.fit(binarise(grey, run.generator), generator=run.generator)
    model = estimator.model
    chosen = torch.randperm(len(grey), generator=run.generator)[:GRADIENT_BATCH]
    images = binarise(grey[chosen.to(run.device)], run.generator).flatten(1)
    repeats = run.options["repeats"]
    encoder: list[Tensor] = []
    decoder: list[Tensor] = []
    of_encoder = {id(parameter) for parameter in model.encoder_parameters()}
    for done in range(repeats):
        noise = model.noise(estimator.k, len(images), run.generator, images)
        set_gradients(model, images, noise, estimator.objective, estimator.kl)
        for kept, wanted in ((encoder, True), (decoder, False)):
            parts = [p.grad for p in model.parameters() if (id(p) in of_encoder) == wanted and p.grad is not None]
            kept.append(torch.cat([part.flatten() for part in parts]))
        run.progress(done + 1, repeats)
    return {"encoder_snr": signal_to_noise(torch.stack(encoder)), "decoder_snr": signal_to_noise(torch.stack(decoder))}


def signal_to_noise(gradients: Tensor) -> float:
    """Mean over parameters of |mean| / standard deviation of ``gradients`` [repeats, parameters].

    A parameter whose gradient never changes has no ratio and is left out.

    >>> signal_to_noise(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))  # 2 / sqrt(2)
    1.4142135381698608
    """
    spread = gradients.std(dim=0)
    return (gradients.mean(dim=0).abs() / spread)[spread > 0].mean().item()


def _untrained(estimator: Any, run: Run) -> tuple[Autoencoder, Tensor]:
    _require_trained(estimator)
    grey = torch.tensor(run.data("digits")["train_images"], device=run.device, dtype=run.dtype)
    drawn = binarise(grey[: run.options["images"]], run.generator)
    return estimator.start(drawn, run.generator), drawn.flatten(1)


def _require_trained(estimator: object) -> None:
    if not isinstance(estimator, VariationalDensity) or estimator.likelihood != "bernoulli":
        raise UsageError("this task looks into the plugin's autoencoders, with likelihood = 'bernoulli', and no other")
