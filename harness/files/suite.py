"""Suites: TOML files that cross methods with tasks, options, dtypes and seeds, and name the claims to judge."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import FileError, UnknownName, UsageError
from harness.files.claims import Check, Claim, checks_of, claims_of
from harness.files.toml import StrictScalar, read_toml
from harness.registry import Registry
from harness.registry.registry import NOT_INSTALLED
from harness.spec import Task

Dtype = Literal["float64", "float32", "float16", "bfloat16"]
Item = TypeVar("Item")
#: At how many seeds claims are judged where a suite does not say: the verdict is that of the first look that decides.
LOOKS = (5, 10, 20, 40)
Count = Annotated[int, Field(ge=1, le=10_000, strict=True)]


class Range(BaseModel):
    """Bounds between which random search draws the values of an option."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    low: Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, allow_inf_nan=False)]
    """Least value."""
    high: Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, allow_inf_nan=False)]
    """Greatest value."""
    log: Annotated[bool, Field(strict=True)] = False
    """Whether the logarithm of the value is drawn evenly, so that each decade gets as many values."""


class Tune(BaseModel):
    """How a block tunes: every other key is an option with the values to try."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)
    __pydantic_extra__: dict[str, Annotated[list[StrictScalar], Field(min_length=1)] | Range] = Field(init=False)

    by: Annotated[str, Field(min_length=1)]
    """The metric of validation that chooses among the trials."""
    trials: Annotated[int, Field(ge=2, le=1000, strict=True)] | None = None
    """How many combinations random search draws. Without it every combination of the lists is a trial."""

    @property
    def options(self) -> dict[str, list[StrictScalar] | Range]:
        """The options that are tuned: a list of values each, or the range to draw from."""
        return dict(self.__pydantic_extra__ or {})


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
    tune: Tune | None = None
    """Options whose values each method chooses for itself, by a metric of validation, under each seed and setting."""


class SuiteFile(BaseModel):
    """A suite as it stands in its file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    title: Annotated[str, Field(min_length=1)]
    """What is asked, in one line."""
    claims: list[str] = []
    """Claims that the suite's cells decide, by id; globs such as ``flatnce/*`` are allowed."""
    answer: list[str] = []
    """Those of them that its readers came for, by id: shown first."""
    checks: list[str] = []
    """Checks that each of its claims rests on, beside those of its own."""
    show: list[str] = []
    """Metrics that its tables show, in this order. Without it: those that its claims are on."""
    looks: Annotated[list[Annotated[int, Field(ge=3, le=1000, strict=True)]], Field(min_length=1, max_length=10)] = [
        *LOOKS
    ]
    """At how many seeds claims are judged, in growing order."""
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
    #: Ids of the claims that its readers came for.
    answer: tuple[str, ...] = ()
    #: What must hold before a claim can be judged, by id; and by the claim's id which of them it rests on.
    checks: Mapping[str, Check] = field(default_factory=dict)
    rests_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Metrics that its tables show; those that its claims are on where it names none.
    show: tuple[str, ...] = ()
    #: At how many seeds claims are judged.
    looks: tuple[int, ...] = LOOKS
    #: Most worker processes for the CPU, where the suite has a limit.
    jobs: int | None = None

    def shown_metrics(self, task: Task) -> list[str]:
        """The metrics of a task that tables show: those the suite names, else those its claims are on, else all."""
        named = [metric for metric in self.show if metric in task.metrics]
        claimed = {c.test.metric for c in self.claims.values() if c.test is not None and task.name in c.test.tasks}
        return named or [metric for metric in task.metrics if metric in claimed] or list(task.metrics)


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
    registered = claims_of(registry)
    for pattern in content.claims:
        matching = fnmatch.filter(registered.by_id, pattern)
        if not matching:
            if registered.problems:
                problems = "; ".join(registered.problems)
                raise FileError(f"{problems}; and {path} names a claim {pattern!r}, which no other file has")
            raise FileError(
                str(UnknownName("claim", pattern, registered.by_id, where=f"{path}: claims", hint=NOT_INSTALLED))
            )
        claims.update({i: registered.by_id[i] for i in matching})
    if unknown := [name for name in content.answer if name not in claims]:
        raise FileError(str(UnknownName("claim of the suite", unknown[0], claims, where=f"{path}: answer")))
    if list(content.looks) != sorted(set(content.looks)):
        raise FileError(f"{path}: looks = {content.looks}: numbers of seeds in growing order are needed")
    own = [within(f"{path}: checks", partial(registered.checks.__getitem__, name)).id for name in content.checks]
    rests_on = {claim.id: tuple(dict.fromkeys([*checks_of(claim, registry), *own])) for claim in claims.values()}
    checks = {
        name: within(f"claim {claim}: checks", partial(registered.checks.__getitem__, name))
        for claim, names in rests_on.items()
        for name in names
    }
    _check_names([*claims.values(), *checks.values()], registry)
    _check_shown(content, path, registry)
    return Suite(
        name=path.stem,
        path=path,
        title=content.title,
        cross=tuple(content.cross),
        claims=claims,
        answer=tuple(content.answer),
        checks=checks,
        rests_on=rests_on,
        show=tuple(content.show),
        looks=tuple(content.looks),
        jobs=content.jobs,
    )


def _check_names(items: Iterable[Claim | Check], registry: Registry) -> None:
    """Raise FileError where a test names a task or a method that does not exist."""
    for item in items:
        if item.test is None:
            continue
        where = f"{type(item).__name__.lower()} {item.id}: test."
        for name in item.test.tasks:
            within(f"{where}task", partial(registry.tasks.__getitem__, name))
        for name in item.test.names:
            within(f"{where}method", partial(registry.methods.__getitem__, name))


def _check_shown(content: SuiteFile, path: Path, registry: Registry) -> None:
    """Raise FileError where ``show`` names what no task of the suite measures."""
    names = [name for cross in content.cross for name in ([cross.task] if isinstance(cross.task, str) else cross.task)]
    tasks = [registry.tasks[name] for name in names if name in registry.tasks]
    metrics = dict.fromkeys(metric for task in tasks for metric in task.metrics)
    # A task that is not known has an error of its own.
    if len(tasks) == len(names) and (unknown := [metric for metric in content.show if metric not in metrics]):
        raise FileError(str(UnknownName("metric of the suite's tasks", unknown[0], metrics, where=f"{path}: show")))


def within(where: str, look_up: Callable[[], Item]) -> Item:
    """Look a name up; an error says where in the file the name is."""
    try:
        return look_up()
    except UsageError as error:
        raise FileError(f"{where}: {error}") from None
