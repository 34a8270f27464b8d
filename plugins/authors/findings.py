"""The words that all checks share: the plugin that is checked, a check, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.files.claims import Check as ClaimCheck
from harness.files.claims import Claim
from harness.registry import Plugin, Registry
from harness.spec import Dataset, Method, Role, Task, Workload


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A loaded plugin, everything it brings, and the devices to check it on."""

    plugin: Plugin
    registry: Registry
    roles: Mapping[str, Role]
    methods: Mapping[str, Method]
    tasks: Mapping[str, Task]
    workloads: Mapping[str, Workload]
    datasets: Mapping[str, Dataset]
    claims: Mapping[str, Claim]
    #: What its claims rest on.
    claim_checks: Mapping[str, ClaimCheck]
    claim_files: tuple[Path, ...]
    suites: Mapping[str, Path]
    #: Device kinds that this machine has.
    devices: tuple[str, ...] = ("cpu",)


@dataclass(frozen=True)
class Problem:
    """One violation of a rule."""

    #: What is wrong, with the name of the method, task, ... it is about.
    message: str
    #: How to fix it.
    advice: str
    #: The method it is about, if a plugin may except that method from the rule.
    method: str = ""


@dataclass(frozen=True)
class Note:
    """Something that could not be checked, and why; it violates no rule."""

    message: str


#: Checks a plugin and yields what it reports.
CheckFunction = Callable[[Subject], Iterator[Problem | Note]]


@dataclass(frozen=True)
class Check:
    """One rule."""

    name: str
    #: The rule, as a sentence that is true of a good plugin.
    rule: str
    run: CheckFunction
    #: Whether the plugin brings anything that the rule is about.
    applies: Callable[[Subject], bool] = lambda subject: True
    #: Whether it runs the plugin's tasks, which takes seconds or minutes.
    slow: bool = False
    #: Whether rounding decides it, so that an excepted method may pass on some processors.
    rounding: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a check reported about a plugin."""

    check: str
    rule: str
    state: Literal["holds", "does not hold", "nothing to check"]
    problems: tuple[Problem, ...] = ()
    #: The messages of its notes.
    notes: tuple[str, ...] = ()
