"""Plans and made-up records of suites that tune, for tests in several folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.cell import Cell, Record
from harness.judge import SuiteResult, judge_plan
from harness.planning.plan import Plan, make_plan
from harness.planning.request import Request
from harness.registry import Registry, load_registry

PLUGIN = Path(__file__).parent / "tuned"
SEEDS = "seeds = 5\n"
GRID = 'tune = { by = "valid_accuracy", rate = [0.001, 0.01, 0.1, 1.0] }'
RATES = (0.001, 0.01, 0.1, 1.0)
#: Small differences between seeds, so that there is an interval.
JITTER = (0.0, 0.001, -0.001, 0.002, -0.002)


@cache
def registry() -> Registry:
    return load_registry([str(PLUGIN)])


def suite_text(*blocks: str, claims: str = "tuned/new-is-better", methods: str = '["new", "old"]') -> str:
    """A suite with these blocks: of each the lines beside task and methods."""
    head = f'title = "Tuned"\nclaims = ["{claims}"]\n' if claims else 'title = "Tuned"\n'
    parts = [
        "\n[[cross]]\n"
        + (block if "task" in block else f'task = "tuned/fit"\n{block}')
        + ("" if "methods" in block else f"\nmethods = {methods}")
        for block in blocks
    ]
    return head + "\n".join(parts) + "\n"


def plan_of(folder: Path, *blocks: str, request: Mapping[str, Any] | None = None, **of_suite: str) -> Plan:
    """The plan of a suite with these blocks, in a results folder that has no records."""
    path = folder / "tuned.toml"
    path.write_text(suite_text(*blocks, **of_suite), encoding="utf-8")
    return make_plan(Request(suite=str(path), results=folder / "results", **(request or {})), registry())


def record(
    cell: Cell, status: str = "done", cause: str | None = None, seconds: float = 1.0, **metrics: float
) -> Record:
    """The record of a cell with these metrics."""
    axes = {
        name: getattr(cell, name) for name in ("id", "suite", "method", "task", "options", "device", "dtype", "seed")
    }
    return Record(**axes, status=status, cause=cause, metrics=metrics, seconds=seconds, code=cell.code)  # type: ignore[arg-type]


def measured(plan: Plan, numbers: Callable[[Cell], tuple[float, float] | Record | None]) -> dict[str, Record]:
    """A record for each cell of the plan: accuracy on validation and on test, or a whole record, or none."""
    records = {}
    for cell in plan.scope:
        outcome = numbers(cell)
        if isinstance(outcome, Record):
            records[cell.id] = outcome
        elif outcome is not None:
            records[cell.id] = record(cell, valid_accuracy=outcome[0], accuracy=outcome[1])
    return records


def judged(plan: Plan, numbers: Callable[[Cell], tuple[float, float] | Record | None]) -> SuiteResult:
    """What these records come to."""
    records = measured(plan, numbers)
    return judge_plan(replace(plan, records=records), records)


def jitter(cell: Cell) -> float:
    """A small difference between seeds."""
    return JITTER[cell.seed % 5] * (1 if cell.method == "new" else -1)


def curve(by_rate: Mapping[str, Sequence[tuple[float, ...]]]) -> Callable[[Cell], Any]:
    """Validation and test by method and rate, the same under every seed but for a little."""
    return lambda cell: tuple(x + jitter(cell) for x in by_rate[cell.method][RATES.index(cell.options["rate"])])


def alike(new: Sequence[float], old: Sequence[float]) -> Callable[[Cell], Any]:
    """Validation and test are the same number."""
    return curve({"new": [(x, x) for x in new], "old": [(x, x) for x in old]})


def scores(result: SuiteResult, method: str, metric: str = "accuracy") -> dict[int, float]:
    """The test score of each study that has ended, by seed."""
    return {
        cell.seed: result.outcomes[cell.id].metrics[metric]
        for cell in result.cells
        if cell.method == method and cell.id in result.outcomes
    }
