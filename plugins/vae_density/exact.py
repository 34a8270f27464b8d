"""The bounds against the truth: importance sampling in a linear-Gaussian model of real digits, whose density is known.

Every level of samples is drawn afresh and repeated, so that what is compared are estimates with a known error. A
violation is one that chance would produce in one cell of a thousand at most, over all images and levels together.
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

#: Probability that chance alone makes a cell count a violation of one kind.
FALSE_ALARM = 1e-3
#: What rounding may add to a log weight, in nats, in each dtype.
ROUNDING = {torch.float64: 1e-9, torch.float32: 2e-3}


class KnownDensity(Protocol):
    """What the task asks of an estimator."""

    estimator: str
    k_eval: int

    def fit(self, x: Tensor) -> object: ...

    def exact_log_density(self, x: Tensor) -> Tensor: ...

    def divergence(self, x: Tensor) -> Tensor: ...

    def sampler(self, rows: Tensor, generator: torch.Generator) -> Sampler: ...


def ppca_exact(estimator: KnownDensity, run: Run) -> dict[str, float]:
    """Fit on the training digits, then hold the estimates on test digits against the closed form.

    Returns the metrics of ``density/ppca-exact``. Raises UsageError for an estimator whose density is not known
    in closed form, or a dtype other than float32 and float64.
    """
    require_measure(estimator, "density", "density/ppca-exact")
    needed = ("exact_log_density", "divergence", "sampler", "estimator", "k_eval")
    if lacking := [name for name in needed if not hasattr(estimator, name)]:
        raise UsageError(f"this estimator has no {', '.join(lacking)}, which the task needs (docs/roles.md)")
    if run.dtype not in ROUNDING:
        raise UsageError(f"dtype {run.dtype}: density/ppca-exact counts violations in float32 or float64 alone")
    data = run.data("digits")
    estimator.fit(torch.tensor(data["train_images"], device=run.device, dtype=run.dtype))
    order = torch.randperm(len(data["test_images"]), generator=run.generator)[: run.options["images"]]
    images = torch.tensor(data["test_images"], dtype=run.dtype)[order].to(run.device)
    levels = ladder(estimator.k_eval)
    estimates = [_repeated(estimator, images.flatten(1), level, run) for level in levels]
    values = torch.stack([one.mean_log if estimator.estimator == "elbo" else one.log_mean for one in estimates])
    truth = estimator.exact_log_density(images).cpu()
    rounding = ROUNDING[run.dtype]
    last = estimates[-1]
    shortfall = truth - values.mean(dim=1)
    return {
        "bound_violations": above(values, truth, rounding),
        "monotone_violations": falling(values, rounding),
        "gap_violations": apart(last.mean_log, truth - estimator.divergence(images).double().cpu(), rounding),
        "bias": shortfall[-1].mean().item(),
        "first_gap": (truth - last.mean_log.mean(dim=0)).mean().item(),
        "spread": values[-1].std(dim=0).mean().item(),
        "effective_share": last.effective_samples.mean().item() / levels[-1],
        "exact_nll": -truth.mean().item(),
    }


def ladder(most: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 ... below ``most``, and ``most``.

    >>> ladder(30), ladder(1)
    ([1, 2, 5, 10, 20, 30], [1])
    """
    steps = [digit * 10**power for power in range(len(str(most))) for digit in (1, 2, 5)]
    return [*(step for step in steps if step < most), most]


def above(values: Tensor, truth: Tensor, rounding: float) -> int:
    """How many means of ``values`` [levels, repeats, N] lie above ``truth`` [N] beyond chance and rounding."""
    mean, error = _mean_and_error(values)
    return int((mean - truth > _quantile(values, mean.numel()) * error + rounding).sum())


def falling(values: Tensor, rounding: float) -> int:
    """How often the mean of ``values`` [levels, repeats, N] falls from one level to the next beyond chance."""
    mean, error = _mean_and_error(values)
    fall, noise = mean[:-1] - mean[1:], torch.hypot(error[:-1], error[1:])
    return int((fall > _quantile(values, max(1, fall.numel())) * noise + rounding).sum())


def apart(values: Tensor, wanted: Tensor, rounding: float) -> int:
    """How many means of ``values`` [repeats, N] differ from ``wanted`` [N] beyond chance and rounding."""
    mean, error = _mean_and_error(values[None])
    return int(((mean - wanted).abs() > _quantile(values[None], 2 * mean.numel()) * error + rounding).sum())


def _mean_and_error(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(dim=1), values.std(dim=1) / values.shape[1] ** 0.5


def _quantile(values: Tensor, comparisons: int) -> float:
    """Student's quantile for so many one-sided comparisons of means over the repeats together (Bonferroni)."""
    return float(stats.t.isf(FALSE_ALARM / comparisons, values.shape[1] - 1))


def _repeated(estimator: KnownDensity, rows: Tensor, samples: int, run: Run) -> ImportanceEstimate:
    """Independent estimates of each row, every field [repeats, N] on the CPU."""
    repeats = run.options["repeats"]
    # All repeats of all rows are rows of one stream: they are independent draws like any others.
    (found,) = stream_estimates(
        lambda part: estimator.sampler(part, run.generator), rows.repeat(repeats, 1), (samples,)
    )
    return ImportanceEstimate(
        *(getattr(found, name).view(repeats, len(rows)).cpu() for name in ("log_mean", "mean_log", "effective_samples"))
    )
