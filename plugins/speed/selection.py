"""What a command line selects: workloads, sizes, methods, and what these are compared with."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import UnknownName, UsageError, nearest
from harness.registry import Registry
from harness.spec import Method, Workload
from harness_plugins.speed.option_values import OptionValues, read_option_values


@dataclass(frozen=True)
class Selection:
    """The arguments and flags of ``harness bench`` that select something, as they were typed."""

    #: Roles and workloads; none are all workloads.
    names: Sequence[str] = ()
    #: AXIS=VALUE: a method's name with wildcards, or a dimension.
    only: Sequence[str] = ()
    #: Another baseline than the workload's.
    against: str | None = None
    #: DIMENSION=N: sizes in place of the listed ones.
    sizes: Sequence[str] = ()
    #: NAME=VALUE: options of methods.
    options: Sequence[str] = ()


@dataclass(frozen=True)
class Comparison:
    """Methods side by side on one workload."""

    workload: Workload
    sizes: tuple[dict[str, int], ...]
    methods: tuple[Method, ...]
    baseline: str
    #: Options that were set on its methods.
    options: OptionValues = ()


def comparisons(selection: Selection, registry: Registry) -> list[Comparison]:
    """What is selected, by workload. Raises UsageError with the nearest name, and where nothing is left."""
    workloads = _workloads(selection.names, registry)
    if selection.against is not None:
        _check_against(selection.against, workloads, registry)
    values = _own_sizes(selection.sizes, selection.only, workloads)
    conditions = _conditions(selection.only, [_with_sizes(workload, values) for workload in workloads])
    compared = [
        Comparison(
            workload,
            tuple(size for size in sizes_of(_with_sizes(workload, values)) if _fits(size, conditions)),
            _methods(workload, conditions.get("method", ()), selection.against, registry),
            _baseline(workload, selection.against, registry),
        )
        for workload in workloads
    ]
    compared = [comparison for comparison in compared if comparison.sizes and comparison.methods]
    if not compared:
        left = ", ".join(workload.name for workload in workloads)
        raise UsageError(f"--only {' --only '.join(selection.only)}: nothing is left of {left}")
    options = read_option_values(selection.options, [m for comparison in compared for m in comparison.methods])
    return [replace(comparison, options=_options_of(comparison.methods, options)) for comparison in compared]


def sizes_of(workload: Workload) -> list[dict[str, int]]:
    """Every combination of the workload's dimensions.

    >>> sizes = {"n": [1, 2], "d": [3]}
    >>> sizes_of(Workload(name="w", role="r", sizes=sizes, inputs=abs, call=abs, bytes=abs, flops=abs, baseline="b"))
    [{'n': 1, 'd': 3}, {'n': 2, 'd': 3}]
    """
    names = list(workload.sizes)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*workload.sizes.values())]


def _workloads(names: Sequence[str], registry: Registry) -> list[Workload]:
    roles = {workload.role for workload in registry.workloads.values()}
    for name in names:
        if name not in roles and name not in registry.workloads:
            raise UnknownName("role or workload", name, {*roles, *registry.workloads})
    workloads = [w for w in registry.workloads.values() if not names or w.role in names or w.name in names]
    if not workloads:
        raise UsageError("no plugin brings a workload")
    return workloads


def _check_against(against: str, workloads: Iterable[Workload], registry: Registry) -> None:
    roles = {workload.role for workload in workloads}
    if registry.methods[against].role not in roles:
        known = [method.name for method in registry.methods.values() if method.role in roles]
        raise UnknownName("baseline for what is measured", against, known, where="--against")


def _baseline(workload: Workload, against: str | None, registry: Registry) -> str:
    return against if against and registry.methods[against].role == workload.role else workload.baseline


def _methods(
    workload: Workload, patterns: Sequence[str], against: str | None, registry: Registry
) -> tuple[Method, ...]:
    """The methods that a pattern matches, and the baseline beside them; none where no pattern matches a method."""
    methods = [method for method in registry.methods.values() if method.role == workload.role]
    if not patterns:
        return tuple(methods)
    matching = {m.name for m in methods if any(fnmatch.fnmatchcase(m.name, pattern) for pattern in patterns)}
    names = matching and {*matching, _baseline(workload, against, registry)}
    return tuple(method for method in methods if method.name in names)


def _own_sizes(texts: Sequence[str], only: Sequence[str], workloads: Sequence[Workload]) -> dict[str, list[int]]:
    """The values of dimensions that take the place of the listed ones."""
    known = {name for workload in workloads for name in workload.sizes}
    own: dict[str, list[int]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        parts = values.split(",")
        if not equals or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise UsageError(f"--size {text}: DIMENSION=N is needed, with numbers above 0, such as batch=16384")
        if name not in known:
            raise UnknownName("dimension", name, known, where=f"--size {text}")
        if any(condition.partition("=")[0] == name for condition in only):
            raise UsageError(f"--size {text}: --only {name}=... picks from the listed sizes; give one of the two")
        own.setdefault(name, []).extend(int(part) for part in parts)
    return {name: sorted(set(values)) for name, values in own.items()}


def _with_sizes(workload: Workload, values: Mapping[str, Sequence[int]]) -> Workload:
    """The workload with these values of its dimensions in place of the listed ones."""
    own = {name: numbers for name, numbers in values.items() if name in workload.sizes}
    return replace(workload, sizes={**workload.sizes, **own})


def _conditions(only: Sequence[str], workloads: Sequence[Workload]) -> dict[str, list[str]]:
    """The values that are selected on each axis."""
    dimensions: dict[str, set[str]] = {}
    for workload in workloads:
        for name, numbers in workload.sizes.items():
            dimensions.setdefault(name, set()).update(map(str, numbers))
    conditions: dict[str, list[str]] = {}
    for text in only:
        axis, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(f"--only {text}: AXIS=VALUE is needed, such as method=infonce* or batch=256")
        if axis != "method":
            _check_dimension(text, axis, value.split(","), dimensions)
        conditions.setdefault(axis, []).extend(value.split(","))
    return conditions


def _check_dimension(text: str, axis: str, values: Iterable[str], dimensions: Mapping[str, set[str]]) -> None:
    if axis not in dimensions:
        raise UnknownName("axis", axis, {"method", *dimensions}, where=f"--only {text}")
    for value in values:
        if value not in dimensions[axis]:
            sizes = ", ".join(sorted(dimensions[axis], key=int))
            close = nearest(value, dimensions[axis])
            hint = f"; did you mean {close}?" if close else ";"
            raise UsageError(f"--only {text}: no workload has the size {axis}={value}{hint} sizes here: {sizes}")


def _fits(size: Mapping[str, int], conditions: Mapping[str, Sequence[str]]) -> bool:
    """Whether a size meets the conditions on its dimensions."""
    return all(str(size[axis]) in values for axis, values in conditions.items() if axis in size)


def _options_of(methods: Sequence[Method], options: OptionValues) -> OptionValues:
    """Those of the options that one of the methods has."""
    return tuple((name, value) for name, value in options if any(name in method.options for method in methods))
