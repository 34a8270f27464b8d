"""MLflow's pages over a results folder: the server's command, and the address a suite's runs open under."""

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
#: Its job runners, which serve what no suite uses, are seven more processes.
_SERVER_ENVIRONMENT = {
    **ENVIRONMENT,
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
#: Seconds until a server that does not come up is given up.
_PATIENCE = 60.0


def ui_command(results: Path, port: int) -> list[str]:
    """The command that serves a results folder's store to this machine alone.

    Raises UsageError where the folder has no store.
    """
    _need_store(results)
    artifacts = (results.resolve() / "artifacts").as_uri()
    # Without a proxy for artifacts the server makes no folder of its own where it was started.
    store = [
        "--backend-store-uri",
        tracking_uri(results),
        "--default-artifact-root",
        artifacts,
        "--no-serve-artifacts",
    ]
    return [sys.executable, "-m", "mlflow", "server", *store, "--host", _HOST, "--port", str(port), "--workers", "1"]


def experiment_url(results: Path, suite: str | None, port: int, view: str = "methods") -> str:
    """Where a suite's table opens in the view ``methods``, ``claims`` or ``seeds``; without a suite, where all stand.

    Raises UsageError where the folder has no store, UnknownName for a suite that it has no runs of.
    """
    _need_store(results)
    base, query = f"http://{_HOST}:{port}/#/experiments", "workflowType=machine_learning"
    if suite is None:
        return f"{base}?{query}"
    # Read past MLflow, whose import takes seconds.
    with closing(sqlite3.connect(f"{store_path(results).as_uri()}?mode=ro", uri=True)) as store:
        rows = store.execute("select name, experiment_id from experiments where lifecycle_stage = 'active'")
        numbers = {name: number for name, number in rows if name != "Default"}
    if suite not in numbers:
        raise UnknownName(f"suite in {results}", suite, numbers)
    return f"{base}/{numbers[suite]}/runs?{query}&viewStateShareKey={view}"


def serve(results: Path, port: int, ready: Callable[[], None] = lambda: None) -> int:
    """Serve a results folder's store until Ctrl-C or SIGTERM; give the server's exit status, 0 after these.

    ``ready`` is called once when pages can be opened. Raises UsageError where the folder has no store or the port
    is taken, HarnessError where the server does not come up.
    """
    command = ui_command(results, port)
    if _answers(port):
        raise UsageError(f"--port {port} is taken by another program; another one, such as {port + 1}, may be free")
    environment = {**_SERVER_ENVIRONMENT, **os.environ}
    # What the server says of itself (versions, every page it hands out) matters only where it does not start.
    with (
        _interruptible(),
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            deadline = time.monotonic() + _PATIENCE
            while not _answers(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise HarnessError(f"MLflow's server did not come up on port {port}: {_last_error(log)}")
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
    lines = log.read().strip().splitlines() or ["it does not say why"]
    return next((line for line in reversed(lines) if "Error" in line or "Exception" in line), lines[-1])


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends like Ctrl-C, so that the server does not outlive us. Signals are the main thread's alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _need_store(results: Path) -> None:
    if not store_path(results).is_file():
        make = "'harness suite NAME' writes one, and 'harness publish' makes one from the records"
        raise UsageError(f"{results} has no MLflow store yet: {make}")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((_HOST, port)) == 0
