"""How time and memory grow: exponents of a power law in each dimension, fitted over the sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.planning.setting import varying


def exponents(sizes: Sequence[Mapping[str, int]], values: Sequence[float]) -> dict[str, float]:
    """The exponent of each dimension that varies, by least squares of logarithms; none where they are not determined.

    >>> fitted = exponents([{"n": 10, "d": 4}, {"n": 100, "d": 4}, {"n": 1000, "d": 4}], [1.0, 100.0, 10_000.0])
    >>> {name: round(exponent, 6) for name, exponent in fitted.items()}
    {'n': 2.0}
    """
    import numpy as np

    points = [(size, value) for size, value in zip(sizes, values, strict=True) if value > 0]
    names = varying(size for size, _ in points)
    if not names or len(points) <= len(names):
        return {}
    table = np.array([[1.0, *(math.log(size[name]) for name in names)] for size, _ in points])
    if np.linalg.matrix_rank(table) < table.shape[1]:
        return {}
    solution = np.linalg.lstsq(table, np.log([value for _, value in points]), rcond=None)[0]
    return {name: float(exponent) for name, exponent in zip(names, solution[1:], strict=True)}
