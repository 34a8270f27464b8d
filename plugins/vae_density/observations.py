"""How stored pictures become observations: binary pixels drawn from grey ones, or grey ones with noise added.

The probability of binary pictures, the density of continuous ones, and the Bernoulli formula on grey pixels (which is
neither) are different quantities and cannot be compared. Every estimator says in ``measure`` which one it computes,
every task requires one, and the two must agree.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.vae_density.arguments import require_unit_interval

#: ``mass``: log probability of a picture whose pixels are 0 or 1. ``density``: log density of real numbers with
#: respect to volume. ``score``: the Bernoulli formula on grey pixels, which is no log probability.
Measure = Literal["mass", "density", "score"]
#: Draws one observation of each row.
Redraw = Callable[[Tensor, torch.Generator], Tensor]

_DESCRIPTIONS = {
    "mass": "log probabilities of binary pictures (measure 'mass')",
    "density": "log densities of continuous pictures (measure 'density')",
    "score": "the Bernoulli formula on grey pixels, which is no log probability (measure 'score')",
}


def require_measure(estimator: object, measure: Measure, task: str) -> None:
    """Raise UsageError unless ``estimator.measure`` is the ``measure`` that ``task`` reports.

    >>> require_measure(object(), "mass", "density/digits")
    Traceback (most recent call last):
    harness.errors.UsageError: density/digits compares log probabilities of binary pictures (measure 'mass'); this \
estimator does not say what it computes: it needs an attribute measure (docs/roles.md)
    """
    other = getattr(estimator, "measure", None)
    if other == measure:
        return
    if other not in _DESCRIPTIONS:
        problem = "does not say what it computes: it needs an attribute measure (docs/roles.md)"
    else:
        problem = f"computes {_DESCRIPTIONS[other]}: the two are not comparable"
    raise UsageError(f"{task} compares {_DESCRIPTIONS[measure]}; this estimator {problem}")


def binarise(grey: Tensor, generator: torch.Generator) -> Tensor:
    """Binary pixels, 1 with the grey value as probability and otherwise 0: same shape, dtype and device.

    Drawn on the generator's device in float32. Raises ValueError for a value outside [0, 1].

    >>> binarise(torch.tensor([[0.0, 1.0]]), torch.Generator().manual_seed(0))
    tensor([[0., 1.]])
    """
    require_unit_interval(grey)
    return _binarise(grey, generator)


def dequantise(grey: Tensor, generator: torch.Generator, levels: int) -> Tensor:
    """Grey pixels with uniform noise of one level: (grey (levels - 1) + u) / levels, in [0, 1), same shape and dtype.

    ``grey`` holds multiples of 1 / (levels - 1). The density of the result on the unit cube bounds the
    probability of the stored picture: log P >= log density - D log(levels) (arXiv 1511.01844, section 3.1).

    >>> dequantise(torch.tensor([[1.0]]), torch.Generator().manual_seed(0), levels=2) >= 0.5
    tensor([[True]])
    """
    require_unit_interval(grey)
    return _dequantise(grey, generator, levels)


def redraw_of(name: Literal["stochastic", "dequantised"], levels: int = 256) -> Redraw:
    """The function that draws a fresh observation of grey rows: binary pixels, or grey ones with noise.

    It does not check the rows, because it is called for every minibatch; check all rows once before.
    """
    return _binarise if name == "stochastic" else partial(_dequantise, levels=levels)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=generator.device, dtype=torch.float32).to(like.device)


def _binarise(grey: Tensor, generator: torch.Generator) -> Tensor:
    return (_uniform(grey, generator) < grey).to(grey.dtype)


def _dequantise(grey: Tensor, generator: torch.Generator, levels: int) -> Tensor:
    return (grey * (levels - 1) + _uniform(grey, generator).to(grey.dtype)) / levels
