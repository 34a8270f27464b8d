"""Inputs of a density estimator, and how it is fitted and called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def pixels(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> tuple[Tensor]:
    """Grey pixels [rows, 5] from 0 to 1. Drawn in float64 and then rounded: every dtype gets the same numbers."""
    return (torch.rand(rows, 5, generator=generator, dtype=torch.float64).to(device, dtype),)


def fitted_log_density(estimator: Any, inputs: tuple[Tensor]) -> Any:
    """Fit the rows and compute their log densities. An estimator of a mass gets binary pixels."""
    (x,) = inputs
    if getattr(estimator, "measure", None) == "mass":
        x = (x > 0.5).to(x.dtype)
    generator = torch.Generator().manual_seed(1)
    _call(estimator.fit, x, generator)
    return _call(estimator.log_density, x, generator)


def _call(function: Callable[..., Any], x: Tensor, generator: torch.Generator) -> Any:
    """Call a function of ``x``, with the generator if its signature names one."""
    named = "generator" in inspect.signature(function).parameters
    return function(x, generator=generator) if named else function(x)
