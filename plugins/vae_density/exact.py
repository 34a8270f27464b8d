"""Bounds compared with the exact density: importance sampling in a linear-Gaussian model of real digits.

Each number of samples ("level") gets fresh draws and is repeated, so every estimate has a known error. A difference is
a violation if it is so large that over all images and levels chance produces one in at most 1 of 10,000 cells: the
hundred cells of a suite together, one of which decides, in 1 of 100.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from scipy import stats
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.importance import ImportanceEstimate, Sampler, stream_estimates
from harness_plugins.vae_density.observations import require_measure

if TYPE_CHECKING:
    from harness.running.run import Run

#: Probability that chance alone gives a cell a violation of one kind.
FALSE_ALARM_RATE = 1e-4
#: Largest rounding error of a log weight, in nats, in each dtype.
ROUNDING = {torch.float64: 1e-9, torch.float32: 2e-3}


class KnownDensity(Protocol):
    """An estimator whose density is known in closed form."""

    estimator: str
    k_eval: int

    def fit(self, x: Tensor) -> object: ...

    def exact_log_density(self, x: Tensor) -> Tensor: ...

    def divergence(self, x: Tensor) -> Tensor: ...

    def sampler(self, rows: Tensor, generator: torch.Generator) -> Sampler: ...


def ppca_exact(estimator: KnownDensity, run: Run) -> dict[str, float]:
    """Fit on the training digits and compare estimates on test digits with the closed form.

    Returns the metrics of ``density/ppca-exact``. Raises UsageError for an estimator whose density is not known
    in closed form, and for a dtype other than float32 and float64.
    """
    require_measure(estimator, "density", "density/ppca-exact")
    required = ("exact_log_density", "divergence", "sampler", "estimator", "k_eval")
    if missing := [name for name in required if not hasattr(estimator, name)]:
        raise UsageError(f"this estimator has no {', '.join(missing)}, which the task needs (docs/roles.md)")
    if run.dtype not in ROUNDING:
        raise UsageError(f"dtype {run.dtype}: density/ppca-exact needs float32 or float64")
    data = run.data("digits")
    estimator.fit(torch.tensor(data["train_images"], device=run.device, dtype=run.dtype))
    order = torch.randperm(len(data["test_images"]), generator=run.generator)[: run.options["images"]]
    images = torch.tensor(data["test_images"], dtype=run.dtype)[order].to(run.device)
    levels = sample_levels(estimator.k_eval)
    estimates = [_repeated(estimator, images.flatten(1), level, run) for level in levels]
    values = torch.stack([e.mean_log if estimator.estimator == "elbo" else e.log_mean for e in estimates])
    truth = estimator.exact_log_density(images).cpu()
    elbo = truth - estimator.divergence(images).double().cpu()
    rounding = ROUNDING[run.dtype]
    last = estimates[-1]
    shortfall = truth - values.mean(dim=1)
    return {
        "bound_violations": count_above(values, truth, rounding),
        "monotone_violations": count_falls(values, rounding),
        "gap_violations": count_different(last.mean_log, elbo, rounding),
        "bias": shortfall[-1].mean().item(),
        "first_gap": (truth - last.mean_log.mean(dim=0)).mean().item(),
        "spread": values[-1].std(dim=0).mean().item(),
        "effective_share": last.effective_samples.mean().item() / levels[-1],
        "exact_nll": -truth.mean().item(),
    }


def sample_levels(most: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 ... below ``most``, and ``most``.

    >>> sample_levels(30), sample_levels(1)
    ([1, 2, 5, 10, 20, 30], [1])
    """
    steps = [digit * 10**power for power in range(len(str(most))) for digit in (1, 2, 5)]
    return [*(step for step in steps if step < most), most]


def count_above(values: Tensor, truth: Tensor, rounding: float) -> int:
    """Number of means of ``values`` [levels, repeats, N] above ``truth`` [N] by more than chance and rounding."""
    mean, error = _mean_and_error(values)
    return int((mean - truth > _quantile(values, mean.numel()) * error + rounding).sum())


def count_falls(values: Tensor, rounding: float) -> int:
    """Number of means of ``values`` [levels, repeats, N] that fall to the next level by more than chance."""
    mean, error = _mean_and_error(values)
    fall, fall_error = mean[:-1] - mean[1:], torch.hypot(error[:-1], error[1:])
    return int((fall > _quantile(values, max(1, fall.numel())) * fall_error + rounding).sum())


def count_different(values: Tensor, expected: Tensor, rounding: float) -> int:
    """Number of means of ``values`` [repeats, N] that differ from ``expected`` [N] by more than chance and rounding."""
    mean, error = _mean_and_error(values[None])
    return int(((mean - expected).abs() > _quantile(values[None], 2 * mean.numel()) * error + rounding).sum())


def _mean_and_error(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(dim=1), values.std(dim=1) / values.shape[1] ** 0.5


def _quantile(values: Tensor, comparisons: int) -> float:
    """Student's quantile for a mean over the repeats, one-sided, with Bonferroni's correction for the comparisons."""
    return float(stats.t.isf(FALSE_ALARM_RATE / comparisons, values.shape[1] - 1))


def _repeated(estimator: KnownDensity, rows: Tensor, samples: int, run: Run) -> ImportanceEstimate:
    """Repeated independent estimates of each row, every field [repeats, N] on the CPU."""
    repeats = run.options["repeats"]
    # Repeated rows are rows of one stream, so their draws are independent.
    (estimate,) = stream_estimates(
        lambda part: estimator.sampler(part, run.generator), rows.repeat(repeats, 1), (samples,)
    )
    fields = (estimate.log_mean, estimate.mean_log, estimate.effective_samples)
    return ImportanceEstimate(*(field.view(repeats, len(rows)).cpu() for field in fields))
