"""Checks of what a plugin declares: names, metadata, options, code addresses and roles. Nothing is computed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import date

from harness.errors import UnknownName, UsageError, suggestion
from harness.spec import Code, Dataset, Method, Paper, Role, Task, Workload, resolve
from harness_plugins.authors.findings import Check, Note, Problem, Subject
from harness_plugins.authors.results import RETURN_WORDS

#: Names of methods and roles, and names of tasks and workloads.
_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_TOPIC_NAME = re.compile(r"[a-z0-9_-]+/[a-z0-9._-]+")


Noun = Role | Method | Task | Workload | Dataset


def _nouns(subject: Subject) -> Iterator[tuple[str, Noun]]:
    """Everything that the plugin brings, each with its kind and name: ("method relu", ...)."""
    kinds: dict[str, Mapping[str, Noun]] = {
        "role": subject.roles,
        "method": subject.methods,
        "task": subject.tasks,
        "workload": subject.workloads,
        "data set": subject.datasets,
    }
    for kind, nouns in kinds.items():
        for name, noun in nouns.items():
            yield f"{kind} {name}", noun


def names(subject: Subject) -> Iterator[Problem | Note]:
    """Names follow the rules: ``lower-case`` methods and roles, ``topic/name`` tasks, ``plugin/name`` claims."""
    for kind, lower_case in (("role", subject.roles), ("method", subject.methods)):
        for name in lower_case:
            if not _NAME.fullmatch(name):
                yield Problem(f"{kind} {name!r}", "use lower-case letters, digits and -, as in label-smoothing")
    for kind, with_topic in (("task", subject.tasks), ("workload", subject.workloads)):
        for name in with_topic:
            if not _TOPIC_NAME.fullmatch(name):
                yield Problem(f"{kind} {name!r}", "use topic/name in lower case, so that names of plugins cannot clash")
    for claim in subject.claims:
        if claim.partition("/")[0] != subject.plugin.name:
            yield Problem(f"claim {claim!r}", f"start its id with the plugin's name: {subject.plugin.name}/...")


def metadata(subject: Subject) -> Iterator[Problem | Note]:
    """Everything says what it is, where it comes from and in which unit it is measured."""
    for owner, noun in _nouns(subject):
        if not noun.help.strip():
            yield Problem(f"{owner} has no help", "say in one line what it is")
    for name, role in subject.roles.items():
        if not role.signature.strip():
            yield Problem(
                f"role {name} has no signature", "write the call with shapes: loss(view_a [N, D], ...) -> scalar"
            )
    yield from _paper_problems(subject)
    yield from _metric_problems(subject)
    for name, dataset in subject.datasets.items():
        if not dataset.licence.strip():
            yield Problem(f"data set {name} has no licence", "name it; 'unknown' is a valid answer")


def _paper_problems(subject: Subject) -> Iterator[Problem]:
    for name, method in subject.methods.items():
        if method.paper and not _is_complete(method.paper):
            yield Problem(f"method {name}: {method.paper}", "a Paper needs its title, an https address and the year")
    # A method with a reference implements what the reference's paper describes.
    originals = [method for method in subject.methods.values() if not method.reference]
    if originals and not any(method.paper for method in subject.methods.values()):
        yield Problem("no method names a paper", "give the technique paper=Paper(...): where it was published")


def _metric_problems(subject: Subject) -> Iterator[Problem]:
    for name, task in subject.tasks.items():
        for metric_name, metric in task.metrics.items():
            owner = f"task {name}: metric {metric_name}"
            if not metric.help.strip():
                yield Problem(f"{owner} has no help", "say in words what it measures")
            if not metric.unit.strip():
                yield Problem(f"{owner} has no unit", "'fraction', 'nats', 'count', 'seconds', ...")


def _is_complete(paper: Paper) -> bool:
    has_address = re.match(r"https?://[^/]+\.", paper.url) is not None
    return bool(paper.title.strip()) and has_address and 1600 <= paper.year <= date.today().year + 1


def options(subject: Subject) -> Iterator[Problem | Note]:
    """Options have a help text, and the code takes exactly the options that are declared."""
    for owner, noun in _nouns(subject):
        if isinstance(noun, (Method, Task)):
            for name, option in noun.options.items():
                if not option.help.strip():
                    yield Problem(f"{owner}: option {name} has no help", f"Option({option.default!r}, 'what it does')")
    for name, method in subject.methods.items():
        try:
            signature = inspect.signature(resolve(method.build))
        except (TypeError, ValueError, ImportError, AttributeError, UsageError):
            continue  # The check "addresses" reports it.
        try:
            signature.bind(**{option: declared.default for option, declared in method.options.items()})
        except TypeError as error:
            yield Problem(
                f"method {name}: build{signature} does not take its options: {error}",
                "name the same options in build(...) and in Method(options=...)",
            )


def addresses(subject: Subject) -> Iterator[Problem | Note]:
    """Every address of code names code that exists."""
    for owner, noun in _nouns(subject):
        for code in _codes(noun):
            try:
                resolve(code)
            except Exception as error:  # noqa: BLE001  importing a plugin's module may raise anything
                yield Problem(f"{owner}: {code!r}: {type(error).__name__}: {error}", "name it as 'package.module:name'")


def _codes(noun: Noun) -> tuple[Code, ...]:
    match noun:
        case Role():
            returns = () if noun.returns in RETURN_WORDS else (noun.returns,)
            return (noun.inputs, *([noun.call] if noun.call else []), *returns)
        case Method():
            return (noun.build,)
        case Task():
            return (noun.run,)
        case Workload():
            return (noun.inputs, noun.call, noun.bytes, noun.flops, *noun.extremes.values())
        case Dataset():
            return (noun.load,)


def roles(subject: Subject) -> Iterator[Problem | Note]:
    """Everything can be used together with something else."""
    registry = subject.registry
    used = {task.role for task in registry.tasks.values()} | {w.role for w in registry.workloads.values()}
    filled = {method.role for method in registry.methods.values()}
    for name, method in subject.methods.items():
        if method.role not in used:
            yield Problem(
                f"method {name}: no task and no workload has the role {method.role!r}{suggestion(method.role, used)}",
                "see 'harness list roles' and docs/roles.md, or bring a task of this role",
            )
    for name, task in subject.tasks.items():
        if task.role not in filled:
            yield Problem(
                f"task {name}: no method has the role {task.role!r}{suggestion(task.role, filled)}",
                "see 'harness list roles' and docs/roles.md, or bring a method of this role",
            )
        for dataset in task.datasets:
            if dataset not in registry.datasets:
                yield Problem(f"task {name}: {UnknownName('data set', dataset, registry.datasets)}", "bring it")


def has_code(subject: Subject) -> bool:
    """Whether the plugin brings anything but files."""
    return any(True for _ in _nouns(subject))


CHECKS = (
    Check(
        "names",
        "names follow the rules, so that plugins cannot clash",
        names,
        lambda subject: has_code(subject) or bool(subject.claims),
    ),
    Check("metadata", "paper, licence, units and help are complete", metadata, has_code),
    Check("options", "options have a help text, and are the ones that the code takes", options, has_code),
    Check("addresses", "every address of code names code that exists", addresses, has_code),
    Check("roles", "the roles and data sets that are named exist", roles, has_code),
)
