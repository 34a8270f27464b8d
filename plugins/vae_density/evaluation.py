"""Fit an estimator on real pictures and score new ones: binary, continuous, and the score of grey pixels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.estimator import VariationalDensity
from harness_plugins.vae_density.observations import (
    Measure,
    binarise,
    dequantise,
    redraw_of,
    require_measure,
)

if TYPE_CHECKING:
    from harness.running.run import Run

#: Grey levels of each data set's pictures.
LEVELS = {"digits": 17, "mnist-5k": 256, "mnist": 256}
#: Share of the samples for the early estimate, whose distance from the final one is a metric.
EARLY = 0.2


class DensityEstimator(Protocol):
    """The estimators of these tasks (docs/roles.md)."""

    measure: Measure

    def fit(self, x: Tensor) -> object: ...

    def log_density(self, x: Tensor) -> Tensor: ...


def binary(estimator: DensityEstimator, run: Run, dataset: str) -> dict[str, float]:
    """Binary pictures, drawn from grey ones: the metrics of ``density/digits`` and of the same task on other data.

    With ``binarise = "stochastic"`` training pictures are drawn anew for each minibatch, with ``fixed`` once. Test
    pictures are drawn once, the same for all methods under one seed. Raises UsageError for ``binarise = "none"`` and
    for estimators that do not compute the probability of binary pictures.
    """
    task = f"density/{dataset}"
    if run.options["binarise"] == "none":
        raise UsageError(
            f"{task}: binarise = 'none' leaves grey pixels, which have no Bernoulli probability, so there is no nll "
            "to compare; use 'stochastic' or 'fixed', or the task density/grey-score for their score"
        )
    require_measure(estimator, "mass", task)
    grey, grey_test = _pictures(run, dataset)
    # Drawn before the method uses the generator, so that all methods get the same pictures.
    test = binarise(grey_test, run.generator)
    train = binarise(grey, run.generator)
    if run.options["binarise"] == "fixed" or not _accepts(estimator.fit, "redraw"):
        _fit(estimator, train, run)
    else:
        _fit(estimator, grey, run, redraw=redraw_of("stochastic"))
    return _score(estimator, train, test, run)


def continuous(estimator: DensityEstimator, run: Run, dataset: str) -> dict[str, float]:
    """Grey pictures with noise of one grey level: the metrics of ``density/digits-continuous``."""
    require_measure(estimator, "density", f"density/{dataset}-continuous")
    grey, grey_test = _pictures(run, dataset)
    levels = LEVELS[dataset]
    test, train = (dequantise(part, run.generator, levels) for part in (grey_test, grey))
    if _accepts(estimator.fit, "redraw"):
        _fit(estimator, grey, run, redraw=redraw_of("dequantised", levels))
    else:
        _fit(estimator, train, run)
    metrics = _score(estimator, train, test, run)
    return {"density_nll" if name == "nll" else name: value for name, value in metrics.items()}


def grey_score(estimator: DensityEstimator, run: Run) -> dict[str, float]:
    """Train and score on grey pixels by the Bernoulli formula, then score binary pictures with the same model.

    ``flattery`` is the mean negative log likelihood of binary drawings of the test pictures minus the grey score.
    """
    require_measure(estimator, "score", "density/grey-score")
    grey, grey_test = _pictures(run, "digits")
    binary_test = binarise(grey_test, run.generator)
    _fit(estimator, grey, run)
    score = -_log_density(estimator, grey_test, run).mean().item()
    nll = -_log_density(estimator, binary_test, run).mean().item()
    return {"grey_score": score, "nll": nll, "flattery": nll - score}


on_digits = partial(binary, dataset="digits")
on_mnist_5k = partial(binary, dataset="mnist-5k")
on_mnist = partial(binary, dataset="mnist")
on_continuous_digits = partial(continuous, dataset="digits")


def _pictures(run: Run, dataset: str) -> tuple[Tensor, Tensor]:
    """Training and test pictures [N, 1, H, W], as many as the options say (0: all), in random order."""
    data = run.data(dataset)
    parts = []
    for part in ("train", "test"):
        pictures = torch.tensor(data[f"{part}_images"], device=run.device, dtype=run.dtype)
        # Files may be sorted by class, so the first pictures could all be of one class.
        order = torch.randperm(len(pictures), generator=run.generator)
        parts.append(pictures[order[: run.options[f"{part}_images"] or None].to(run.device)])
    return parts[0], parts[1]


def _accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether the signature of ``function`` names this parameter."""
    return name in inspect.signature(function).parameters


def _keywords(function: Callable[..., Any], run: Run) -> dict[str, Any]:
    """``generator`` and ``report``, as far as ``function`` accepts them."""

    def report(step: int, steps: int, bound: float) -> None:
        run.log(step, bound=bound)
        run.progress(step + 1, steps)

    keywords = {"generator": run.generator, "report": report}
    return {name: value for name, value in keywords.items() if _accepts(function, name)}


def _fit(estimator: DensityEstimator, x: Tensor, run: Run, **keywords: Any) -> None:
    estimator.fit(x, **_keywords(estimator.fit, run), **keywords)


def _log_density(estimator: DensityEstimator, x: Tensor, run: Run) -> Tensor:
    """Checked log densities of ``x``, float64 [N] on the CPU."""
    return _checked(estimator.log_density(x, **_keywords(estimator.log_density, run)), x)


def _checked(log_density: Tensor, x: Tensor) -> Tensor:
    """``log_density`` as float64 on the CPU. Raises UsageError unless each row of ``x`` has one finite number."""
    if log_density.shape != (len(x),):
        shape = list(log_density.shape)
        raise UsageError(f"log_density of x {list(x.shape)} returned {shape}: one number for each row is needed")
    if not (finite := torch.isfinite(log_density)).all():
        row = int((~finite).nonzero()[0])
        value = f"{log_density[row]:g} for row {row}"
        raise UsageError(f"log_density of x {list(x.shape)} returned {value}: a finite number is needed")
    return log_density.detach().cpu().double()


def _score(estimator: DensityEstimator, train: Tensor, test: Tensor, run: Run) -> dict[str, float]:
    """Metrics of a fitted estimator of any measure. An exact density has no gap and needs no samples."""
    if isinstance(estimator, VariationalDensity):
        samples = estimator.k_eval
        levels = tuple(sorted({max(1, int(EARLY * samples)), samples}))
        estimates = estimator.estimates(test, levels, generator=run.generator)
        test_density = _checked(estimator.value(estimates[-1]), test)
        early = _checked(estimator.value(estimates[0]), test)
        bound = _checked(estimates[-1].mean_log, test)
        share = estimates[-1].effective_samples.mean().item() / samples
        active = estimator.active_units(train, generator=run.generator)
    else:
        test_density = early = bound = _log_density(estimator, test, run)
        share, active = 1.0, 0
    train_density = _log_density(estimator, train[: len(test)], run)
    return {
        "nll": -test_density.mean().item(),
        "overfit": (train_density.mean() - test_density.mean()).item(),
        "bound_gap": (test_density - bound).mean().item(),
        "unconverged": (test_density - early).mean().item(),
        "effective_share": share,
        "active_units": float(active),
    }
