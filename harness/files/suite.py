"""Suites: TOML files that cross methods with tasks, options, dtypes and seeds, and name the claims to judge."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import FileError, UnknownName, UsageError
from harness.files.claims import Claim, claims_of
from harness.files.toml import StrictScalar, read_toml
from harness.registry import Registry

Dtype = Literal["float64", "float32", "float16", "bfloat16"]
Item = TypeVar("Item")
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
    registered = claims_of(registry)
    for pattern in content.claims:
        matching = fnmatch.filter(registered.by_id, pattern)
        if not matching:
            if registered.problems:
                problems = "; ".join(registered.problems)
                raise FileError(f"{problems}; and {path} names a claim {pattern!r}, which no other file has")
            error = UnknownName("claim", pattern, registered.by_id, where=f"{path}: claims")
            raise FileError(f"{error} (a plugin that is not installed is named with -p)")
        claims.update({i: registered.by_id[i] for i in matching})
    for claim in claims.values():
        if claim.test is not None:
            within(f"claim {claim.id}: test.task", partial(registry.tasks.__getitem__, claim.test.task))
            for name in claim.test.names:
                within(f"claim {claim.id}: test.method", partial(registry.methods.__getitem__, name))
    return Suite(path.stem, path, content.title, tuple(content.cross), claims, content.jobs)


def within(where: str, look_up: Callable[[], Item]) -> Item:
    """Look a name up; an error says where in the file the name is."""
    try:
        return look_up()
    except UsageError as error:
        raise FileError(f"{where}: {error}") from None
