"""Small plans, records and claims to judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from harness.cell import Cell, Record
from harness.files.claims import Check, Claim
from harness.files.suite import LOOKS
from harness.judge import Verdict, judge
from harness.spec import Metric, Scalar, Task

TASK = Task(
    name="toy/fit",
    role="toy",
    run="math:hypot",
    metrics={
        "score": Metric(better="higher"),
        "error": Metric(better="lower"),
        "violations": Metric(deterministic=True),
        "diagnostic": Metric(),
        "sure": Metric(better="higher", deterministic=True),
    },
    test_set="fixed",
)
OTHER = replace(TASK, name="toy/other", test_set="redrawn")
TASKS = {TASK.name: TASK, OTHER.name: OTHER}

#: Differences of three seeds: far from 0, and on both sides of it.
CLEAR = [0.9, 1.0, 1.1]
NOISY = [-0.9, 1.0, 1.1]


def cell(method: str, seed: int = 0, **axes: Any) -> Cell:
    """One cell. Keywords that are no axis are options."""
    defaults = {"suite": "toy", "task": TASK.name, "device": "cpu", "dtype": "float32", "code": "0", "skip": None}
    fields = {key: axes.pop(key, default) for key, default in defaults.items()}
    return Cell(method=method, seed=seed, options=axes, **fields)


def cross(methods: Iterable[str], seeds: int, **axes: Sequence[Scalar]) -> list[Cell]:
    """Every method under every combination of the axes and every seed."""
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return [cell(m, s, **point) for m in methods for point in points for s in range(seeds)]


def record(of: Cell, status: str = "done", cause: str | None = None, **fields: Any) -> Record:
    """The record of a cell. Keywords with the name of a metric are its metrics."""
    metrics = {name: fields.pop(name) for name in TASK.metrics if name in fields}
    axes = {name: getattr(of, name) for name in ("id", "suite", "method", "task", "options", "device", "dtype", "seed")}
    return Record(**axes, status=status, cause=cause, metrics=metrics, **fields)  # type: ignore[arg-type]


def measured(cells: Iterable[Cell], value: Callable[[Cell], float], metric: str = "score") -> dict[str, Record]:
    """A good record for every cell."""
    return {c.id: record(c, **{metric: value(c)}) for c in cells}


def claim(name: str = "toy/claim", article: str = "example.org/1", **test: Any) -> Claim:
    """A claim with this test, by default on the score of method a in the toy task.

    Keywords that are fields of a claim are that; the others are its test's.
    """
    fields = {key: test.pop(key) for key in ("origin", "primary", "fidelity", "checks") if key in test}
    content = {"metric": "score", "task": TASK.name, "method": "a", **test}
    source = {"article": article}
    return Claim.model_validate({"id": name, "says": "a is better", "source": source, "test": content, **fields})


def check(name: str = "toy/check", kind: str = "precondition", inherited: bool = False, **test: Any) -> Check:
    """A check with this test, by default that the score of method a in the toy task is above 0."""
    content = {"kind": "greater", "value": 0.0, "metric": "score", "task": TASK.name, "method": "a", **test}
    fields = {"id": name, "says": "a has learned", "kind": kind, "inherited": inherited, "test": content}
    return Check.model_validate(fields)


def verdict(
    of: Claim, cells: Iterable[Cell], records: Mapping[str, Record], looks: Sequence[int] | None = None
) -> Verdict:
    """The only verdict on one claim; by default at one look at all the seeds that there are, at the level 0.05."""
    cells = list(cells)
    looks = looks or [max(3, len({c.seed for c in cells}))]
    (only,) = judge({of.id: of}, cells, records, TASKS, looks)
    return only


def judged(differences: Sequence[float], metric: str = "score", **test: Any) -> Verdict:
    """The verdict at one look at all the seeds, when a minus b has these differences by seed."""
    cells, records = by_seed(differences, metric)
    return verdict(claim(**{"than": "b", "metric": metric, **test}), cells, records)


def planned_verdict(differences: Sequence[float], metric: str = "score", **test: Any) -> Verdict:
    """The verdict at the looks that suites have, when a minus b has these differences by seed."""
    cells, records = by_seed(differences, metric)
    return verdict(claim(**{"kind": "greater", "than": "b", "metric": metric, **test}), cells, records, LOOKS)


def by_seed(differences: Sequence[float], metric: str = "score") -> tuple[list[Cell], dict[str, Record]]:
    """Cells and records of methods a and b, whose metrics have these differences by seed."""
    cells = cross("ab", len(differences))
    return cells, measured(cells, lambda c: 10.0 + (differences[c.seed] if c.method == "a" else 0.0), metric)
