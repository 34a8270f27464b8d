"""Results of suites as a run leaves them, and what a tracking store shows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pluggy

from harness import hookspecs
from harness.cell import Cell, Record
from harness.files.claims import Claim
from harness.files.suite import Suite
from harness.judge import SuiteResult, judge_plan
from harness.planning.plan import Plan
from harness.planning.request import Request
from harness.registry import Registry
from harness.running.execute import record_of
from harness.running.watchers import Watchers
from harness.spec import Dataset, Metric, Place, Task
from harness_plugins.tracking.writer import MlflowWatcher, tracking_uri

TASK = Task(
    name="contrastive/digits",
    role="contrastive-loss",
    run="math:hypot",
    metrics={"accuracy": Metric(better="higher"), "loss": Metric(better="lower")},
    datasets=("digits",),
)


DIGITS = Dataset(
    name="digits", licence="CC0", load="m:f", files={"x": ("0" * 64,)}, places=(Place(url="https://host/digits"),)
)


REGISTRY = Registry(
    plugins={},
    roles={},
    methods={},
    tasks={TASK.name: TASK},
    workloads={},
    datasets={"digits": DIGITS},
    figures={},
    engines={},
    suites={},
    claim_files=(),
    owners={},
    extra=(),
    manager=pluggy.PluginManager("harness"),
)


def claim(name: str, **test: Any) -> Claim:
    return Claim.model_validate(
        {
            "id": f"flatnce/{name}",
            "says": "FlatNCE is more accurate",
            "source": {"article": "arxiv.org/abs/2107.01152", "id": "F-1"},
            "origin": "paper",
            "primary": name == "small",
            "paper": {"flatnce": 0.893, "infonce": 0.871, "unit": "fraction"},
            "test": {"task": TASK.name, "metric": "accuracy", "method": "flatnce", **test},
        }
    )


CLAIMS = (
    claim("small", kind="greater", than="infonce", where={"batch_size": [8]}),
    claim("large", kind="greater", than="infonce", by=0.5, where={"batch_size": [32]}),
    claim("elsewhere", kind="greater", than="triplet"),
)


def cells(suite: str = "contrastive", seeds: int = 5, code: str = "c0de") -> tuple[Cell, ...]:
    return tuple(
        Cell(
            suite,
            method,
            TASK.name,
            {"batch_size": size, "width": 64},
            "cpu",
            "float32",
            seed,
            code,
            {"digits": "d" * 32},
        )
        for method in ("flatnce", "infonce")
        for size in (8, 32)
        for seed in range(seeds)
    )


def done(cell: Cell, **more: Any) -> Record:
    """A record with a mean that depends on the method and values that depend on the seed."""
    accuracy = (0.9 if cell.method == "flatnce" else 0.8 - 0.002 * cell.seed) + 0.001 * cell.seed**2
    fields = {
        "metrics": {"accuracy": accuracy, "loss": 0.5},
        "curves": {"loss": [(0, 3.0), (10, 1.0)]},
        "seconds": 2.0,
        "peak_bytes": 3_000_000,
        "environment": "e" * 16,
        "started": f"2026-01-15T10:00:{cell.seed:02}.000+00:00",
    }
    return record_of(cell, "done", None, **{**fields, **more})


def suite_result(
    results: Path,
    scope: Sequence[Cell] = cells(),
    make: Callable[[Cell], Record] = done,
    claims: Sequence[Claim] = CLAIMS,
) -> SuiteResult:
    name = scope[0].suite
    suite = Suite(name, Path(f"{name}.toml"), "Losses at small batch sizes", (), {c.id: c for c in claims})
    records = {cell.id: make(cell) for cell in scope}
    plan = Plan(
        suite=suite,
        registry=REGISTRY,
        request=Request(suite=name, results=results),
        scope=tuple(scope),
        cells=tuple(scope),
        todo=tuple(scope),
        records=records,
        results=results,
    )
    return judge_plan(plan, records)


@dataclass(frozen=True)
class Stored:
    """What a run in a store shows."""

    id: str
    kind: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    data: tuple[tuple[str, str], ...]
    parent: str


def stored_runs(results: Path, to: str | None = None, suite: str = "contrastive") -> dict[str, Stored]:
    """The active runs of a suite, by name."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(results, to))
    runs = client.search_runs([client.get_experiment_by_name(suite).experiment_id], max_results=5000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    assert len(set(names.values())) == len(names), "two runs share a name"
    return {
        run.info.run_name: Stored(
            id=run.info.run_id,
            kind=run.data.tags["harness.kind"],
            status=run.info.status,
            params=run.data.params,
            metrics=run.data.metrics,
            tags={k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"},
            data=tuple((i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs),
            parent=names[run.data.tags["mlflow.parentRunId"]] if "mlflow.parentRunId" in run.data.tags else "",
        )
        for run in runs
    }


def without_ids(runs: dict[str, Stored]) -> dict[str, Stored]:
    return {name: replace(run, id="") for name, run in runs.items()}


def live(result: SuiteResult, *watchers: MlflowWatcher) -> None:
    """Call the watchers' hooks as a run of the plan does."""
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    run = replace(result.plan, records={}).run
    called = Watchers(replace(REGISTRY, manager=manager), watchers)
    called.call("harness_suite_started", run=run)
    for cell in run.cells:
        called.call("harness_cell_finished", run=run, cell=cell, record=result.records[cell.id])
    called.call("harness_suite_finished", run=run, result=result)
