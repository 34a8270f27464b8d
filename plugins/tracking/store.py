"""The tracking store: its address, and MLflow's client for it."""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

from harness.errors import UsageError

#: Set before MLflow is imported, unless the user has set them. A server that is down must cost seconds, not minutes.
ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


def store_path(results: Path) -> Path:
    """The database of a results folder, as an absolute path."""
    return results.resolve() / "mlflow.db"


def tracking_uri(results: Path, to: str | None = None) -> str:
    """The store's URI: ``to``, or that of the results folder. A path in it becomes absolute.

    Raises UsageError where ``to`` is no URI.
    """
    if to is None:
        return f"sqlite:///{store_path(results)}"
    if to.startswith("sqlite:///"):
        return f"sqlite:///{Path(to.removeprefix('sqlite:///')).resolve()}"
    if "://" not in to and to != "databricks":
        raise UsageError(f"{to!r} is no tracking URI; needed is one such as http://host:5000 or sqlite:///runs.db")
    return to


def client(uri: str) -> Any:
    """MLflow's client. The first call imports MLflow, which takes two to three seconds."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # MLflow logs each step of a new database's migrations.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(uri, uri)


def artifact_location(uri: str) -> str | None:
    """The folder of artifacts beside a local database; None for a server, which has its own."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).parent / "artifacts").as_uri()


def installed() -> bool:
    """Whether MLflow can be imported."""
    return importlib.util.find_spec("mlflow") is not None
