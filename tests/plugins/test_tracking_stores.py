"""Stores that are new, shared, slow, down or elsewhere: no result is lost through them."""

from __future__ import annotations

import logging
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tracking_runs import cells, live, stored_runs, suite_result

from harness.errors import HarnessError, UsageError
from harness_plugins.tracking import writer as tracking
from harness_plugins.tracking.writer import MlflowWatcher, publish, tracking_uri

pytestmark = [
    pytest.mark.usefixtures("tracking_environment"),
    # Raised while MLflow is imported and by the libraries under it.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_fresh_store_in_a_relative_folder_is_made_silently_and_nothing_beside_it(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    caplog.set_level(logging.INFO, "harness_plugins")
    monkeypatch.setattr(tracking, "_QUIET_SECONDS", 600)
    results = Path("my results, 100%")
    results.mkdir()
    live(suite_result(results, cells(seeds=1)), MlflowWatcher())
    monkeypatch.chdir("/")
    assert caplog.messages[-1] == "'harness ui --results 'my results, 100%'' shows the runs in MLflow"
    assert capfd.readouterr() == ("", ""), "MLflow's own log of migrations is not for the user"
    store = tracking_uri(tmp_path / results)
    assert store == f"sqlite:////{(tmp_path / results / 'mlflow.db').relative_to('/')}"
    experiment = MlflowClient(store).get_experiment_by_name("contrastive")
    assert experiment.artifact_location == (tmp_path / results / "artifacts").as_uri()
    assert [path.name for path in tmp_path.iterdir()] == [results.name]
    assert {path.name for path in (tmp_path / results).iterdir()} == {"mlflow.db", ".mlflow.lock", "artifacts"}


def watch(results: Path, suite: str) -> None:
    # A busy machine needs long for a new store; this test is not about how long a suite waits for one.
    tracking._TIMEOUT_SECONDS = 600
    live(suite_result(results, cells(suite, seeds=2)), MlflowWatcher())


@pytest.mark.slow
def test_two_processes_begin_one_store_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    suites = [spawn.Process(target=watch, args=(tmp_path, suite)) for suite in ("contrastive", "matching")]
    for process in suites:
        process.start()
    for process in suites:
        process.join()
    assert stored_runs(tmp_path).keys() == stored_runs(tmp_path, suite="matching").keys()
    assert len(stored_runs(tmp_path)) == 16


def test_server_that_is_down_costs_a_warning(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    live(suite_result(results), MlflowWatcher("http://127.0.0.1:1"))
    message = caplog.messages[-1]
    assert caplog.records[-1].levelno == logging.WARNING
    assert message.startswith("MLflow store http://127.0.0.1:1 is not complete: MlflowException: ")
    assert message.endswith("'harness publish' completes it")
    with pytest.raises(HarnessError, match=r"http://127\.0\.0\.1:1 cannot be written"):
        publish(suite_result(results), "http://127.0.0.1:1")


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    # With the server, the connection of the thread that waits for it is closed.
    for thread in threading.enumerate():
        if thread.name == "harness-mlflow":
            thread.join()


def test_server_that_never_answers_is_given_up(
    results: Path, silent_server: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_QUIET_SECONDS", 0.1)
    monkeypatch.setattr(tracking, "_TIMEOUT_SECONDS", 0.3)
    caplog.set_level(logging.INFO)
    live(suite_result(results), MlflowWatcher(silent_server))
    # The thread still waits for the server; the suite does not.
    assert any(thread.name == "harness-mlflow" for thread in threading.enumerate())
    progress, warning = caplog.messages
    assert progress == "writing 27 runs to MLflow ..."
    assert "it did not answer in time" in warning


def test_without_mlflow_there_is_one_note(
    results: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(tracking, "installed", lambda: False)
    watcher = MlflowWatcher()
    result = suite_result(results)
    live(result, watcher)
    live(result, watcher)
    assert caplog.messages == ["MLflow is not installed; where it is, 'harness publish' writes the runs"]
    with pytest.raises(UsageError, match="not installed"):
        publish(result)


def test_tracking_can_be_turned_off_and_pointed_elsewhere(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (results / "mlflow.db").rename(results.parent / "elsewhere.db")
    monkeypatch.setenv("HARNESS_TRACKING", "off")
    live(suite_result(results), MlflowWatcher())
    monkeypatch.setenv("HARNESS_TRACKING", "sqlite:///elsewhere.db")
    live(suite_result(results), MlflowWatcher())
    assert not (results / "mlflow.db").exists()
    assert len(stored_runs(results, "sqlite:///elsewhere.db")) == 28
    with pytest.raises(UsageError, match="'runs' is no tracking URI"):
        publish(suite_result(results), "runs")
