"""Checks of what a plugin says of itself: names, metadata, options, roles, files and claims. Nothing is computed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, get_args

from harness.errors import FileError, HarnessError, UnknownName, UsageError
from harness.files.claims import Claim, ClaimFile, Greater, Ratio
from harness.files.suite import Dtype, SuiteFile, read_suite
from harness.files.toml import read_toml
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness.registry import Registry
from harness.spec import DEVICE_KINDS, Code, Option, resolve
from harness_plugins.authors.findings import Check, Note, Problem, Subject


def names(subject: Subject) -> Iterator[Problem | Note]:
    """Methods as ``lower-case``, tasks and workloads as ``topic/name``, claims as ``plugin/name``."""
    plugin = subject.plugin.name
    for name in subject.methods:
        if not re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", name):
            yield Problem(f"method {name!r}", "use lower-case letters, digits and -, as in label-smoothing")
    for kind, found in (("task", subject.tasks), ("workload", subject.workloads)):
        for name in found:
            if not re.fullmatch(r"[a-z0-9_-]+/[a-z0-9._-]+", name):
                yield Problem(f"{kind} {name!r}", "use topic/name in lower case, so that names of plugins cannot clash")
    for claim in subject.claims:
        if claim.partition("/")[0] != plugin:
            yield Problem(f"claim {claim!r}", f"begin its id with the plugin's name: {plugin}/...")


def metadata(subject: Subject) -> Iterator[Problem | Note]:
    """Everything says what it is, where it comes from, in which unit it is measured."""
    nouns = (subject.methods, subject.tasks, subject.workloads, subject.datasets)
    for kind, found in zip(("method", "task", "workload", "data set"), nouns, strict=True):
        for name, noun in found.items():
            if not noun.help.strip():  # type: ignore[attr-defined]
                yield Problem(f"{kind} {name} has no help", "say in one line what it is")
    for name, method in subject.methods.items():
        if method.paper and not (
            method.paper.title.strip()
            and re.match(r"https?://[^/]+\.", method.paper.url)
            and 1600 <= method.paper.year <= date.today().year + 1
        ):
            yield Problem(f"method {name}: {method.paper}", "a Paper needs its title, an https address and the year")
    # A method with a reference is another's implementation of what that one's paper says.
    if any(not m.reference for m in subject.methods.values()) and not any(m.paper for m in subject.methods.values()):
        yield Problem("no method names a paper", "give the technique paper=Paper(...): where it was published")
    for name, task in subject.tasks.items():
        for label, metric in task.metrics.items():
            if not metric.help.strip():
                yield Problem(f"task {name}: metric {label} has no help", "say in words what is counted")
            if not metric.unit.strip():
                yield Problem(f"task {name}: metric {label} has no unit", "'fraction', 'nats', 'count', 'seconds', ...")
    for name, dataset in subject.datasets.items():
        if not dataset.licence.strip():
            yield Problem(f"data set {name} has no licence", "name it, 'unknown' included")


def options(subject: Subject) -> Iterator[Problem | Note]:
    """Options are documented, and the code takes exactly the options that are declared."""
    for kind, found in (("method", subject.methods), ("task", subject.tasks)):
        for name, noun in found.items():
            for label, option in noun.options.items():
                if not option.help.strip():
                    yield Problem(
                        f"{kind} {name}: option {label} has no help", f"Option({option.default!r}, 'what it does')"
                    )
    for name, method in subject.methods.items():
        try:
            signature = inspect.signature(resolve(method.build))
        except (TypeError, ValueError, ImportError, AttributeError, UsageError):
            continue
        try:
            signature.bind(**{label: option.default for label, option in method.options.items()})
        except TypeError as error:
            yield Problem(
                f"method {name}: build{signature} does not take its options: {error}",
                "name the same options in build(...) and in Method(options=...)",
            )


def addresses(subject: Subject) -> Iterator[Problem | Note]:
    """Code that is named by its address is there."""
    for owner, code in _code(subject):
        try:
            resolve(code)
        except Exception as error:  # noqa: BLE001  importing somebody's module may raise anything
            yield Problem(f"{owner}: {code!r}: {type(error).__name__}: {error}", "name it as 'package.module:name'")


def _code(subject: Subject) -> Iterator[tuple[str, Code]]:
    for name, method in subject.methods.items():
        yield f"method {name}", method.build
    for name, task in subject.tasks.items():
        yield f"task {name}", task.run
    for name, dataset in subject.datasets.items():
        yield f"data set {name}", dataset.load
    for name, workload in subject.workloads.items():
        for code in (workload.inputs, workload.call, workload.bytes, workload.flops, *workload.extremes.values()):
            yield f"workload {name}", code


def roles(subject: Subject) -> Iterator[Problem | Note]:
    """What is brought can be used together with something."""
    methods = subject.registry.methods
    for name, method in subject.methods.items():
        used = {task.role for task in subject.registry.tasks.values()}
        used |= {workload.role for workload in subject.registry.workloads.values()}
        if method.role not in used:
            yield Problem(
                f"method {name}: no task and no workload has the role {method.role!r}",
                "see docs/roles.md, or bring a task of it",
            )
    for name, task in subject.tasks.items():
        if task.role not in {method.role for method in methods.values()}:
            yield Problem(f"task {name}: no method has the role {task.role!r}", "see docs/roles.md, or bring one")
        for dataset in task.datasets:
            if dataset not in subject.registry.datasets:
                yield Problem(f"task {name}: {_unknown('data set', dataset, subject.registry.datasets)}", "bring it")


def _unknown(kind: str, name: str, known: Mapping[str, object]) -> str:
    return str(UnknownName(kind, name, known))


def files(subject: Subject) -> Iterator[Problem | Note]:
    """Claim and suite files follow their schema."""
    for path in subject.claim_files:
        yield from _read(path, ClaimFile)
    for path in subject.suites.values():
        yield from _read(path, SuiteFile)


def _read(path: Path, schema: type[Any]) -> Iterator[Problem]:
    try:
        read_toml(path, schema)
    except FileError as error:
        kind = "claim" if schema is ClaimFile else "suite"
        yield Problem(str(error), f"'harness schema {kind}' prints what is allowed, for editors too")


def claims(subject: Subject) -> Iterator[Problem | Note]:
    """A claim's test speaks of a task, metric, methods and options that are there."""
    for name, claim in subject.claims.items():
        if claim.test is not None:
            for found in _claim_problems(claim, subject.registry):
                yield Problem(f"claim {name}: {found}", "correct its test, or the plugin")
            if isinstance(claim.test, (Greater, Ratio)) and _undirected(claim.test, subject.registry):
                metric = claim.test.metric
                yield Note(f"claim {name}: its metric {metric} has no better direction, so that better means larger")


def _undirected(test: Greater | Ratio, registry: Registry) -> bool:
    task = registry.tasks.get(test.task)
    metric = task.metrics.get(test.metric) if task else None
    return metric is not None and metric.better is None and test.than is not None


def _claim_problems(claim: Claim, registry: Registry) -> Iterator[str]:
    test = claim.test
    assert test is not None
    if test.task not in registry.tasks:
        yield _unknown("task", test.task, registry.tasks)
        return
    task = registry.tasks[test.task]
    if test.metric not in task.metrics:
        yield _unknown(f"metric of {task.name}", test.metric, task.metrics)
    missing = [method for method in test.names if method not in registry.methods]
    for method in missing:
        yield _unknown("method", method, registry.methods)
    if missing:
        return
    for method in test.names:
        if registry.methods[method].role != task.role:
            yield f"{method} has the role {registry.methods[method].role}, but {task.name} runs {task.role}"
    declared = {**task.options, **{k: o for m in test.names for k, o in registry.methods[m].options.items()}}
    for where in ("where", "than_where", "gap_than_where"):
        for key, wanted in (getattr(test, where, None) or {}).items():
            yield from _wanted(f"{where}.{key}", key, wanted if isinstance(wanted, list) else [wanted], declared)


def _wanted(place: str, key: str, values: Sequence[object], declared: Mapping[str, Option]) -> Iterator[str]:
    fixed = {"dtype": get_args(Dtype), "device": DEVICE_KINDS}
    for value in values:
        if key in fixed:
            if value not in fixed[key]:
                yield f"{place} = {value!r}: {', '.join(fixed[key])} are allowed"
        elif key not in declared:
            yield _unknown(f"option in {place}", key, declared)
            return
        else:
            try:
                declared[key].read(value, place)
            except UsageError as error:
                yield str(error)


def decided(subject: Subject) -> Iterator[Problem | Note]:
    """Each claim is named by a suite that has the cells to decide it, with seeds enough."""
    suites = []
    for name in subject.registry.suites:
        try:
            suite = read_suite(name, subject.registry)
            if name not in subject.suites and not suite.claims.keys() & subject.claims.keys():
                continue
            suites.append(
                (suite, list(cells_of(suite, subject.registry, ("cpu", "cuda"), digest_of=lambda _: "digest")))
            )
        except HarnessError as error:
            if name in subject.suites:
                yield Problem(f"suite {name}: {error}", "'harness suite NAME --plan' shows what it comes to")
    for name, claim in subject.claims.items():
        test = claim.test
        holding = [cells for suite, cells in suites if name in suite.claims]
        if not holding:
            yield Problem(f"claim {name}: no suite names it", "add it to the claims of a suite; globs are allowed")
            continue
        if test is None or (test.task not in subject.registry.tasks):
            continue
        try:
            needed = [[c for c in cells if c.id in ids] for cells in holding if (ids := needed_cells(claim, cells))]
        except HarnessError as error:
            yield Problem(f"claim {name}: {error}", "correct its test")
            continue
        if not needed or any({c.method for c in cells} != set(test.names) for cells in needed):
            lack = (
                "a suite that names it lacks some of its methods" if needed else "no suite that names it has its cells"
            )
            yield Problem(f"claim {name}: {lack}", "cross its methods and settings in the suite")
            continue
        seeds = {len({c.seed for c in cells}) for cells in needed}
        if test.seeds == 1 and seeds != {1}:
            yield Problem(
                f"claim {name}: nothing in it depends on chance (seeds = 1), but its cells have {max(seeds)} seeds",
                "write seeds = 1 in the suite too, or drop it from the test",
            )
        elif test.seeds != 1 and min(seeds) < 3:
            yield Problem(
                f"claim {name}: its cells have fewer than 3 seeds",
                "write seeds = 5 in the suite, or seeds = 1 in the test if nothing depends on chance",
            )


def _has_claims(subject: Subject) -> bool:
    return bool(subject.claims)


def _has_code(subject: Subject) -> bool:
    return bool(subject.methods or subject.tasks or subject.workloads or subject.datasets)


CHECKS = (
    Check(
        "names", "names follow the rules, so that plugins cannot clash", names, lambda s: _has_code(s) or _has_claims(s)
    ),
    Check("metadata", "paper, licence, role, units and help are complete", metadata, _has_code),
    Check("options", "options are documented, and are those that the code takes", options, _has_code),
    Check("addresses", "code that is named by its address is there", addresses, _has_code),
    Check("roles", "roles and data sets that are named are there", roles, _has_code),
    Check("files", "claim and suite files are valid", files, lambda s: bool(s.claim_files or s.suites)),
    Check("claims", "claims speak of tasks, metrics, methods and options that are there", claims, _has_claims),
    Check("decided", "every claim can be decided by a suite", decided, lambda s: bool(s.claims or s.suites)),
)
