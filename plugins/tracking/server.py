"""MLflow's server over a results folder, and the addresses of a suite's runs on it."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from harness.errors import HarnessError, UnknownName, UsageError
from harness_plugins.tracking.store import ENVIRONMENT, store_path, tracking_uri

_HOST = "127.0.0.1"
#: Job execution would start seven more processes, for nothing that a suite uses.
_SERVER_ENVIRONMENT = {
    **ENVIRONMENT,
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
#: Seconds that the server may take to start.
_START_TIMEOUT = 120.0


def ui_command(results: Path, port: int) -> list[str]:
    """The command that serves a results folder's store on localhost.

    Raises UsageError where the folder has no store.
    """
    _check_store(results)
    artifacts = (results.resolve() / "artifacts").as_uri()
    options = [
        "--backend-store-uri",
        tracking_uri(results),
        "--default-artifact-root",
        artifacts,
        # A server that serves artifacts creates a folder in the working directory.
        "--no-serve-artifacts",
    ]
    return [sys.executable, "-m", "mlflow", "server", *options, "--host", _HOST, "--port", str(port), "--workers", "1"]


def experiment_url(results: Path, suite: str | None, port: int, view: str = "methods") -> str:
    """The address of a suite's runs in the view ``methods``, ``claims`` or ``seeds``; without a suite, that of all.

    Raises UsageError where the folder has no store, UnknownName where it has no runs of the suite.
    """
    base, query = f"http://{_HOST}:{port}/#/experiments", "workflowType=machine_learning"
    ids = published(results)
    if suite is None:
        return f"{base}?{query}"
    if suite not in ids:
        raise UnknownName(f"suite in {results}", suite, ids)
    return f"{base}/{ids[suite]}/runs?{query}&viewStateShareKey={view}"


def published(results: Path) -> dict[str, int]:
    """The suites that have runs in the folder's store, with the numbers of their experiments.

    Raises UsageError where the folder has no store.
    """
    _check_store(results)
    # SQLite directly: importing MLflow takes seconds.
    with closing(sqlite3.connect(f"{store_path(results).as_uri()}?mode=ro", uri=True)) as store:
        rows = store.execute("select name, experiment_id from experiments where lifecycle_stage = 'active'")
        return {name: number for name, number in rows if name != "Default"}


def serve(results: Path, port: int, ready: Callable[[], None] = lambda: None) -> int:
    """Serve a results folder's store until Ctrl-C or SIGTERM; return 0 after these, else the server's exit status.

    ``ready`` is called once, when pages can be opened. Raises UsageError where the folder has no store or the port
    is taken, HarnessError where the server does not start.
    """
    command = ui_command(results, port)
    if _answers(port):
        raise UsageError(f"--port {port}: taken by another program; try another port, such as {port + 1}")
    environment = {**_SERVER_ENVIRONMENT, **os.environ}
    # The server logs every request; its log matters only where it does not start.
    with (
        _interruptible(),
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            deadline = time.monotonic() + _START_TIMEOUT
            while not _answers(port):
                if server.poll() is not None:
                    raise HarnessError(f"MLflow's server did not start on port {port}: {_last_error(log)}")
                if time.monotonic() > deadline:
                    # What it logged last says nothing about why it is slow.
                    slow = f"has not answered on port {port} after {_START_TIMEOUT:.0f} s"
                    raise HarnessError(f"MLflow's server {slow}: this machine is busy or slow; try again")
                time.sleep(0.1)
            ready()
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


def _last_error(log: IO[str]) -> str:
    """The last line that names an error, or the last one."""
    log.seek(0)
    lines = log.read().strip().splitlines() or ["no reason given"]
    return next((line for line in reversed(lines) if "Error" in line or "Exception" in line), lines[-1])


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt, so that the server ends too. Only the main thread handles them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, signal.default_int_handler) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_store(results: Path) -> None:
    if not store_path(results).is_file():
        remedy = "'harness suite NAME' writes one, and 'harness publish' writes one from the records"
        raise UsageError(f"{results} has no MLflow store yet: {remedy}")


def _answers(port: int) -> bool:
    """Whether some program listens on this port of localhost."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((_HOST, port)) == 0
