"""Suites: TOML files that cross methods with tasks, options, dtypes and seeds, and the cells they stand for."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from harness.cell import Cell
from harness.errors import DatasetMissing, FileError, UnknownName, UsageError, nearest
from harness.spec import AXES, Method, Option, Scalar, Task, file_digest
from harness.toml import StrictScalar, read_toml

if TYPE_CHECKING:
    from harness.claims import Claim
    from harness.registry import Registry

Dtype = Literal["float64", "float32", "float16", "bfloat16"]
Found = TypeVar("Found")
Item = TypeVar("Item", bound=Scalar)
Count = Annotated[int, Field(ge=1, le=10_000, strict=True)]


class Cross(BaseModel):
    """One block: every method on every task, under every combination of the options."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    task: str | Annotated[list[str], Field(min_length=1)]
    """A task's name, or several."""
    methods: Annotated[list[str], Field(min_length=1)]
    """Methods by name; a glob such as ``infonce*`` stands for all that match and fill the task's role."""
    seeds: Count | Annotated[list[Annotated[int, Field(ge=0, strict=True)]], Field(min_length=1)] = 1
    """How many seeds (0, 1, ...), or which."""
    dtype: Dtype | Annotated[list[Dtype], Field(min_length=1)] = "float32"
    options: dict[str, StrictScalar | Annotated[list[StrictScalar], Field(min_length=1)]] = {}
    """Every list crosses. An option goes to the task or method that declares it; a method without it ignores it."""


class SuiteFile(BaseModel):
    """A suite as it stands in its file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    title: Annotated[str, Field(min_length=1)]
    """What is asked, in one line."""
    claims: list[str] = []
    """Claims that the suite's cells decide, by id; globs such as ``flatnce/*`` are allowed."""
    jobs: Count | None = None
    """At most so many worker processes for the CPU: 1 where cells measure time and must not run beside each other."""
    cross: Annotated[list[Cross], Field(min_length=1)]


@dataclass(frozen=True)
class Suite:
    """A suite that was read and whose claims are known."""

    name: str
    path: Path
    title: str
    cross: tuple[Cross, ...]
    claims: Mapping[str, Claim]
    #: Most worker processes for the CPU, where the suite has a limit.
    jobs: int | None = None


def read_suite(name_or_file: str, registry: Registry) -> Suite:
    """A suite by the name it is registered under, or by the path of its file.

    Raises UnknownName with the nearest name, FileError with file and key, for claims that do not exist too.
    """
    if name_or_file.endswith(".toml") or "/" in name_or_file:
        path = Path(name_or_file)
        if not path.exists():
            raise UsageError(f"there is no suite file {name_or_file}")
    else:
        path = registry.suites[name_or_file]
    content = read_toml(path, SuiteFile)
    claims: dict[str, Claim] = {}
    for pattern in content.claims:
        matching = fnmatch.filter(registry.claims, pattern)
        if not matching:
            if registry.claim_problems:
                told = "; ".join(registry.claim_problems)
                raise FileError(f"{told}; and {path} names a claim {pattern!r}, which no other file has")
            error = UnknownName("claim", pattern, registry.claims, where=f"{path}: claims")
            raise FileError(f"{error} (a plugin that is not installed is named with -p)")
        claims.update({i: registry.claims[i] for i in matching})
    for claim in claims.values():
        if claim.test is not None:
            _within(f"claim {claim.id}: test.task", partial(registry.tasks.__getitem__, claim.test.task))
            for name in claim.test.names:
                _within(f"claim {claim.id}: test.method", partial(registry.methods.__getitem__, name))
    return Suite(path.stem, path, content.title, tuple(content.cross), claims, content.jobs)


def cells_of(
    suite: Suite,
    registry: Registry,
    devices: Sequence[str] = ("cpu",),
    seeds: int | None = None,
    locate: Callable[[str], str] | None = None,
) -> Iterator[Cell]:
    """The cells a suite stands for, lazily, in the file's order; one that two blocks name comes once.

    ``devices`` are device kinds; ``seeds`` replaces the number of seeds of blocks that have more than one.
    ``locate`` gives a data set's digest and raises DatasetMissing (by default it looks on this machine).
    All names are checked before the first cell is given. Raises UnknownName or UsageError naming the block.
    """
    blocks = [_check_block(suite, number, block, registry) for number, block in enumerate(suite.cross)]
    find = locate or _DatasetDigests(registry)
    return _walk(suite, blocks, registry, devices, seeds, find)


def select(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """The cells that ``--only AXIS=VALUE`` leaves: values of one axis add up, axes narrow each other.

    Values are globs, several may be joined by commas. Raises UsageError for an axis or value that no cell has.
    """
    wanted: dict[str, list[str]] = {}
    axes = {*AXES, *(name for cell in cells for name in cell.options)}
    for condition in only:
        axis, equals, values = condition.partition("=")
        if not equals or not values:
            raise UsageError(f"--only {condition}: AXIS=VALUE is needed, such as seed=0")
        if axis not in axes:
            raise UnknownName("axis", axis, axes, where=f"--only {condition}")
        wanted.setdefault(axis, []).extend(values.split(","))
    kept = list(cells)
    for axis, patterns in wanted.items():
        for pattern in patterns:
            if not any(_matches(cell.value(axis), pattern) for cell in cells):
                there = sorted({str(v) for c in cells if (v := c.value(axis)) is not None}, key=_natural)
                close = nearest(pattern, there)
                hint = f"; did you mean {close!r}?" if close else ";"
                raise UsageError(f"--only {axis}={pattern}: no cell has it{hint} values here: {', '.join(there)}")
        kept = [cell for cell in kept if any(_matches(cell.value(axis), p) for p in patterns)]
    if not kept:
        raise UsageError(f"--only {' --only '.join(only)}: no cell is left; each value exists, but not together")
    return kept


@dataclass(frozen=True)
class _Block:
    """A checked block: tasks with the methods that run on them, and the options as lists."""

    cross: Cross
    pairs: tuple[tuple[Task, Method], ...]
    options: Mapping[str, tuple[Scalar, ...]]


def _check_block(suite: Suite, number: int, cross: Cross, registry: Registry) -> _Block:
    where = f"{suite.path}: cross[{number}]"
    pairs: list[tuple[Task, Method]] = []
    for task_name in _as_tuple(cross.task):
        task = _within(where + ".task", partial(registry.tasks.__getitem__, task_name))
        for pattern in cross.methods:
            for method in _methods(pattern, task, registry, where):
                if (task, method) not in pairs:
                    pairs.append((task, method))
    options = {name: _as_tuple(values) for name, values in cross.options.items()}
    for name in options:
        declared = {n for task, method in pairs for n in (*task.options, *method.options)}
        if name not in declared:
            raise UnknownName("option", name, declared, where=f"{where}.options")
        for task, method in pairs:
            for owner in (task, method):
                if name in owner.options:
                    for value in options[name]:
                        told = f"{where}: option {name} of {owner.name}"
                        _check_file(owner.options[name], owner.options[name].read(value, told), told)
    for task, method in pairs:
        _check_shared_options(task, method, options, where)
    return _Block(cross, tuple(pairs), options)


def _check_file(option: Option, value: Scalar, where: str) -> None:
    """The file that an option names must be there."""
    if option.file and value and not Path(str(value)).is_file():
        raise UsageError(f"{where} = {value!r}: there is no such file in the current folder, {Path.cwd()}")


def _check_shared_options(task: Task, method: Method, given: Mapping[str, object], where: str) -> None:
    """An option that a task and a method both declare is one axis: its type must agree, and so must its default."""
    for name in task.options.keys() & method.options.keys():
        theirs, own = task.options[name].default, method.options[name].default
        told = f"{where}: both {task.name} and {method.name} have an option {name}"
        if type(theirs) is not type(own):
            raise UsageError(
                f"{told}, of the types {type(theirs).__name__} and {type(own).__name__}; rename one of them"
            )
        if theirs != own and name not in given:
            raise UsageError(f"{told}, with the defaults {theirs!r} and {own!r}; give one value under options")


def _methods(pattern: str, task: Task, registry: Registry, where: str) -> list[Method]:
    fitting = {m.name: m for m in registry.methods.values() if m.role == task.role}
    if any(sign in pattern for sign in "*?["):
        found = fnmatch.filter(fitting, pattern)
        if not found:
            raise UnknownName(f"method of role {task.role}", pattern, fitting, where=f"{where}.methods")
        return [fitting[name] for name in found]
    method = _within(where + ".methods", partial(registry.methods.__getitem__, pattern))
    if method.role != task.role:
        raise UsageError(
            f"{where}.methods: {pattern} fills the role {method.role}, but {task.name} needs {task.role}: "
            + ", ".join(sorted(fitting))
        )
    return [method]


def _walk(
    suite: Suite,
    blocks: Sequence[_Block],
    registry: Registry,
    devices: Sequence[str],
    seeds: int | None,
    locate: Callable[[str], str],
) -> Iterator[Cell]:
    seen: set[str] = set()
    for block in blocks:
        for task, method in block.pairs:
            code = registry.code(method.name, task.name)
            data, skip = _data(task, locate)
            numbers = _seeds(block.cross, seeds)
            own = tuple(name for name in method.options if name not in task.options)
            settings = [(o, {**data, **_files(o, task, method)}) for o in _settings(block.options, task, method)]
            for (options, read), device, dtype, seed in itertools.product(
                settings, devices, _as_tuple(block.cross.dtype), numbers
            ):
                cell = Cell(suite.name, method.name, task.name, options, device, dtype, seed, code, read, skip, own)
                if cell.id not in seen:
                    seen.add(cell.id)
                    yield cell


def _settings(given: Mapping[str, tuple[Scalar, ...]], task: Task, method: Method) -> list[dict[str, Scalar]]:
    """Every combination of the given options that this task or method declares, over their defaults."""
    declared = {**method.options, **task.options}
    crossed = {name: given.get(name, (option.default,)) for name, option in declared.items()}
    typed = {n: [declared[n].read(v, n) for v in values] for n, values in crossed.items()}
    return [dict(zip(typed, values, strict=True)) for values in itertools.product(*typed.values())]


def _files(options: Mapping[str, Scalar], task: Task, method: Method) -> dict[str, str]:
    """Digests of the files that options name, as long as those of data sets."""
    declared = {**method.options, **task.options}
    return {
        f"option {name}": file_digest(Path(str(value)))[:32]
        for name, value in options.items()
        if declared[name].file and value
    }


def _data(task: Task, locate: Callable[[str], str]) -> tuple[dict[str, str | None], str | None]:
    """Digests of the task's data sets, and why it must be skipped if one is not here."""
    data: dict[str, str | None] = {}
    reason = None
    for name in task.datasets:
        try:
            data[name] = locate(name)
        except DatasetMissing as error:
            data[name], reason = None, str(error)
    return data, reason


class _DatasetDigests:
    """Looks a data set up on this machine once per plan."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[str, str | DatasetMissing] = {}

    def __call__(self, name: str) -> str:
        from harness.datasets import locate

        if name not in self._known:
            try:
                self._known[name] = locate(self._registry.datasets[name]).digest
            except DatasetMissing as error:
                self._known[name] = error
        found = self._known[name]
        if isinstance(found, DatasetMissing):
            raise found
        return found


def _seeds(cross: Cross, seeds: int | None) -> Sequence[int]:
    if isinstance(cross.seeds, list):
        return cross.seeds
    return range(cross.seeds if seeds is None or cross.seeds == 1 else seeds)


def _as_tuple(value: Item | list[Item]) -> tuple[Item, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


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


def _within(where: str, look_up: Callable[[], Found]) -> Found:
    """Look a name up; an error says where in the file the name stands."""
    try:
        return look_up()
    except UsageError as error:
        raise FileError(f"{where}: {error}") from None
