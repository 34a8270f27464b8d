"""Singular values of weight matrices as they are drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from harness_plugins.gradient_penalty.bound import spectral_norm
from harness_plugins.gradient_penalty.network import fill

if TYPE_CHECKING:
    from harness.running.run import Run
    from harness_plugins.gradient_penalty.training import Penalty


def initialisation(penalty: Penalty, run: Run) -> dict[str, float]:  # noqa: ARG001  no penalty acts before training
    """Singular values of one weight matrix as it is drawn, in float64."""
    rows, columns, how = run.options["rows"], run.options["columns"], run.options["initialisation"]
    weight = torch.empty(rows, columns, dtype=torch.float64)
    fill(weight, how, run.generator)
    norm = spectral_norm(weight).item()
    return {
        "spectral_norm": norm,
        "limit_share": norm / limit(rows, columns, how),
        "mean_square_singular_value": weight.square().sum().item() / min(rows, columns),
    }


def limit(rows: int, columns: int, how: str) -> float:
    """The limit of the spectral norm of a large matrix of independent entries: sd (sqrt(rows) + sqrt(columns)).

    (Geman 1980, "A limit theorem for the norm of random matrices".) With variance 1 / columns it is
    1 + sqrt(rows / columns). The entries of an orthogonal matrix are not independent: its norm is 1.

    >>> round(limit(100, 100, "glorot"), 6), round(limit(100, 400, "he"), 6)
    (2.0, 2.12132)
    """
    variance = {"glorot": 2 / (rows + columns), "he": 2 / columns, "torch": 1 / (3 * columns)}
    if how == "orthogonal":
        return 1.0
    return math.sqrt(variance[how]) * (math.sqrt(rows) + math.sqrt(columns))
