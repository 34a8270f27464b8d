"""Checks of a plugin's claims and suites: their files, what they name, and whether the suites decide the claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from harness.cell import Cell
from harness.errors import FileError, HarnessError, UnknownName, UsageError
from harness.files.claims import Claim, ClaimFile, Greater, Ratio, checks_of, has_chance
from harness.files.suite import LOOKS, Dtype, Suite, SuiteFile, read_suite
from harness.files.toml import read_toml
from harness.judge import needed_cells
from harness.judge.pairing import AnyTest, Statement, tested
from harness.numbers import plural
from harness.planning.cross import cells_of
from harness.registry import Registry
from harness.spec import DEVICE_KINDS, Option, Task
from harness_plugins.authors.findings import Check, Note, Problem, Subject


def files(subject: Subject) -> Iterator[Problem | Note]:
    """Claim and suite files follow their schema."""
    for path in subject.claim_files:
        yield from _schema_problems(path, "claim", ClaimFile)
    for path in subject.suites.values():
        yield from _schema_problems(path, "suite", SuiteFile)


def _schema_problems(path: Path, kind: str, schema: type[Any]) -> Iterator[Problem]:
    try:
        read_toml(path, schema)
    except FileError as error:
        yield Problem(str(error), f"'harness schema {kind}' prints what is allowed, for editors too")


def claims(subject: Subject) -> Iterator[Problem | Note]:
    """The test of a claim or check names a task, metric, methods and options that exist."""
    for name, check in subject.claim_checks.items():
        for message in _claim_problems(check, subject.registry):
            yield Problem(f"check {name}: {message}", "correct its test, or the plugin")
    for name, claim in subject.claims.items():
        test = claim.test
        if test is None:
            continue
        for message in _claim_problems(claim, subject.registry):
            yield Problem(f"claim {name}: {message}", "correct its test, or the plugin")
        if isinstance(test, (Greater, Ratio)) and _has_no_direction(test, subject.registry):
            yield Note(
                f"claim {name}: its metric {test.metric} does not say whether higher or lower is better; "
                "higher counts as better"
            )


def _has_no_direction(test: Greater | Ratio, registry: Registry) -> bool:
    tasks = [registry.tasks[name] for name in test.tasks if name in registry.tasks]
    metrics = [task.metrics[test.metric] for task in tasks if test.metric in task.metrics]
    return test.than is not None and any(metric.better is None for metric in metrics)


def _claim_problems(claim: Statement, registry: Registry) -> Iterator[str]:
    for name in tested(claim).tasks:
        if name in registry.tasks:
            yield from _problems_on(registry.tasks[name], tested(claim), registry)
        else:
            yield str(UnknownName("task", name, registry.tasks))


def _problems_on(task: Task, test: AnyTest, registry: Registry) -> Iterator[str]:
    """What is wrong with a test on one of its tasks."""
    if test.metric not in task.metrics:
        yield str(UnknownName(f"metric of {task.name}", test.metric, task.metrics))
    missing = [method for method in test.names if method not in registry.methods]
    yield from (str(UnknownName("method", method, registry.methods)) for method in missing)
    if missing:
        return
    for method in test.names:
        if registry.methods[method].role != task.role:
            yield f"{method} has the role {registry.methods[method].role}, but {task.name} runs {task.role}"
    declared = {**task.options, **{k: o for m in test.names for k, o in registry.methods[m].options.items()}}
    for condition in ("where", "than_where", "gap_than_where"):
        for key, value in (getattr(test, condition, None) or {}).items():
            values = value if isinstance(value, list) else [value]
            yield from _value_problems(f"{condition}.{key}", key, values, declared)


def _value_problems(place: str, key: str, values: Sequence[object], declared: Mapping[str, Option]) -> Iterator[str]:
    """What is wrong with the values of a key in ``where``."""
    fixed = {"dtype": get_args(Dtype), "device": DEVICE_KINDS}
    if key in fixed:
        allowed = ", ".join(fixed[key])
        yield from (f"{place} = {value!r}: {allowed} are allowed" for value in values if value not in fixed[key])
    elif key not in declared:
        yield str(UnknownName(f"option in {place}", key, declared))
    else:
        for value in values:
            try:
                declared[key].read(value, place)
            except UsageError as error:
                yield str(error)


def decided(subject: Subject) -> Iterator[Problem | Note]:
    """Each claim is named by a suite that has the cells to decide it, with enough seeds."""
    crossed: list[tuple[Suite, list[Cell]]] = []
    for name in subject.registry.suites:
        try:
            suite = read_suite(name, subject.registry)
            if name in subject.suites or suite.claims.keys() & subject.claims.keys():
                cells = cells_of(suite, subject.registry, ("cpu", "cuda"), digest_of=lambda _: "digest")
                crossed.append((suite, list(cells)))
        except HarnessError as error:
            if name in subject.suites:
                yield Problem(f"suite {name}: {error}", "'harness suite NAME --plan' shows its cells")
    for name, claim in subject.claims.items():
        cells_of_suites = [cells for suite, cells in crossed if name in suite.claims]
        try:
            problem = _undecided(claim, cells_of_suites, subject.registry)
        except HarnessError as error:
            problem = (str(error), "correct its test")
        if problem:
            yield Problem(f"claim {name}: {problem[0]}", problem[1])


def _undecided(claim: Claim, cells_of_suites: list[list[Cell]], registry: Registry) -> tuple[str, str] | None:
    """Why no suite decides the claim, and what to do about it; None if one does."""
    if not cells_of_suites:
        return "no suite names it", "add it to the claims of a suite; globs are allowed"
    test = claim.test
    if test is None or any(name not in registry.tasks for name in test.tasks):
        return None
    needed = [[c for c in cells if c.id in ids] for cells in cells_of_suites if (ids := needed_cells(claim, cells))]
    if not needed:
        return "no suite that names it has its cells", "cross its methods and settings in the suite"
    if any({cell.method for cell in cells} != set(test.names) for cells in needed):
        return "a suite that names it lacks some of its methods", "cross its methods and settings in the suite"
    fewest = min(len({cell.seed for cell in cells}) for cells in needed)
    if has_chance(claim, registry.tasks) and fewest < LOOKS[0]:
        return (
            f"its cells have {plural(fewest, 'seed')}, and the first look is at {LOOKS[0]}",
            f"write seeds = {LOOKS[0]} in the suite, or Metric(deterministic=True) in the task if it is so",
        )
    return None


def grounded(subject: Subject) -> Iterator[Problem | Note]:
    """Each claim in which chance has a part rests on a check."""
    registry = subject.registry
    for name, claim in subject.claims.items():
        if claim.test is None or any(task not in registry.tasks for task in claim.test.tasks):
            continue
        if has_chance(claim, registry.tasks) and not checks_of(claim, registry):
            yield Problem(
                f"claim {name}: it rests on no check, so an experiment in which nothing can show would contradict it",
                "add a [[check]] on its task with inherited = true, for example that the baseline beats chance",
            )


CHECKS = (
    Check(
        "files",
        "claim and suite files are valid",
        files,
        lambda subject: bool(subject.claim_files or subject.suites),
    ),
    Check(
        "claims",
        "claims name tasks, metrics, methods and options that exist",
        claims,
        lambda subject: bool(subject.claims or subject.claim_checks),
    ),
    Check(
        "grounded",
        "every claim with chance in it rests on a check",
        grounded,
        lambda subject: bool(subject.claims),
    ),
    Check(
        "decided",
        "every claim is decided by a suite",
        decided,
        lambda subject: bool(subject.claims or subject.suites),
    ),
)
