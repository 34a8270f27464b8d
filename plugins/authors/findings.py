"""What a check is asked of, and what it found: the words that all checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.files.claims import Claim
from harness.registry import Plugin, Registry
from harness.spec import Dataset, Method, Task, Workload


@dataclass(frozen=True)
class Subject:
    """A loaded plugin with what it brings, and where it is checked."""

    plugin: Plugin
    registry: Registry
    methods: Mapping[str, Method]
    tasks: Mapping[str, Task]
    workloads: Mapping[str, Workload]
    datasets: Mapping[str, Dataset]
    claims: Mapping[str, Claim]
    claim_files: tuple[Path, ...]
    suites: Mapping[str, Path]
    #: Device kinds that this machine has.
    devices: tuple[str, ...] = ("cpu",)


@dataclass(frozen=True)
class Problem:
    """One thing that does not hold."""

    #: What was found, with the name of what it was found in.
    found: str
    #: What to do about it.
    advice: str
    #: Name of the method it was found in, where a plugin may except that from the rule.
    method: str = ""


@dataclass(frozen=True)
class Note:
    """Something that could not be looked at, and why; it breaks no rule."""

    text: str


#: Looks at a plugin and gives what is wrong with it.
Look = Callable[[Subject], Iterator[Problem | Note]]


@dataclass(frozen=True)
class Check:
    """One rule."""

    name: str
    #: The rule, as a sentence that is true of a good plugin.
    rule: str
    look: Look
    #: Whether there is anything in the plugin that the rule is about.
    concerns: Callable[[Subject], bool] = lambda subject: True
    #: Whether it runs the plugin's tasks, which takes seconds and more.
    slow: bool = False
    #: Whether the processor's rounding decides it: a method that is excepted may keep the rule on some.
    rounding: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a check found."""

    check: str
    rule: str
    state: Literal["holds", "does not hold", "nothing to check"]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
