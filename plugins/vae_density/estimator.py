"""Variational autoencoders: training with an objective, and estimates of the log density of new rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal

from harness.errors import UsageError
from harness_plugins.vae_density.arguments import (
    require_binary,
    require_positive,
    require_several,
    require_unit_interval,
    rows_of,
)
from harness_plugins.vae_density.importance import (
    ImportanceEstimate,
    Sampler,
    bounded_log_weights,
    stream_estimates,
)
from harness_plugins.vae_density.networks import LEAST_SCALE, Autoencoder, Likelihood, Sizes
from harness_plugins.vae_density.objectives import Divergence, Objective, log_mean_exp, set_gradients
from harness_plugins.vae_density.observations import Measure, Redraw

Estimator = Literal["elbo", "iwae", "prior"]
#: Called with the step, the number of steps and the minibatch's mean bound in nats, about ``REPORTS`` times.
Report = Callable[[int, int, float], None]

#: The schedule of arXiv 1509.00519: 3^(i-1) epochs in stage i = 1 ... 8.
PAPER_EPOCHS = sum(3**i for i in range(8))
#: Number of reports in one training, about.
REPORTS = 100
#: A latent is active if its posterior mean varies by more than this over images (arXiv 1509.00519, section 5.2).
ACTIVE_VARIANCE = 0.01


class VariationalDensity:
    """An autoencoder that ``fit`` trains, with bounds of the log density of new rows (docs/roles.md).

    The defaults are the protocol of arXiv 1509.00519: two tanh layers of 200 units, 50 latents, minibatches of 20,
    Adam with 0.9, 0.999 and an epsilon of 1e-4, 3280 epochs in eight stages, 5000 samples for evaluation. It computes
    in the dtype and on the device of the rows that it is fitted on.

    >>> generator = torch.Generator().manual_seed(0)
    >>> estimator = VariationalDensity("iwae", k=5, hidden=4, latent=2, epochs=1, k_eval=10)
    >>> _ = estimator.fit(torch.eye(4), generator=generator)
    >>> estimator.log_density(torch.eye(4), generator=generator).shape
    torch.Size([4])
    """

    # One parameter for each option of the methods.
    def __init__(
        self,
        objective: Objective,
        *,
        k: int = 1,
        kl: Divergence = "sampled",
        layers: int = 1,
        hidden: int = 200,
        latent: int = 50,
        likelihood: Likelihood = "bernoulli",
        epochs: int = PAPER_EPOCHS,
        batch_size: int = 20,
        learning_rate: float = 1e-3,
        estimator: Estimator = "iwae",
        k_eval: int = 5000,
    ) -> None:
        sizes = {"k": k, "hidden": hidden, "latent": latent, "epochs": epochs, "batch_size": batch_size}
        for name, value in {**sizes, "k_eval": k_eval, "learning_rate": learning_rate}.items():
            require_positive(value, name)
        if layers not in (1, 2):
            raise ValueError(f"layers = {layers}: 1 or 2 stochastic layers are allowed")
        self.objective: Objective = objective
        self.kl: Divergence = kl
        self.likelihood: Likelihood = likelihood
        self.estimator: Estimator = estimator
        self.k, self.k_eval = k, k_eval
        self._hidden, self._latent, self._layers = hidden, latent, layers
        self._epochs, self._batch_size, self._learning_rate = epochs, batch_size, learning_rate
        self._model: Autoencoder | None = None

    @property
    def measure(self) -> Measure:
        """The quantity whose logarithm ``log_density`` is: see ``observations``."""
        measures: dict[Likelihood, Measure] = {"bernoulli": "mass", "gaussian": "density", "grey-bernoulli": "score"}
        return measures[self.likelihood]

    @property
    def model(self) -> Autoencoder:
        """The network. Raises UsageError before ``fit`` or ``start``."""
        if self._model is None:
            raise UsageError("this estimator has no network yet: call fit(x) first")
        return self._model

    @property
    def unfitted(self) -> bool:
        """Whether there is no network yet."""
        return self._model is None

    def start(self, x: Tensor, generator: torch.Generator | None = None) -> Autoencoder:
        """Make a fresh, untrained network for rows like ``x`` [N, ...], with weights drawn from ``generator``."""
        rows = rows_of(x)
        sizes = Sizes(rows.shape[1], self._hidden, self._latent, self._layers)
        model = Autoencoder(sizes, self.likelihood, generator or torch.default_generator)
        model.start_at(rows.cpu())
        self._model = model.to(x.device, x.dtype)
        return self._model

    def fit(
        self,
        x: Tensor,
        *,
        generator: torch.Generator | None = None,
        redraw: Redraw | None = None,
        report: Report | None = None,
    ) -> VariationalDensity:
        """Train on ``x`` [N, ...], N >= 2, floating; return the estimator.

        ``generator`` (on the CPU; default: torch's own) seeds separate streams for weights, order, redrawing and
        samples: under one generator all objectives get the same weights, order and pictures. ``redraw`` draws a fresh
        observation of each minibatch, such as binary pixels of grey ones; without it the rows are the observations.
        Raises ValueError for rows that the likelihood cannot have, and FloatingPointError naming the step at which
        the bound is not finite.
        """
        rows = rows_of(x)
        require_several(x, 2, "training learns the variation between rows")
        if redraw is not None or self.likelihood == "grey-bernoulli":
            require_unit_interval(x)
        elif self.likelihood == "bernoulli":
            require_binary(x)
        # The seeds are drawn first, so that no stream depends on the objective or on k.
        seeds = torch.randint(2**62, (4,), generator=generator).tolist()
        weights, order = (torch.Generator().manual_seed(seed) for seed in seeds[:2])
        pictures, samples = (torch.Generator(device=x.device).manual_seed(seed) for seed in seeds[2:])
        model = self.start(x, weights)
        optimizer = self._optimizer(model, x.device)
        steps = self._epochs * math.ceil(len(rows) / self._batch_size)
        stride = max(1, steps // REPORTS)
        for step, batch_rows in enumerate(self._batches(len(rows), order)):
            batch = rows[batch_rows.to(x.device)]
            if redraw is not None:
                batch = redraw(batch, pictures)
            optimizer.param_groups[0]["lr"] = self._learning_rate * stage_factor(step, steps)
            noise = model.noise(self.k, len(batch), samples, batch)
            value = set_gradients(model, batch, noise, self.objective, self.kl)
            if step % stride == 0 or step == steps - 1:
                mean = value.mean().item()
                if not math.isfinite(mean):
                    raise FloatingPointError(f"the bound is {mean} at step {step} of {steps}")
                if report is not None:
                    report(step, steps, mean)
            optimizer.step()
        return self

    def _optimizer(self, model: Autoencoder, device: torch.device) -> torch.optim.Adam:
        fused = device.type in ("cpu", "cuda")
        return torch.optim.Adam(model.parameters(), self._learning_rate, betas=(0.9, 0.999), eps=1e-4, fused=fused)

    def _batches(self, count: int, order: torch.Generator) -> Iterator[Tensor]:
        for _ in range(self._epochs):
            yield from torch.split(torch.randperm(count, generator=order), self._batch_size)

    def log_density(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """An estimate of log p(x) in nats for each row of ``x`` [N, ...], float64 [N], on the model's device.

        Which estimate it is depends on ``estimator``: ``iwae`` is the bound from ``k_eval`` samples of the encoder,
        ``elbo`` their average log weight, ``prior`` the bound from samples of the prior. Each is at most log p(x) in
        expectation. Raises ValueError naming the first row that the likelihood cannot have.
        """
        (estimate,) = self.estimates(x, (self.k_eval,), generator=generator)
        return self.value(estimate)

    def value(self, estimate: ImportanceEstimate) -> Tensor:
        """The log density [N] that the option ``estimator`` takes from ``estimate``."""
        return estimate.mean_log if self.estimator == "elbo" else estimate.log_mean

    def estimates(
        self, x: Tensor, samples: tuple[int, ...], *, generator: torch.Generator | None = None
    ) -> tuple[ImportanceEstimate, ...]:
        """The estimates after each of the ascending numbers of ``samples``, from one stream."""
        model = self.model
        rows = rows_of(x, width=model.sizes.dimension)
        if self.likelihood == "bernoulli":
            require_binary(x)
        elif self.likelihood == "grey-bernoulli":
            require_unit_interval(x)
        weight = next(model.parameters())
        (seed,) = torch.randint(2**62, (1,), generator=generator).tolist()
        noise = torch.Generator(device=weight.device).manual_seed(seed)
        make_sampler = model.prior_sampler if self.estimator == "prior" else model.encoder_sampler

        def sampler_of(part: Tensor) -> Sampler:
            return make_sampler(part, noise)

        return stream_estimates(sampler_of, rows.to(weight.device, weight.dtype), samples)

    def bound(self, x: Tensor, noise: Tensor) -> Tensor:
        """The bound [N] of ``x`` [N, D] from ``noise`` [K, N, all latents]; can be differentiated.

        Only one chunk's activations are in memory, whatever K is. Needs ``start`` or ``fit``.
        """
        model = self.model

        def weigh(noise: Tensor, x: Tensor, *proposal: Tensor) -> Tensor:
            return model.weigh(x, (proposal[0], proposal[1]), noise)

        log_weights = bounded_log_weights(weigh, noise, (x, *model.proposal(x)), model.parameters())
        return log_weights.mean(dim=0) if self.objective == "elbo" else log_mean_exp(log_weights)

    def active_units(self, x: Tensor, *, generator: torch.Generator | None = None) -> int:
        """Number of latents whose mean has a variance above 0.01 over the images ``x`` [N, ...], N >= 2."""
        rows = rows_of(x, width=self.model.sizes.dimension)
        require_several(x, 2, "the variance over one image is not defined")
        weight = next(self.model.parameters())
        source = generator or torch.default_generator
        return self.model.active_units(rows.to(weight.device, weight.dtype), ACTIVE_VARIANCE, source)


class AllAtOnce(VariationalDensity):
    """``VariationalDensity`` with the published form of the bound: all samples at once, by torch.distributions.

    Memory grows with the number of samples. The streamed bound is checked against this form.
    """

    def bound(self, x: Tensor, noise: Tensor) -> Tensor:
        """As ``VariationalDensity.bound``, for one layer. Raises UsageError for two layers."""
        model = self.model
        if self._layers != 1:
            raise UsageError(f"layers = {self._layers}: the bound from all samples at once needs one layer")
        mean, log_scale = model.encoder[0](x)
        scale = log_scale.exp()
        latent = mean + scale * noise
        output = model.decoder(latent)
        pixels: Distribution = (
            Normal(output, model.log_scale.exp().clamp_min(LEAST_SCALE), validate_args=False)
            if self.likelihood == "gaussian"
            else Bernoulli(logits=output, validate_args=False)
        )
        prior = Normal(torch.zeros_like(mean), torch.ones_like(mean), validate_args=False)
        posterior = Normal(mean, scale, validate_args=False)
        terms = [log_probability(pixels, x), log_probability(prior, latent), -log_probability(posterior, latent)]
        log_weights = torch.stack(terms).sum(dim=0)
        if self.objective == "elbo":
            return log_weights.mean(dim=0)
        return torch.logsumexp(log_weights, dim=0) - math.log(len(noise))


def log_probability(distribution: Distribution, x: Tensor) -> Tensor:
    """Log probability in nats of independent entries, summed over the last dimension."""
    logs: Tensor = distribution.log_prob(x)
    return logs.sum(-1)


def stage_factor(step: int, steps: int) -> float:
    """Learning rate at ``step`` of ``steps`` as a share of the first, by the schedule of arXiv 1509.00519.

    Stage i = 1 ... 8 lasts 3^(i-1) of 3280 epochs at round(10^(1 - (i-1)/7), 1) tenths of the first rate; fewer
    epochs shorten every stage alike.

    >>> [stage_factor(epoch, 3280) for epoch in (0, 1, 3, 4, 13, 3279)]
    [1.0, 0.72, 0.72, 0.52, 0.37, 0.1]
    """
    epoch = step * PAPER_EPOCHS // steps
    stage = next(i for i in range(1, 9) if (3**i - 1) // 2 > epoch)
    return round(10 ** (1 - (stage - 1) / 7), 1) / 10
