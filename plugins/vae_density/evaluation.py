"""Fit an estimator on real pictures and measure it on new ones: binary, continuous, and the score that is neither."""

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
#: The share of the samples after which an estimate is looked at for the first time.
EARLY = 0.2


class DensityEstimator(Protocol):
    """What these tasks ask of an estimator (docs/roles.md)."""

    measure: Measure

    def fit(self, x: Tensor) -> object: ...

    def log_density(self, x: Tensor) -> Tensor: ...


def binary(estimator: DensityEstimator, run: Run, dataset: str) -> dict[str, float]:
    """Binary pictures, drawn from grey ones: the metrics of ``density/digits`` and its like on other data.

    With ``binarise = "stochastic"`` the training pictures are drawn anew each time they are seen, with ``fixed``
    once. Test pictures are drawn once, the same for all methods under one seed. Raises UsageError for
    ``binarise = "none"`` and for estimators that give no probability of binary pictures.
    """
    task = f"density/{dataset}"
    if run.options["binarise"] == "none":
        raise UsageError(
            f"{task}: binarise = 'none' leaves grey pixels, which a Bernoulli gives no probability, so there is no nll "
            "to compare; 'stochastic' or 'fixed' is needed, or the task density/grey-score, which looks at that score"
        )
    require_measure(estimator, "mass", task)
    grey, grey_test = _pictures(run, dataset)
    # Drawn before anything that depends on the method.
    test = binarise(grey_test, run.generator)
    train = binarise(grey, run.generator)
    if run.options["binarise"] == "fixed" or not _takes(estimator.fit, "redraw"):
        _fit(estimator, train, run)
    else:
        _fit(estimator, grey, run, redraw=redraw_of("stochastic"))
    return _measured(estimator, train, test, run)


def continuous(estimator: DensityEstimator, run: Run, dataset: str) -> dict[str, float]:
    """Grey pictures with noise of one level's width: the metrics of ``density/digits-continuous``."""
    require_measure(estimator, "density", f"density/{dataset}-continuous")
    grey, grey_test = _pictures(run, dataset)
    levels = LEVELS[dataset]
    test, train = (dequantise(part, run.generator, levels) for part in (grey_test, grey))
    if _takes(estimator.fit, "redraw"):
        _fit(estimator, grey, run, redraw=redraw_of("dequantised", levels))
    else:
        _fit(estimator, train, run)
    metrics = _measured(estimator, train, test, run)
    return {"density_nll" if name == "nll" else name: value for name, value in metrics.items()}


def grey_score(estimator: DensityEstimator, run: Run) -> dict[str, float]:
    """Train and score on grey pixels by the Bernoulli formula, then ask the same model for binary pictures.

    Gives both figures under their own names, and how much lower the score is than the mean negative log
    likelihood of binary drawings of the same test pictures.
    """
    require_measure(estimator, "score", "density/grey-score")
    grey, grey_test = _pictures(run, "digits")
    drawn = binarise(grey_test, run.generator)
    _fit(estimator, grey, run)
    score = -_log_density(estimator, grey_test, run).mean().item()
    nll = -_log_density(estimator, drawn, run).mean().item()
    return {"grey_score": score, "nll": nll, "flattery": nll - score}


on_digits = partial(binary, dataset="digits")
on_mnist_5k = partial(binary, dataset="mnist-5k")
on_mnist = partial(binary, dataset="mnist")
on_continuous_digits = partial(continuous, dataset="digits")


def _pictures(run: Run, dataset: str) -> tuple[Tensor, Tensor]:
    """Training and test pictures [N, 1, H, W], as many as the options ask for (0: all), in random order."""
    data = run.data(dataset)
    found = []
    for part in ("train", "test"):
        pictures = torch.tensor(data[f"{part}_images"], device=run.device, dtype=run.dtype)
        # Files may be sorted by class: the first so many would be all of one kind.
        order = torch.randperm(len(pictures), generator=run.generator)
        found.append(pictures[order[: run.options[f"{part}_images"] or None].to(run.device)])
    return found[0], found[1]


def _takes(function: Callable[..., Any], name: str) -> bool:
    return name in inspect.signature(function).parameters


def _keywords(function: Callable[..., Any], run: Run) -> dict[str, Any]:
    """The harness's keywords that ``function`` has room for."""

    def report(step: int, steps: int, bound: float) -> None:
        run.log(step, bound=bound)
        run.progress(step + 1, steps)

    offered = {"generator": run.generator, "report": report}
    return {name: value for name, value in offered.items() if _takes(function, name)}


def _fit(estimator: DensityEstimator, x: Tensor, run: Run, **more: Any) -> None:
    estimator.fit(x, **_keywords(estimator.fit, run), **more)


def _log_density(estimator: DensityEstimator, x: Tensor, run: Run) -> Tensor:
    """Checked log densities of ``x``, float64 [N] on the CPU."""
    return _checked(estimator.log_density(x, **_keywords(estimator.log_density, run)), x)


def _checked(found: Tensor, x: Tensor) -> Tensor:
    """``found`` as float64 on the CPU. Raises UsageError where it is not one finite number a row of ``x``."""
    if found.shape != (len(x),):
        raise UsageError(f"log_density of x {list(x.shape)} gave {list(found.shape)}: one number a row is needed")
    if not (finite := torch.isfinite(found)).all():
        row = int((~finite).nonzero()[0])
        raise UsageError(
            f"log_density of x {list(x.shape)} gave {found[row]:g} for row {row}: a finite score is needed"
        )
    return found.detach().cpu().double()


def _measured(estimator: DensityEstimator, train: Tensor, test: Tensor, run: Run) -> dict[str, float]:
    """What is told of a fitted estimator, whatever its measure. An exact density has no gap and needs no samples."""
    if isinstance(estimator, VariationalDensity):
        most = estimator.k_eval
        levels = tuple(sorted({max(1, int(EARLY * most)), most}))
        estimates = estimator.estimates(test, levels, generator=run.generator)
        of_test, early = (_checked(estimator.value(estimates[which]), test) for which in (-1, 0))
        bound = _checked(estimates[-1].mean_log, test)
        share = estimates[-1].effective_samples.mean().item() / most
        active = estimator.active_units(train, generator=run.generator)
    else:
        of_test = early = bound = _log_density(estimator, test, run)
        share, active = 1.0, 0
    of_train = _log_density(estimator, train[: len(test)], run)
    return {
        "nll": -of_test.mean().item(),
        "overfit": (of_train.mean() - of_test.mean()).item(),
        "bound_gap": (of_test - bound).mean().item(),
        "unconverged": (of_test - early).mean().item(),
        "effective_share": share,
        "active_units": float(active),
    }
