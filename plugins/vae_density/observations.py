"""How stored pictures become observations: binary pixels drawn from grey ones, or grey ones with noise added.

A probability of binary pictures and a density of continuous ones are different quantities in different units; so is
the Bernoulli formula on grey pixels, which is neither. Every estimator says which it gives in ``measure``, every
task which it asks for, and the two must agree.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.checks import require_unit_interval

#: ``mass``: log probability of a picture whose pixels are 0 or 1. ``density``: log density of real numbers with
#: respect to volume. ``score``: the Bernoulli formula on grey pixels, no logarithm of a probability.
Measure = Literal["mass", "density", "score"]
#: Draws one observation of each row it is given.
Redraw = Callable[[Tensor, torch.Generator], Tensor]

_TOLD = {
    "mass": "log probabilities of binary pictures (measure 'mass')",
    "density": "log densities of continuous pictures (measure 'density')",
    "score": "the Bernoulli formula on grey pixels, which is no log probability (measure 'score')",
}


def require_measure(estimator: object, wanted: Measure, task: str) -> None:
    """Raise UsageError unless ``estimator.measure`` is the one that ``task`` reports.

    >>> require_measure(object(), "mass", "density/digits")
    Traceback (most recent call last):
    harness.errors.UsageError: density/digits compares log probabilities of binary pictures (measure 'mass'); this \
estimator does not say what it gives: it needs an attribute measure (docs/roles.md)
    """
    found = getattr(estimator, "measure", None)
    if found == wanted:
        return
    if found not in _TOLD:
        given = "does not say what it gives: it needs an attribute measure (docs/roles.md)"
    else:
        given = f"gives {_TOLD[found]}: the two are not comparable"
    raise UsageError(f"{task} compares {_TOLD[wanted]}; this estimator {given}")


def binarise(grey: Tensor, generator: torch.Generator) -> Tensor:
    """Each pixel is 1 with its grey value as probability, else 0: same shape, dtype and device.

    Drawn on the generator's device in float32. Raises ValueError for a value outside [0, 1].

    >>> binarise(torch.tensor([[0.0, 1.0]]), torch.Generator().manual_seed(0))
    tensor([[0., 1.]])
    """
    require_unit_interval(grey)
    return _binarise(grey, generator)


def dequantise(grey: Tensor, generator: torch.Generator, levels: int) -> Tensor:
    """Uniform noise of one grey level's width: (grey (levels - 1) + u) / levels, in [0, 1), same shape and dtype.

    ``grey`` holds multiples of 1 / (levels - 1). The density of the result on the unit cube bounds the
    probability of the stored picture: log P >= log density - D log(levels) (arXiv 1511.01844, section 3.1).

    >>> dequantise(torch.tensor([[1.0]]), torch.Generator().manual_seed(0), levels=2) >= 0.5
    tensor([[True]])
    """
    require_unit_interval(grey)
    return _dequantise(grey, generator, levels)


def redraw_of(name: Literal["stochastic", "dequantised"], levels: int = 256) -> Redraw:
    """What draws a fresh observation of checked grey rows: binary pixels, or grey ones with noise.

    The checks stand outside the loop over minibatches: once for all rows is enough.
    """
    return _binarise if name == "stochastic" else partial(_dequantise, levels=levels)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=generator.device, dtype=torch.float32).to(like.device)


def _binarise(grey: Tensor, generator: torch.Generator) -> Tensor:
    return (_uniform(grey, generator) < grey).to(grey.dtype)


def _dequantise(grey: Tensor, generator: torch.Generator, levels: int) -> Tensor:
    return (grey * (levels - 1) + _uniform(grey, generator).to(grey.dtype)) / levels
