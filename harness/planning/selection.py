"""Which cells ``--only AXIS=VALUE`` selects."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from harness.cell import Cell
from harness.errors import UnknownName, UsageError, nearest
from harness.spec import AXES, Scalar


def select(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """The cells that ``--only AXIS=VALUE`` leaves: values of one axis add up, axes narrow each other.

    Values are globs, several may be joined by commas. Raises UsageError for an axis or value that no cell has.
    """
    patterns_of: dict[str, list[str]] = {}
    axes = {*AXES, *(name for cell in cells for name in cell.options)}
    for condition in only:
        axis, equals, values = condition.partition("=")
        if not equals or not values:
            raise UsageError(f"--only {condition}: AXIS=VALUE is needed, such as seed=0")
        if axis not in axes:
            raise UnknownName("axis", axis, axes, where=f"--only {condition}")
        patterns_of.setdefault(axis, []).extend(values.split(","))
    selected = list(cells)
    for axis, patterns in patterns_of.items():
        for pattern in patterns:
            if not any(_matches(cell.value(axis), pattern) for cell in cells):
                there = sorted({str(v) for c in cells if (v := c.value(axis)) is not None}, key=_natural)
                close = nearest(pattern, there)
                hint = f"; did you mean {close!r}?" if close else ";"
                raise UsageError(f"--only {axis}={pattern}: no cell has it{hint} values here: {', '.join(there)}")
        selected = [cell for cell in selected if any(_matches(cell.value(axis), p) for p in patterns)]
    if not selected:
        raise UsageError(f"--only {' --only '.join(only)}: no cell is left; each value exists, but not together")
    return selected


def _matches(value: Scalar | None, pattern: str) -> bool:
    if value is None:
        return False
    if fnmatch.fnmatchcase(str(value).lower() if isinstance(value, bool) else str(value), pattern):
        return True
    try:
        return isinstance(value, float) and float(pattern) == value
    except ValueError:
        return False


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), "")
    except ValueError:
        return (1, 0.0, text)
