"""MLflow shows what the records say, once, no matter who writes it and how often."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from tracking_runs import CLAIMS, TASK, cells, done, live, stored_runs, suite_result, without_ids

from harness.errors import HarnessError
from harness.running.execute import record_of
from harness_plugins.tracking import suite_runs
from harness_plugins.tracking.experiment import Experiment
from harness_plugins.tracking.writer import MlflowWatcher, Published, publish, tracking_uri

pytestmark = [
    pytest.mark.usefixtures("tracking_environment"),
    # Raised while MLflow is imported and by the libraries under it.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_publishing_after_a_live_run_changes_nothing(results: Path) -> None:
    result = suite_result(results)
    live(result, MlflowWatcher())
    first = stored_runs(results)
    assert [run.kind for run in first.values()].count("summary") == 4
    assert [run.kind for run in first.values()].count("seed") == 20
    assert [run.kind for run in first.values()].count("claim") == 3
    assert [run.kind for run in first.values()].count("report") == 1
    assert publish(result) == publish(result) == Published(unchanged=28)
    assert stored_runs(results) == first


def test_live_run_and_publishing_show_the_same(results: Path, migrated: Path, tmp_path: Path) -> None:
    result = suite_result(results)
    live(result, MlflowWatcher())
    other = f"sqlite:///{tmp_path / 'other.db'}"
    shutil.copy(migrated, tmp_path / "other.db")
    assert publish(result, other) == Published(created=28)
    assert without_ids(stored_runs(results, other)) == without_ids(stored_runs(results))


def test_running_suite_shows_its_first_seeds_under_a_running_setting(results: Path) -> None:
    result = suite_result(results)
    experiment = Experiment(result.plan.run)
    for cell in result.plan.scope[:2]:
        experiment.put_record(result.records[cell.id])
    runs = stored_runs(results)
    name = "flatnce · batch_size=8"
    assert {run: (s.status, s.parent) for run, s in runs.items()} == {
        name: ("RUNNING", ""),
        f"seed 0 · {name}": ("FINISHED", name),
        f"seed 1 · {name}": ("FINISHED", name),
    }


def test_setting_shows_mean_interval_cost_and_verdicts(results: Path) -> None:
    publish(suite_result(results))
    run = stored_runs(results)["flatnce · batch_size=8"]
    values = [0.9, 0.901, 0.904, 0.909, 0.916]
    half = 2.131847 * math.sqrt(sum((v - fmean(values)) ** 2 for v in values) / 4 / 5)  # t(0.95, 4), from a table
    assert run.metrics["accuracy"] == pytest.approx(fmean(values))
    assert run.metrics["accuracy.low"] == pytest.approx(fmean(values) - half, abs=1e-6)
    assert run.metrics["accuracy.high"] == pytest.approx(fmean(values) + half, abs=1e-6)
    assert {name: run.metrics[name] for name in ("n", "seconds", "peak_mb")} == {"n": 5, "seconds": 2, "peak_mb": 3}
    assert run.tags["claim.flatnce/small"] == "reproduced"
    assert "claim.flatnce/large" not in run.tags
    assert run.tags["interval.accuracy"] == f"0.906 [{0.906 - half:.3f}, {0.906 + half:.3f}]"
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

    result = suite_result(results)
    publish(result)
    run = stored_runs(results)["seed 2 · flatnce · batch_size=8"]
    assert run.parent == "flatnce · batch_size=8"
    assert run.metrics["accuracy"] == 0.904
    assert run.params["seed"] == "2"
    assert run.tags["harness.record"] in result.records
    history = MlflowClient(tracking_uri(results)).get_metric_history(run.id, "curve/loss")
    assert [(point.step, point.value) for point in history] == [(0, 3.0), (10, 1.0)]


def test_claim_shows_verdict_and_the_papers_figures(results: Path) -> None:
    publish(suite_result(results))
    runs = stored_runs(results)
    run = runs["flatnce/small"]
    assert (run.tags["verdict"], run.tags["fidelity"], run.status) == ("reproduced", "proxy", "FINISHED")
    assert run.tags["sentence"].startswith("reproduced: flatnce - infonce = +0.1040 [+0.1")
    assert run.tags["interval"].endswith("(93 %)")
    assert (run.tags["verdict.alone"], run.tags["origin"], run.tags["primary"]) == ("reproduced", "paper", "yes")
    assert run.tags["covers"] == "seeds"
    assert run.tags["source"] == "arxiv.org/abs/2107.01152 F-1"
    assert run.metrics["paper.flatnce"] == 0.893
    assert run.metrics["here.infonce"] == pytest.approx(fmean([0.8, 0.799, 0.8, 0.803, 0.808]))
    assert run.metrics["estimate"] == pytest.approx(0.104)
    assert run.tags["paper.unit"] == "fraction"
    assert runs["flatnce/large"].tags["verdict"] == "contradicted"
    assert (runs["flatnce/elsewhere"].tags["verdict"], runs["flatnce/elsewhere"].status) == ("not-run", "SCHEDULED")
    assert "triplet" in runs["flatnce/elsewhere"].tags["cause"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("failed", "FAILED"), ("crashed", "FAILED"), ("timeout", "FAILED"), ("skipped", "KILLED")],
)
def test_cell_that_did_not_end_well_shows_its_cause(results: Path, status: Any, expected: str) -> None:
    bad = {cells()[1].id, *(cell.id for cell in cells()[5:10])}
    publish(suite_result(results, make=lambda c: record_of(c, status, "it broke") if c.id in bad else done(c)))
    runs = stored_runs(results)
    seed = runs["seed 1 · flatnce · batch_size=8"]
    assert (seed.status, seed.tags["cause"]) == (expected, "it broke")
    assert runs["seed 0 · flatnce · batch_size=8"].status == "FINISHED"
    assert runs["flatnce · batch_size=8"].status == "FINISHED"
    assert runs["flatnce · batch_size=8"].tags["cause"] == "1 of 5 seeds: it broke"
    assert runs["flatnce · batch_size=8"].metrics["n"] == 4
    assert runs["flatnce · batch_size=32"].status == expected


def test_number_that_is_not_finite_is_left_out_and_named(results: Path) -> None:
    publish(
        suite_result(
            results, make=lambda c: done(c, metrics={"accuracy": 0.9, "loss": math.inf if c.seed else math.nan})
        )
    )
    runs = stored_runs(results)
    assert "loss" not in runs["seed 1 · infonce · batch_size=8"].metrics
    assert runs["seed 1 · infonce · batch_size=8"].tags["not_finite"] == "loss = inf"
    assert runs["seed 0 · infonce · batch_size=8"].tags["not_finite"] == "loss = nan"
    assert "loss = nan" in runs["infonce · batch_size=8"].tags["not_finite"]
    assert all(math.isfinite(v) and abs(v) < 1e308 for run in runs.values() for v in run.metrics.values())


def test_more_points_than_mlflow_takes_at_once_are_all_written(results: Path) -> None:
    from mlflow import MlflowClient

    curves = {name: [(step, float(step)) for step in range(300)] for name in "abcd"}
    publish(suite_result(results, cells(seeds=1)[:1], make=lambda c: done(c, curves=curves), claims=()))
    client = MlflowClient(tracking_uri(results))
    run = next(run for run in stored_runs(results).values() if run.kind == "seed")
    assert [len(client.get_metric_history(run.id, f"curve/{name}")) for name in "abcd"] == [300] * 4


def test_more_seeds_update_the_setting_in_place(results: Path) -> None:
    live(suite_result(results, cells(seeds=3)), MlflowWatcher())
    before = stored_runs(results)
    result = suite_result(results, cells(seeds=5))
    live(result, MlflowWatcher())
    after = stored_runs(results)
    name = "flatnce · batch_size=8"
    assert after[name].id == before[name].id
    assert (before[name].metrics["n"], after[name].metrics["n"]) == (3, 5)
    assert after[name].metrics["accuracy"] == pytest.approx(fmean(0.9 + 0.001 * s**2 for s in range(5)))
    assert [run.parent for run in after.values()].count(name) == 5
    assert after["flatnce/small"].id == before["flatnce/small"].id
    assert after["flatnce/small"].metrics["n"] == 5
    assert publish(result) == Published(unchanged=28)


def test_more_looks_in_one_run_are_followed(results: Path) -> None:
    watcher = MlflowWatcher()
    first, second = suite_result(results, cells(seeds=3)), suite_result(results)
    for result in (first, second):
        watcher.harness_suite_started(replace(result.plan, records={}).run)
        for record in result.records.values():
            watcher.harness_cell_finished(record)
    watcher.harness_suite_finished(second)
    assert publish(second) == Published(unchanged=28)


def test_cell_run_afresh_replaces_its_run(results: Path) -> None:
    from mlflow import MlflowClient

    publish(suite_result(results))
    before = stored_runs(results)
    other = {"seconds": 9.0, "curves": {"loss": [(5, 2.0)]}}
    again = suite_result(results, make=lambda c: done(c, **other) if c.id == cells()[0].id else done(c))
    assert publish(again) == Published(updated=2, replaced=1, unchanged=25)
    after = stored_runs(results)
    name = "seed 0 · flatnce · batch_size=8"
    assert after[name].id != before[name].id
    assert after[name].metrics["seconds"] == 9
    history = MlflowClient(tracking_uri(results)).get_metric_history(after[name].id, "curve/loss")
    assert [(point.step, point.value) for point in history] == [(5, 2.0)]
    assert after[name].parent == "flatnce · batch_size=8"


def test_runs_of_other_code_give_way(results: Path) -> None:
    publish(suite_result(results, cells(seeds=5)))
    result = suite_result(results, cells(seeds=3, code="new"))
    assert publish(result).deleted == 8
    assert [run.kind for run in stored_runs(results).values()].count("seed") == 12
    assert publish(result) == Published(unchanged=20)


def test_claim_taken_out_of_the_suite_goes(results: Path) -> None:
    publish(suite_result(results))
    assert publish(suite_result(results, claims=CLAIMS[1:])).deleted == 1
    runs = stored_runs(results)
    assert "flatnce/small" not in runs
    assert "claim.flatnce/small" not in runs["flatnce · batch_size=8"].tags


def test_number_that_is_no_longer_known_goes(results: Path) -> None:
    publish(suite_result(results))
    failing = suite_result(results, make=lambda c: record_of(c, "failed", "no") if c.method == "infonce" else done(c))
    publish(failing)
    runs = stored_runs(results)
    assert runs["flatnce/small"].tags["verdict"] == "not-run"
    assert "estimate" not in runs["flatnce/small"].metrics
    assert "accuracy" not in runs["infonce · batch_size=8"].metrics
    assert [run.parent for run in runs.values()].count("infonce · batch_size=8") == 5
    assert publish(failing) == Published(unchanged=28)


def test_what_somebody_deleted_comes_back(results: Path) -> None:
    from mlflow import MlflowClient

    result = suite_result(results)
    publish(result)
    before = stored_runs(results)
    client = MlflowClient(tracking_uri(results))
    client.delete_run(before["flatnce · batch_size=8"].id)
    client.set_tag(before["infonce · batch_size=8"].id, "mine", "kept")
    assert publish(result) == Published(created=1, unchanged=27)
    after = stored_runs(results)
    assert [run.parent for run in after.values()].count("flatnce · batch_size=8") == 5
    assert after["infonce · batch_size=8"].tags["mine"] == "kept"
    client.delete_experiment(client.get_experiment_by_name("contrastive").experiment_id)
    publish(result)
    assert without_ids(stored_runs(results)) == without_ids(after)


def test_writing_cut_short_anywhere_is_completed(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    result = suite_result(results, cells(seeds=1))
    for number, name in enumerate(("create_run", "log_inputs", "set_terminated", "log_batch", "log_batch"), start=2):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, name, failing_from(number, getattr(MlflowClient, name)))
            with pytest.raises(HarnessError, match="cannot be written: OSError: disk full"):
                publish(result)
    publish(result)
    runs = stored_runs(results)
    assert all(run.status in ("FINISHED", "SCHEDULED") for run in runs.values())
    assert all(
        run.metrics["accuracy"] == (0.9 if "flat" in n else 0.8)
        for n, run in runs.items()
        if run.kind in ("summary", "seed")
    )
    assert publish(result) == Published(unchanged=len(runs))


def failing_from(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    calls = iter(range(1, 10_000))

    def call(*arguments: Any, **named: Any) -> Any:
        if next(calls) >= number:
            raise OSError("disk full")
        return function(*arguments, **named)

    return call


def test_seeds_of_a_large_suite_are_runs_only_on_request(
    results: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def kinds() -> list[str]:
        return [run.kind for run in stored_runs(results).values()]

    caplog.set_level("INFO")
    monkeypatch.setattr(suite_runs, "SEEDS_SHOWN_BELOW", 20)
    result = suite_result(results)
    live(result, MlflowWatcher())
    assert (kinds().count("summary"), kinds().count("seed"), kinds().count("claim")) == (4, 0, 3)
    assert "its 20 cells are in MLflow as one run for each setting; with HARNESS_TRACKING_SEEDS=on" in caplog.text
    assert publish(result) == Published(unchanged=8), "settings have the same numbers without their seeds"
    monkeypatch.setenv("HARNESS_TRACKING_SEEDS", "on")
    assert publish(result) == Published(created=20, unchanged=8)
    monkeypatch.setenv("HARNESS_TRACKING_SEEDS", "off")
    assert publish(result) == Published(unchanged=8), "runs that are there stay"
    assert kinds().count("seed") == 20
    monkeypatch.setenv("HARNESS_TRACKING_SEEDS", "some")
    with pytest.raises(HarnessError, match="HARNESS_TRACKING_SEEDS=some: on or off is allowed"):
        publish(result)
