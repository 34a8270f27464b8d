"""What opens in the browser: names of runs, their order, saved views, and the server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from tracking_runs import cells, suite_result

from harness.cell import Cell
from harness.errors import HarnessError, UnknownName, UsageError
from harness.records import RecordsFile
from harness_plugins.tracking.commands import ui
from harness_plugins.tracking.server import experiment_url, serve, ui_command
from harness_plugins.tracking.suite_runs import RunBuilder
from harness_plugins.tracking.writer import publish, tracking_uri

pytestmark = [
    pytest.mark.usefixtures("tracking_environment"),
    # Raised while MLflow is imported and by the libraries under it.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_name_of_a_run_says_what_varies_and_nothing_else() -> None:
    def names(scope: Sequence[Cell]) -> list[str]:
        result = suite_result(Path("results"), scope)
        runs = RunBuilder(result.plan.run).all_runs(result)
        return [run.name for run in runs if run.kind == "summary"]

    assert names(cells(seeds=1)[:1]) == ["flatnce"]
    assert names(cells(seeds=1))[:2] == ["flatnce · batch_size=8", "flatnce · batch_size=32"]
    assert names([replace(c, device=d) for c in cells(seeds=1)[:1] for d in ("cpu", "cuda")]) == [
        "flatnce · cpu",
        "flatnce · cuda",
    ]
    assert names([replace(cells()[0], dtype="bfloat16")]) == ["flatnce · bfloat16"]


def test_suite_opens_in_its_order_with_a_view_for_each_question(results: Path) -> None:
    from mlflow import MlflowClient

    publish(suite_result(results))
    client = MlflowClient(tracking_uri(results))
    experiment = client.get_experiment_by_name("contrastive")
    assert experiment.tags["mlflow.note.content"] == "Losses at small batch sizes"
    names = {}
    for view in ("methods", "claims", "seeds"):
        state = json.loads(json.loads(experiment.tags[f"mlflow.sharedViewState.{view}"])["state"])
        assert experiment_url(results, "contrastive", 5000, view).endswith(f"viewStateShareKey={view}")
        runs = client.search_runs([experiment.experiment_id], state["searchFilter"], order_by=["start_time DESC"])
        names[view] = [run.info.run_name for run in runs]
        kinds = {"metrics": "metrics", "tags": "tags", "params": "params"}
        for column in state["selectedColumns"]:
            kind, _, name = column.rstrip("`").partition(".`")
            assert any(name in getattr(run.data, kinds[kind]) for run in runs) or name == "cause", column
    assert names["methods"] == [f"{m} · batch_size={b}" for m in ("flatnce", "infonce") for b in (8, 32)]
    assert names["claims"] == ["flatnce/small", "flatnce/large", "flatnce/elsewhere"]
    assert len(names["seeds"]) == 24


def test_pages_need_a_store_and_a_known_suite(results: Path, tmp_path: Path) -> None:
    for call in (lambda: ui_command(tmp_path, 5000), lambda: experiment_url(tmp_path, None, 5000)):
        with pytest.raises(UsageError, match="no MLflow store yet: 'harness suite NAME' writes one"):
            call()
    publish(suite_result(results, cells(seeds=1)))
    with pytest.raises(UnknownName, match="did you mean 'contrastive'"):
        experiment_url(results, "contrastiv", 5000)
    assert experiment_url(results, None, 5001) == "http://127.0.0.1:5001/#/experiments?workflowType=machine_learning"
    command = ui_command(Path("results"), 5001)
    assert command[: command.index("mlflow") + 1] == [sys.executable, "-m", "mlflow"]
    assert f"sqlite:///{results}/mlflow.db" in command
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_without_a_name_the_latest_suite_that_has_runs_is_opened(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published = suite_result(results, cells(seeds=1))
    publish(published)
    file = RecordsFile(results)
    file.prepare()
    record = next(iter(published.records.values()))
    file.append(record)
    file.append(replace(record, id="f" * 20, suite="never-published", finished="2099-01-01T00:00:00.000+00:00"))
    monkeypatch.setattr("harness_plugins.tracking.server.serve", lambda folder, port, ready: ready() or 0)
    with pytest.raises(typer.Exit):
        ui(None, 5001, results)
    assert experiment_url(results, "contrastive", 5001, "claims") in capsys.readouterr().out


def test_importing_it_does_not_import_mlflow() -> None:
    modules = "harness_plugins.tracking.writer, harness_plugins.tracking.server"
    code = f"import sys, {modules}; print({{'mlflow', 'torch', 'scipy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_port_that_is_taken_is_refused(results: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(UsageError, match="taken by another program"):
        serve(results, other.getsockname()[1])


@pytest.mark.slow
def test_server_that_cannot_start_says_why(results: Path) -> None:
    (results / "mlflow.db").write_text("no database at all, only a few words that somebody put here")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(HarnessError, match=r"did not start on port \d+: .*file is not a database"):
        serve(results, port)


@pytest.mark.slow
def test_server_answers_and_stops_at_sigterm(results: Path) -> None:
    publish(suite_result(results, cells(seeds=1)))
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
        assert server.wait(300) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert sorted(path.name for path in results.parent.iterdir()) == ["results"]
