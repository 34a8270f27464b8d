"""MLflow shows what the records say: once, whoever writes it and however often, and never at a result's expense."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pluggy
import pytest

from harness import hookspecs
from harness.claims import Claim
from harness.errors import HarnessError, UnknownName, UsageError
from harness.execute import record_of
from harness.plan import Session
from harness.records import Record
from harness.registry import Registry
from harness.request import Request
from harness.session import SuiteResult, judged
from harness.spec import Cell, Dataset, Metric, Place, Task
from harness.suite import Suite
from harness.watchers import watching
from harness_plugins.tracking import writer as tracking
from harness_plugins.tracking.server import experiment_url, serve, ui_command
from harness_plugins.tracking.view import SuiteViews
from harness_plugins.tracking.writer import MlflowWatcher, Published, publish, tracking_uri

pytestmark = [
    # Raised while MLflow is imported and by the libraries under it.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

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
    methods={},
    tasks={TASK.name: TASK},
    workloads={},
    datasets={"digits": DIGITS},
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
            "paper": {"flatnce": 0.893, "infonce": 0.871, "unit": "fraction"},
            "test": {"task": TASK.name, "metric": "accuracy", "method": "flatnce", **test},
        }
    )


CLAIMS = (
    claim("small", kind="greater", than="infonce", where={"batch_size": [8]}),
    claim("large", kind="greater", than="infonce", by=0.5, where={"batch_size": [32]}),
    claim("elsewhere", kind="greater", than="triplet"),
)


def cells(suite: str = "contrastive", seeds: int = 3, code: str = "c0de") -> tuple[Cell, ...]:
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
    accuracy = (0.9 if cell.method == "flatnce" else 0.8) + 0.001 * cell.seed**2
    given = {
        "metrics": {"accuracy": accuracy, "loss": 0.5},
        "curves": {"loss": [(0, 3.0), (10, 1.0)]},
        "seconds": 2.0,
        "peak_bytes": 3_000_000,
        "environment": "e" * 16,
        "started": f"2026-01-15T10:00:{cell.seed:02}.000+00:00",
    }
    return record_of(cell, "done", None, **{**given, **more})


def outcome(
    results: Path,
    scope: Sequence[Cell] = cells(),
    make: Callable[[Cell], Record] = done,
    claims: Sequence[Claim] = CLAIMS,
) -> SuiteResult:
    name = scope[0].suite
    suite = Suite(name, Path(f"{name}.toml"), "Losses at small batch sizes", (), {c.id: c for c in claims})
    records = {cell.id: make(cell) for cell in scope}
    session = Session(
        suite=suite,
        registry=REGISTRY,
        request=Request(suite=name, results=results),
        scope=tuple(scope),
        cells=tuple(scope),
        todo=tuple(scope),
        records=records,
        results=results,
    )
    return judged(session, records)


@dataclass(frozen=True)
class Shown:
    """What a run in a store shows."""

    id: str
    kind: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    data: tuple[tuple[str, str], ...]
    parent: str


def shown(results: Path, to: str | None = None, suite: str = "contrastive") -> dict[str, Shown]:
    """The active runs of a suite, by name."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(results, to))
    runs = client.search_runs([client.get_experiment_by_name(suite).experiment_id], max_results=5000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    assert len(set(names.values())) == len(names), "two runs share a name"
    return {
        run.info.run_name: Shown(
            id=run.info.run_id,
            kind=run.data.tags["harness.kind"],
            status=run.info.status,
            params=run.data.params,
            metrics=run.data.metrics,
            tags={k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"},
            data=tuple((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs),
            parent=names[run.data.tags["mlflow.parentRunId"]] if "mlflow.parentRunId" in run.data.tags else "",
        )
        for run in runs
    }


def without_ids(runs: dict[str, Shown]) -> dict[str, Shown]:
    return {name: replace(run, id="") for name, run in runs.items()}


def live(result: SuiteResult, *watchers: MlflowWatcher) -> None:
    """Tell watchers of a run as the session does."""
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    session = replace(result.session, records={})
    with watching(replace(REGISTRY, manager=manager), watchers) as told:
        told.call("harness_suite_started", session=session)
        for cell in session.scope:
            told.call("harness_cell_finished", session=session, cell=cell, record=result.records[cell.id])
        told.call("harness_suite_finished", session=session, result=result)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_TRACKING", raising=False)
    for name, value in tracking.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs: making its tables takes longer than any test."""
    results = tmp_path_factory.mktemp("migrated")
    tracking.Experiment(outcome(results, cells("none")).session)
    return results / "mlflow.db"


@pytest.fixture
def results(tmp_path: Path, migrated: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(migrated, folder)
    return folder


def test_publishing_after_a_live_run_changes_nothing(results: Path) -> None:
    result = outcome(results)
    live(result, MlflowWatcher())
    first = shown(results)
    assert [run.kind for run in first.values()].count("summary") == 4
    assert [run.kind for run in first.values()].count("seed") == 12
    assert [run.kind for run in first.values()].count("claim") == 3
    assert publish(result) == publish(result) == Published(unchanged=19)
    assert shown(results) == first


def test_live_run_and_publishing_show_the_same(results: Path, migrated: Path, tmp_path: Path) -> None:
    result = outcome(results)
    live(result, MlflowWatcher())
    other = f"sqlite:///{tmp_path / 'other.db'}"
    shutil.copy(migrated, tmp_path / "other.db")
    assert publish(result, other) == Published(created=19)
    assert without_ids(shown(results, other)) == without_ids(shown(results))


def test_running_suite_shows_its_first_seeds_under_a_running_setting(results: Path) -> None:
    result = outcome(results)
    experiment = tracking.Experiment(result.session)
    for cell in result.session.scope[:2]:
        experiment.put_record(result.records[cell.id])
    runs = shown(results)
    name = "flatnce · batch_size=8"
    assert {run: (s.status, s.parent) for run, s in runs.items()} == {
        name: ("RUNNING", ""),
        f"seed 0 · {name}": ("FINISHED", name),
        f"seed 1 · {name}": ("FINISHED", name),
    }


def test_setting_shows_mean_interval_cost_and_verdicts(results: Path) -> None:
    publish(outcome(results))
    run = shown(results)["flatnce · batch_size=8"]
    values = [0.9, 0.901, 0.904]
    half = 2.919986 * math.sqrt(sum((v - fmean(values)) ** 2 for v in values) / 2 / 3)  # t(0.95, 2), from a table
    assert run.metrics["accuracy"] == pytest.approx(fmean(values))
    assert run.metrics["accuracy.low"] == pytest.approx(fmean(values) - half, abs=1e-6)
    assert run.metrics["accuracy.high"] == pytest.approx(fmean(values) + half, abs=1e-6)
    assert {name: run.metrics[name] for name in ("n", "seconds", "peak_mb")} == {"n": 3, "seconds": 2, "peak_mb": 3}
    assert run.tags["claim.flatnce/small"] == "reproduced"
    assert "claim.flatnce/large" not in run.tags
    assert run.tags["interval.accuracy"] == "0.9017 [0.8982, 0.9052]"
    assert run.params == {
        "method": "flatnce",
        "task": TASK.name,
        "device": "cpu",
        "dtype": "float32",
        "batch_size": "8",
        "width": "64",
    }
    assert run.data == (("digits", "d" * 32),)


def test_seed_stands_under_its_setting_with_its_curve(results: Path) -> None:
    from mlflow import MlflowClient

    result = outcome(results)
    publish(result)
    run = shown(results)["seed 2 · flatnce · batch_size=8"]
    assert run.parent == "flatnce · batch_size=8"
    assert run.metrics["accuracy"] == 0.904
    assert run.params["seed"] == "2"
    assert run.tags["harness.record"] in result.records
    history = MlflowClient(tracking_uri(results)).get_metric_history(run.id, "curve/loss")
    assert [(point.step, point.value) for point in history] == [(0, 3.0), (10, 1.0)]


def test_claim_shows_verdict_and_the_papers_figures(results: Path) -> None:
    publish(outcome(results))
    runs = shown(results)
    run = runs["flatnce/small"]
    assert (run.tags["verdict"], run.tags["fidelity"], run.status) == ("reproduced", "proxy", "FINISHED")
    assert run.tags["sentence"].startswith("reproduced: flatnce is better than infonce by 0.1")
    assert run.tags["source"] == "arxiv.org/abs/2107.01152 F-1"
    assert run.metrics["paper.flatnce"] == 0.893
    assert run.metrics["here.infonce"] == pytest.approx(fmean([0.8, 0.801, 0.804]))
    assert run.metrics["estimate"] == pytest.approx(0.1)
    assert run.tags["paper.unit"] == "fraction"
    assert runs["flatnce/large"].tags["verdict"] == "contradicted"
    assert (runs["flatnce/elsewhere"].tags["verdict"], runs["flatnce/elsewhere"].status) == ("not-run", "SCHEDULED")
    assert "triplet" in runs["flatnce/elsewhere"].tags["cause"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("failed", "FAILED"), ("crashed", "FAILED"), ("timeout", "FAILED"), ("skipped", "KILLED")],
)
def test_cell_that_did_not_end_well_shows_its_cause(results: Path, status: Any, expected: str) -> None:
    bad = {cells()[1].id, *(cell.id for cell in cells()[3:6])}
    publish(outcome(results, make=lambda c: record_of(c, status, "it broke") if c.id in bad else done(c)))
    runs = shown(results)
    seed = runs["seed 1 · flatnce · batch_size=8"]
    assert (seed.status, seed.tags["cause"]) == (expected, "it broke")
    assert runs["seed 0 · flatnce · batch_size=8"].status == "FINISHED"
    assert runs["flatnce · batch_size=8"].status == "FINISHED"
    assert runs["flatnce · batch_size=8"].tags["cause"] == "1 of 3 seeds: it broke"
    assert runs["flatnce · batch_size=8"].metrics["n"] == 2
    assert runs["flatnce · batch_size=32"].status == expected


def test_number_that_is_not_finite_is_left_out_and_named(results: Path) -> None:
    publish(
        outcome(results, make=lambda c: done(c, metrics={"accuracy": 0.9, "loss": math.inf if c.seed else math.nan}))
    )
    runs = shown(results)
    assert "loss" not in runs["seed 1 · infonce · batch_size=8"].metrics
    assert runs["seed 1 · infonce · batch_size=8"].tags["not_finite"] == "loss = inf"
    assert runs["seed 0 · infonce · batch_size=8"].tags["not_finite"] == "loss = nan"
    assert "loss = nan" in runs["infonce · batch_size=8"].tags["not_finite"]
    assert all(math.isfinite(v) and abs(v) < 1e308 for run in runs.values() for v in run.metrics.values())


def test_more_points_than_mlflow_takes_at_once_are_all_written(results: Path) -> None:
    from mlflow import MlflowClient

    curves = {name: [(step, float(step)) for step in range(300)] for name in "abcd"}
    publish(outcome(results, cells(seeds=1)[:1], make=lambda c: done(c, curves=curves), claims=()))
    client = MlflowClient(tracking_uri(results))
    run = next(run for run in shown(results).values() if run.kind == "seed")
    assert [len(client.get_metric_history(run.id, f"curve/{name}")) for name in "abcd"] == [300] * 4


def test_more_seeds_update_the_setting_in_place(results: Path) -> None:
    live(outcome(results), MlflowWatcher())
    before = shown(results)
    result = outcome(results, cells(seeds=5))
    live(result, MlflowWatcher())
    after = shown(results)
    name = "flatnce · batch_size=8"
    assert after[name].id == before[name].id
    assert (before[name].metrics["n"], after[name].metrics["n"]) == (3, 5)
    assert after[name].metrics["accuracy"] == pytest.approx(fmean(0.9 + 0.001 * s**2 for s in range(5)))
    assert [run.parent for run in after.values()].count(name) == 5
    assert after["flatnce/small"].id == before["flatnce/small"].id
    assert after["flatnce/small"].metrics["n"] == 5
    assert publish(result) == Published(unchanged=27)


def test_more_looks_in_one_run_are_followed(results: Path) -> None:
    watcher = MlflowWatcher()
    first, second = outcome(results), outcome(results, cells(seeds=5))
    for result in (first, second):
        watcher.harness_suite_started(replace(result.session, records={}))
        for record in result.records.values():
            watcher.harness_cell_finished(record)
    watcher.harness_suite_finished(second)
    assert publish(second) == Published(unchanged=27)


def test_cell_run_afresh_replaces_its_run(results: Path) -> None:
    from mlflow import MlflowClient

    publish(outcome(results))
    before = shown(results)
    other = {"seconds": 9.0, "curves": {"loss": [(5, 2.0)]}}
    again = outcome(results, make=lambda c: done(c, **other) if c.id == cells()[0].id else done(c))
    assert publish(again) == Published(updated=1, replaced=1, unchanged=17)
    after = shown(results)
    name = "seed 0 · flatnce · batch_size=8"
    assert after[name].id != before[name].id
    assert after[name].metrics["seconds"] == 9
    history = MlflowClient(tracking_uri(results)).get_metric_history(after[name].id, "curve/loss")
    assert [(point.step, point.value) for point in history] == [(5, 2.0)]
    assert after[name].parent == "flatnce · batch_size=8"


def test_runs_of_other_code_give_way(results: Path) -> None:
    publish(outcome(results, cells(seeds=5)))
    result = outcome(results, cells(seeds=3, code="new"))
    assert publish(result).deleted == 8
    assert [run.kind for run in shown(results).values()].count("seed") == 12
    assert publish(result) == Published(unchanged=19)


def test_claim_taken_out_of_the_suite_goes(results: Path) -> None:
    publish(outcome(results))
    assert publish(outcome(results, claims=CLAIMS[1:])).deleted == 1
    runs = shown(results)
    assert "flatnce/small" not in runs
    assert "claim.flatnce/small" not in runs["flatnce · batch_size=8"].tags


def test_number_that_is_no_longer_known_goes(results: Path) -> None:
    publish(outcome(results))
    failing = outcome(results, make=lambda c: record_of(c, "failed", "no") if c.method == "infonce" else done(c))
    publish(failing)
    runs = shown(results)
    assert runs["flatnce/small"].tags["verdict"] == "not-run"
    assert "estimate" not in runs["flatnce/small"].metrics
    assert "accuracy" not in runs["infonce · batch_size=8"].metrics
    assert [run.parent for run in runs.values()].count("infonce · batch_size=8") == 3
    assert publish(failing) == Published(unchanged=19)


def test_what_somebody_deleted_comes_back(results: Path) -> None:
    from mlflow import MlflowClient

    result = outcome(results)
    publish(result)
    before = shown(results)
    client = MlflowClient(tracking_uri(results))
    client.delete_run(before["flatnce · batch_size=8"].id)
    client.set_tag(before["infonce · batch_size=8"].id, "mine", "kept")
    assert publish(result) == Published(created=1, unchanged=18)
    after = shown(results)
    assert [run.parent for run in after.values()].count("flatnce · batch_size=8") == 3
    assert after["infonce · batch_size=8"].tags["mine"] == "kept"
    client.delete_experiment(client.get_experiment_by_name("contrastive").experiment_id)
    publish(result)
    assert without_ids(shown(results)) == without_ids(after)


def test_writing_cut_short_anywhere_is_completed(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    result = outcome(results, cells(seeds=1))
    for number, name in enumerate(("create_run", "log_inputs", "set_terminated", "log_batch", "log_batch"), start=2):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, name, failing_from(number, getattr(MlflowClient, name)))
            with pytest.raises(HarnessError, match="cannot be written: OSError: disk full"):
                publish(result)
    publish(result)
    runs = shown(results)
    assert all(run.status in ("FINISHED", "SCHEDULED") for run in runs.values())
    assert all(
        run.metrics["accuracy"] == (0.9 if "flat" in n else 0.8) for n, run in runs.items() if run.kind != "claim"
    )
    assert publish(result) == Published(unchanged=len(runs))


def failing_from(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    calls = iter(range(1, 10_000))

    def call(*arguments: Any, **named: Any) -> Any:
        if next(calls) >= number:
            raise OSError("disk full")
        return function(*arguments, **named)

    return call


def test_fresh_store_in_a_relative_folder_is_made_silently_and_nothing_beside_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr(tracking, "_SILENCE", 60)
    results = Path("my results, 100%")
    results.mkdir()
    live(outcome(results, cells(seeds=1)), MlflowWatcher())
    monkeypatch.chdir("/")
    told = "'harness ui --results 'my results, 100%'' shows the runs in MLflow\n"
    assert capfd.readouterr() == ("", told), "MLflow's own log of migrations is not for the user"
    store = tracking_uri(tmp_path / results)
    assert store == f"sqlite:////{(tmp_path / results / 'mlflow.db').relative_to('/')}"
    experiment = MlflowClient(store).get_experiment_by_name("contrastive")
    assert experiment.artifact_location == (tmp_path / results / "artifacts").as_uri()
    assert [path.name for path in tmp_path.iterdir()] == [results.name]
    assert {path.name for path in (tmp_path / results).iterdir()} == {"mlflow.db", ".mlflow.lock"}


def watch(results: Path, suite: str) -> None:
    live(outcome(results, cells(suite, seeds=2)), MlflowWatcher())


def test_two_processes_begin_one_store_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    suites = [spawn.Process(target=watch, args=(tmp_path, suite)) for suite in ("contrastive", "matching")]
    for process in suites:
        process.start()
    for process in suites:
        process.join()
    assert shown(tmp_path).keys() == shown(tmp_path, suite="matching").keys()
    assert len(shown(tmp_path)) == 15


def test_server_that_is_down_costs_a_warning(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin = time.monotonic()
    live(outcome(results), MlflowWatcher("http://127.0.0.1:1"))
    assert time.monotonic() - begin < 10
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("warning: MLflow store http://127.0.0.1:1 is not complete: MlflowException: ")
    assert said.endswith("'harness publish' completes it")
    with pytest.raises(HarnessError, match=r"http://127\.0\.0\.1:1 cannot be written"):
        publish(outcome(results), "http://127.0.0.1:1")


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Takes connections and never answers."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for thread in threading.enumerate():
            if thread.name == "harness-mlflow":
                thread.join()


def test_server_that_never_answers_is_given_up(
    results: Path, silent_server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_SILENCE", 0.1)
    monkeypatch.setattr(tracking, "_PATIENCE", 0.3)
    begin = time.monotonic()
    live(outcome(results), MlflowWatcher(silent_server))
    assert time.monotonic() - begin < 1.5
    progress, warning = capsys.readouterr().err.strip().splitlines()
    assert progress == "writing 19 runs to MLflow ..."
    assert "it did not answer in time" in warning


def test_without_mlflow_there_is_one_note(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_installed", lambda: False)
    watcher = MlflowWatcher()
    result = outcome(results)
    live(result, watcher)
    live(result, watcher)
    assert capsys.readouterr().err == "note: MLflow is not installed; 'harness publish' makes the runs where it is\n"
    with pytest.raises(UsageError, match="not installed"):
        publish(result)


def test_tracking_can_be_turned_off_and_pointed_elsewhere(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (results / "mlflow.db").rename(results.parent / "elsewhere.db")
    monkeypatch.setenv("HARNESS_TRACKING", "off")
    live(outcome(results), MlflowWatcher())
    monkeypatch.setenv("HARNESS_TRACKING", "sqlite:///elsewhere.db")
    live(outcome(results), MlflowWatcher())
    assert not (results / "mlflow.db").exists()
    assert len(shown(results, "sqlite:///elsewhere.db")) == 19
    with pytest.raises(UsageError, match="'runs' is no tracking URI"):
        publish(outcome(results), "runs")


def test_name_says_what_varies_and_nothing_else() -> None:
    def names(scope: Sequence[Cell]) -> list[str]:
        result = outcome(Path("results"), scope)
        views = SuiteViews(result.session).all(result.records, result.summaries, result.verdicts)
        return [view.name for view in views if view.kind == "summary"]

    assert names(cells(seeds=1)[:1]) == ["flatnce"]
    assert names(cells(seeds=1))[:2] == ["flatnce · batch_size=8", "flatnce · batch_size=32"]
    assert names([replace(c, device=d) for c in cells(seeds=1)[:1] for d in ("cpu", "cuda")]) == [
        "flatnce · cpu",
        "flatnce · cuda",
    ]
    assert names([replace(cells()[0], dtype="bfloat16")]) == ["flatnce · bfloat16"]


def test_suite_opens_in_its_order_with_a_view_for_each_question(results: Path) -> None:
    from mlflow import MlflowClient

    publish(outcome(results))
    client = MlflowClient(tracking_uri(results))
    experiment = client.get_experiment_by_name("contrastive")
    assert experiment.tags["mlflow.note.content"] == "Losses at small batch sizes"
    found = {}
    for view in ("methods", "claims", "seeds"):
        state = json.loads(json.loads(experiment.tags[f"mlflow.sharedViewState.{view}"])["state"])
        assert experiment_url(results, "contrastive", 5000, view).endswith(f"viewStateShareKey={view}")
        runs = client.search_runs([experiment.experiment_id], state["searchFilter"], order_by=["start_time DESC"])
        found[view] = [run.info.run_name for run in runs]
        kinds = {"metrics": "metrics", "tags": "tags", "params": "params"}
        for column in state["selectedColumns"]:
            kind, _, name = column.rstrip("`").partition(".`")
            assert any(name in getattr(run.data, kinds[kind]) for run in runs) or name == "cause", column
    assert found["methods"] == [f"{m} · batch_size={b}" for m in ("flatnce", "infonce") for b in (8, 32)]
    assert found["claims"] == ["flatnce/small", "flatnce/large", "flatnce/elsewhere"]
    assert len(found["seeds"]) == 16


def test_pages_need_a_store_and_a_known_suite(results: Path, tmp_path: Path) -> None:
    for ask in (lambda: ui_command(tmp_path, 5000), lambda: experiment_url(tmp_path, None, 5000)):
        with pytest.raises(UsageError, match="no MLflow store yet: 'harness suite NAME' writes one"):
            ask()
    publish(outcome(results, cells(seeds=1)))
    with pytest.raises(UnknownName, match="did you mean 'contrastive'"):
        experiment_url(results, "contrastiv", 5000)
    assert experiment_url(results, None, 5001) == "http://127.0.0.1:5001/#/experiments?workflowType=machine_learning"
    command = ui_command(Path("results"), 5001)
    assert command[: command.index("mlflow") + 1] == [sys.executable, "-m", "mlflow"]
    assert f"sqlite:///{results}/mlflow.db" in command
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_importing_it_does_not_import_mlflow() -> None:
    modules = "harness_plugins.tracking.writer, harness_plugins.tracking.server"
    code = f"import sys, {modules}; print({{'mlflow', 'torch', 'scipy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_port_that_is_taken_is_no_server_of_ours(results: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(UsageError, match="is taken by another"):
        serve(results, other.getsockname()[1])


@pytest.mark.slow
def test_server_that_cannot_start_says_why(results: Path) -> None:
    (results / "mlflow.db").write_text("no database at all, only a few words that somebody put here")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(HarnessError, match=r"did not come up on port \d+: .*file is not a database"):
        serve(results, port)


@pytest.mark.slow
def test_server_answers_and_goes_when_asked_to(results: Path) -> None:
    publish(outcome(results, cells(seeds=1)))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    code = (
        "import sys, pathlib, harness_plugins.tracking.server as ui;"
        "ui.serve(pathlib.Path('results'), int(sys.argv[1]), print)"
    )
    with subprocess.Popen([sys.executable, "-uc", code, str(port)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "\n"
        with socket.create_connection(("127.0.0.1", port)) as page:
            page.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in page.recv(1000)
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(20) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert sorted(path.name for path in results.parent.iterdir()) == ["results"]
