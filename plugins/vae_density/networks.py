"""Variational autoencoders with one or two layers of latent variables, and the log weights of their samples.

Layers and widths are those of arXiv 1509.00519: tanh layers between the stochastic ones, Gaussian latents with
diagonal covariance, a standard normal prior on the top layer. Two layers are x - h1 - h2 with q(h1|x) q(h2|h1) and
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

#: ``grey-bernoulli`` applies the Bernoulli formula to grey pixels: a score, not a log probability.
Likelihood = Literal["bernoulli", "gaussian", "grey-bernoulli"]
#: The decoder's first bias is the logit of a pixel's mean, which is clipped to this distance from 0 and 1.
CLIPPED_MEAN = 1e-3
#: Least standard deviation of a Gaussian decoder, which starts with that of its pixels.
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
    """Two tanh layers, then linear heads for mean and log standard deviation, [..., outputs] each."""

    def __init__(self, inputs: int, hidden: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = tanh_layers(inputs, hidden, generator)
        self.mean = linear(hidden, outputs, generator)
        self.log_scale = linear(hidden, outputs, generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.hidden(x)
        return self.mean(features), self.log_scale(features)


class Autoencoder(nn.Module):
    """Encoder and decoder. All weights are drawn from ``generator`` in float64, whatever the final dtype.

    ``likelihood`` is that of the pixels: ``bernoulli`` (or ``grey-bernoulli``) with logits from the decoder, or
    ``gaussian`` with means from the decoder and one learned standard deviation for each pixel.
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
        """Start the decoder at the means of the pixels in ``x`` [N, D], and a Gaussian's scale at their spread."""
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

        ``bernoulli`` treats every pixel above a half as 1 and every other one as 0.
        """
        output = self.decoder(latent)
        if self.likelihood == "gaussian":
            return log_normal(x, output, self.log_scale.clamp_min(math.log(LEAST_SCALE)))
        if self.likelihood == "bernoulli":
            # log sigmoid of the signed logit: one exponential for each pixel, and no difference of large numbers. The
            # sign is a factor, because selecting an output or its negative takes several times as long.
            return -F.softplus(output * (1 - 2 * (x > 0.5).to(output.dtype))).sum(-1)
        return -F.binary_cross_entropy_with_logits(output, x.expand_as(output), reduction="none").sum(-1)

    def proposal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation [N, L] of q for the lowest layer, from ``x`` [N, D]."""
        mean_and_log_scale: tuple[Tensor, Tensor] = self.encoder[0](x)
        return mean_and_log_scale

    def noise(self, count: int, rows: int, generator: torch.Generator, like: Tensor) -> Tensor:
        """Standard normal noise [count, rows, all latents together], from which samples are computed.

        It is drawn on the generator's device in float32 (float64 if ``like`` is), then moved to that of ``like``.
        """
        width = sum(self.sizes.latents)
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        drawn = torch.randn(count, rows, width, generator=generator, device=generator.device, dtype=dtype)
        return drawn.to(like.device, like.dtype)

    def terms(self, x: Tensor, noise: Tensor, *, stopped: bool = False, analytic: bool = False) -> Tensor:
        """log p(x, z) - log q(z|x) of the samples z from ``noise`` [k, N, L]: log weights [k, N] in nats.

        With ``stopped`` the density of q has constant parameters, so a gradient reaches the encoder through the
        samples alone (arXiv 1810.04152, equation 8). With ``analytic`` the top layer's part, log p(z) - log q(z|.), is
        replaced by its expectation, minus the Kullback-Leibler divergence.
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
        """``terms`` with the lowest layer's ``proposal`` already computed."""
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
            # The upper layer's parameters are constant, but its input is a sample.
            constants = {name: value.detach() for name, value in upper.named_parameters()}
            top_mean, top_log_scale = torch.func.functional_call(upper, constants, (bottom,))
        between = log_normal(bottom, *self.prior[0](top)) - log_normal(bottom, mean, log_scale)
        return pixels + between + _top_term(top, top_mean, top_log_scale, analytic, None if stopped else top_noise)

    def encoder_sampler(self, x: Tensor, generator: torch.Generator) -> Sampler:
        """Sampler of log weights with samples from q(z|x), for ``x`` [N, D]; the encoder's lowest layer runs once."""
        proposal = self.proposal(x)
        return lambda count: self.weigh(x, proposal, self.noise(count, len(x), generator, x))

    def prior_sampler(self, x: Tensor, generator: torch.Generator) -> Sampler:
        """Sampler of log weights with samples from the prior, that is log p(x|z) alone, for ``x`` [N, D]."""

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
        """Number of latents, in all layers, whose mean under q has a variance above ``threshold`` over ``x`` [N, D].

        The variance is that of E[z|x] over images (arXiv 1509.00519, section 5.2); the upper layer's mean is computed
        from one sample of the lower layer.
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
    """Two linear layers, each followed by tanh."""
    return nn.Sequential(linear(inputs, width, generator), nn.Tanh(), linear(width, width, generator), nn.Tanh())


def linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A float64 layer with Glorot's uniform weights, drawn from ``generator``, and zero bias."""
    # torch first draws weights from its global generator; the fork restores that generator's state.
    with torch.random.fork_rng(devices=[]):
        layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _top_term(z: Tensor, mean: Tensor, log_scale: Tensor, analytic: bool, noise: Tensor | None) -> Tensor:
    if analytic:
        return -standard_divergence(mean, log_scale)
    if noise is not None:
        # z is mean + scale * noise, so noise need not be computed from z.
        return 0.5 * (noise.square() - z.square()).sum(-1) + log_scale.sum(-1)
    zero = torch.zeros((), dtype=z.dtype, device=z.device)
    return log_normal(z, zero, zero) - log_normal(z, mean, log_scale)
