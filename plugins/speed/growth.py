"""How time and memory grow: exponents of a power law in each dimension, fitted over the sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def exponents(sizes: Sequence[Mapping[str, int]], values: Sequence[float]) -> dict[str, float]:
    """The exponent of each dimension that varies, by least squares of logarithms; empty where they are not determined.

    >>> found = exponents([{"n": 10, "d": 4}, {"n": 100, "d": 4}, {"n": 1000, "d": 4}], [1.0, 100.0, 10_000.0])
    >>> {name: round(exponent, 6) for name, exponent in found.items()}
    {'n': 2.0}
    """
    import numpy as np

    points = [(size, value) for size, value in zip(sizes, values, strict=True) if value > 0]
    varying = [name for name in (points[0][0] if points else ()) if len({size[name] for size, _ in points}) > 1]
    if not varying or len(points) <= len(varying):
        return {}
    table = np.array([[1.0, *(math.log(size[name]) for name in varying)] for size, _ in points])
    if np.linalg.matrix_rank(table) < table.shape[1]:
        return {}
    solution = np.linalg.lstsq(table, np.log([value for _, value in points]), rcond=None)[0]
    return {name: float(exponent) for name, exponent in zip(varying, solution[1:], strict=True)}
