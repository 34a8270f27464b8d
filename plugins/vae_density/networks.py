"""Variational autoencoders with one or two layers of latent variables, and the log weights of their samples.

Layers and widths are those of arXiv 1509.00519: tanh layers between the stochastic ones, Gaussian latents with
diagonal covariance, a standard normal prior on top. Two layers: x - h1 - h2 with q(h1|x) q(h2|h1) and
p(h2) p(h1|h2) p(x|h1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from harness_plugins.vae_density.importance import Sampler

#: ``grey-bernoulli`` puts grey pixels into the Bernoulli formula: a score that is nobody's log probability.
Likelihood = Literal["bernoulli", "gaussian", "grey-bernoulli"]
#: A pixel's mean is kept this far from 0 and 1 before its logit becomes the decoder's first bias.
CLIPPED_MEAN = 1e-3
#: Gaussian decoders start with the standard deviation of their pixels, and never go below this one.
LEAST_SCALE = 1e-3
_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Sizes:
    """Widths of the network: ``hidden`` and ``latent`` are those of a one-layer model.

    With two layers the lower latent is twice as wide and the upper hidden layers are half as wide, which at 200
    and 50 gives the paper's 100 and 50 latents and 200 and 100 hidden units.
    """

    dimension: int
    hidden: int = 200
    latent: int = 50
    layers: int = 1

    @property
    def latents(self) -> tuple[int, ...]:
        """Width of each stochastic layer, the lowest first.

        >>> Sizes(784, layers=2).latents
        (100, 50)
        """
        return (self.latent,) if self.layers == 1 else (2 * self.latent, self.latent)


class Gaussian(nn.Module):
    """Two tanh layers, then mean and log standard deviation: [..., inputs] to two tensors [..., outputs]."""

    def __init__(self, inputs: int, hidden: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = tanh_layers(inputs, hidden, generator)
        self.mean = linear(hidden, outputs, generator)
        self.log_scale = linear(hidden, outputs, generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.hidden(x)
        return self.mean(features), self.log_scale(features)


class Autoencoder(nn.Module):
    """Encoder and decoder. All weights come from ``generator`` in float64, whatever dtype they are then given.

    ``likelihood`` is that of the pixels: ``bernoulli`` (or ``grey-bernoulli``) with logits from the decoder, or
    ``gaussian`` with means from the decoder and one learned standard deviation a pixel.
    """

    def __init__(self, sizes: Sizes, likelihood: Likelihood, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes, self.likelihood = sizes, likelihood
        bottom, top = sizes.latents[0], sizes.latents[-1]
        self.encoder = nn.ModuleList([Gaussian(sizes.dimension, sizes.hidden, bottom, generator)])
        self.prior = nn.ModuleList()
        self.decoder = nn.Sequential(
            tanh_layers(bottom, sizes.hidden, generator), linear(sizes.hidden, sizes.dimension, generator)
        )
        if sizes.layers == 2:
            narrow = max(1, sizes.hidden // 2)
            self.encoder.append(Gaussian(bottom, narrow, top, generator))
            self.prior.append(Gaussian(top, narrow, bottom, generator))
        if likelihood == "gaussian":
            self.log_scale = nn.Parameter(torch.zeros(sizes.dimension, dtype=torch.float64))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Parameters of q(z|x); all others are the generative model's."""
        return list(self.encoder.parameters())

    @torch.no_grad()
    def start_at(self, x: Tensor) -> None:
        """Set the decoder's last bias, and a Gaussian's scale, by the pixels' own means in ``x`` [N, D]."""
        last = self.decoder[-1]
        assert isinstance(last, nn.Linear)
        mean = x.double().mean(dim=0)
        if self.likelihood != "gaussian":
            last.bias.copy_(torch.logit(mean.clamp(CLIPPED_MEAN, 1 - CLIPPED_MEAN)))
        else:
            last.bias.copy_(mean)
            scale = (x.double() - mean).square().mean(dim=0).sqrt()
            self.log_scale.copy_(scale.clamp_min(LEAST_SCALE).log())

    def log_likelihood(self, x: Tensor, latent: Tensor) -> Tensor:
        """log p(x|z) in nats: ``x`` [N, D] and ``latent`` [k, N, L] to [k, N].

        ``bernoulli`` takes every pixel above a half for a 1 and every other one for a 0.
        """
        output = self.decoder(latent)
        if self.likelihood == "gaussian":
            return log_normal(x, output, self.log_scale.clamp_min(math.log(LEAST_SCALE)))
        if self.likelihood == "bernoulli":
            # log sigmoid of the signed logit: one exponential a pixel, and no difference of large numbers. The sign is
            # a factor since choosing between an output and its negative takes several times as long.
            return -F.softplus(output * (1 - 2 * (x > 0.5).to(output.dtype))).sum(-1)
        return -F.binary_cross_entropy_with_logits(output, x.expand_as(output), reduction="none").sum(-1)

    def proposal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation [N, L] of q of the lowest layer for ``x`` [N, D]."""
        found: tuple[Tensor, Tensor] = self.encoder[0](x)
        return found

    def noise(self, count: int, rows: int, generator: torch.Generator, like: Tensor) -> Tensor:
        """Standard normal numbers [count, rows, all latents together] that a sample is made of.

        They are drawn on the generator's device in float32 (float64 if ``like`` is), then moved.
        """
        width = sum(self.sizes.latents)
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        drawn = torch.randn(count, rows, width, generator=generator, device=generator.device, dtype=dtype)
        return drawn.to(like.device, like.dtype)

    def terms(self, x: Tensor, noise: Tensor, *, stopped: bool = False, analytic: bool = False) -> Tensor:
        """log p(x, z) - log q(z|x) of samples z made of ``noise`` [k, N, L]: log weights [k, N] in nats.

        ``stopped``: q's density is evaluated with its parameters held constant, so that a gradient reaches the
        encoder through the samples alone (arXiv 1810.04152, equation 8). ``analytic``: the top layer's part,
        log p(z) - log q(z|.), is replaced by its expectation, minus the Kullback-Leibler divergence.
        """
        return self.weigh(x, self.proposal(x), noise, stopped=stopped, analytic=analytic)

    def weigh(
        self,
        x: Tensor,
        proposal: tuple[Tensor, Tensor],
        noise: Tensor,
        *,
        stopped: bool = False,
        analytic: bool = False,
    ) -> Tensor:
        """``terms`` with the lowest layer's ``proposal`` already at hand."""
        width = self.sizes.latents[0]
        bottom_noise, top_noise = noise[..., :width], noise[..., width:]
        mean, log_scale = proposal
        bottom = mean + log_scale.exp() * bottom_noise
        pixels = self.log_likelihood(x, bottom)
        if stopped:
            mean, log_scale = mean.detach(), log_scale.detach()
        if self.sizes.layers == 1:
            return pixels + _top_term(bottom, mean, log_scale, analytic, None if stopped else bottom_noise)
        upper = self.encoder[1]
        top_mean, top_log_scale = upper(bottom)
        top = top_mean + top_log_scale.exp() * top_noise
        if stopped:
            # The upper layer's parameters are held, its input is not: that is a sample.
            held = {name: value.detach() for name, value in upper.named_parameters()}
            top_mean, top_log_scale = torch.func.functional_call(upper, held, (bottom,))
        between = log_normal(bottom, *self.prior[0](top)) - log_normal(bottom, mean, log_scale)
        return pixels + between + _top_term(top, top_mean, top_log_scale, analytic, None if stopped else top_noise)

    def encoder_sampler(self, x: Tensor, generator: torch.Generator) -> Sampler:
        """Log weights of samples of q(z|x) for ``x`` [N, D]; the encoder's lowest layer runs once."""
        proposal = self.proposal(x)
        return lambda count: self.weigh(x, proposal, self.noise(count, len(x), generator, x))

    def prior_sampler(self, x: Tensor, generator: torch.Generator) -> Sampler:
        """Log weights of samples of the prior, which are log p(x|z) alone, for ``x`` [N, D]."""

        def draw(count: int) -> Tensor:
            top = self.noise(count, len(x), generator, x)
            if self.sizes.layers == 1:
                return self.log_likelihood(x, top)
            width = self.sizes.latents[0]
            mean, log_scale = self.prior[0](top[..., width:])
            return self.log_likelihood(x, mean + log_scale.exp() * top[..., :width])

        return draw

    @torch.no_grad()
    def active_units(self, x: Tensor, threshold: float, generator: torch.Generator) -> int:
        """Latents, of all layers, whose mean under q varies by more than ``threshold`` over ``x`` [N, D].

        The variance is that over images of E[z|x] (arXiv 1509.00519, section 5.2); the upper layer's mean is
        taken at one sample of the lower layer.
        """
        mean, log_scale = self.proposal(x)
        count = int((mean.var(dim=0) > threshold).sum())
        if self.sizes.layers == 2:
            noise = self.noise(1, len(x), generator, x)[0, :, : self.sizes.latents[0]]
            count += int((self.encoder[1](mean + log_scale.exp() * noise)[0].var(dim=0) > threshold).sum())
        return count


def log_normal(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(z; mean, scale^2) with independent entries, summed over the last dimension, in nats.

    >>> log_normal(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    tensor(-0.9189)
    """
    return -(0.5 * ((z - mean) * torch.exp(-log_scale)).square() + log_scale + 0.5 * _LOG_2PI).sum(-1)


def standard_divergence(mean: Tensor, log_scale: Tensor) -> Tensor:
    """KL(N(mean, scale^2) || N(0, 1)) with independent entries, summed over the last dimension, in nats.

    >>> standard_divergence(torch.ones(2), torch.zeros(2))
    tensor(1.)
    """
    return 0.5 * (mean.square() + torch.expm1(2 * log_scale) - 2 * log_scale).sum(-1)


def tanh_layers(inputs: int, width: int, generator: torch.Generator) -> nn.Sequential:
    """Two linear layers, each with a tanh after it."""
    return nn.Sequential(linear(inputs, width, generator), nn.Tanh(), linear(width, width, generator), nn.Tanh())


def linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A float64 layer with Glorot's uniform weights, drawn from ``generator``, and no bias yet."""
    # torch draws first weights of its own from its global generator, which is left as it was.
    with torch.random.fork_rng(devices=[]):
        layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _top_term(z: Tensor, mean: Tensor, log_scale: Tensor, analytic: bool, noise: Tensor | None) -> Tensor:
    if analytic:
        return -standard_divergence(mean, log_scale)
    if noise is not None:
        # z is mean + scale * noise, of which noise need not be found again.
        return 0.5 * (noise.square() - z.square()).sum(-1) + log_scale.sum(-1)
    zero = torch.zeros((), dtype=z.dtype, device=z.device)
    return log_normal(z, zero, zero) - log_normal(z, mean, log_scale)
