"""Where runs are kept: the address of a tracking store, and MLflow's client for it."""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

from harness.errors import UsageError

#: Set before MLflow is imported, where the user has not. A server that is down must cost seconds, not minutes.
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
    """The store's URI: ``to``, or that of the results folder. Paths in it are made absolute."""
    if to is None:
        return f"sqlite:///{store_path(results)}"
    if to.startswith("sqlite:///"):
        return f"sqlite:///{Path(to.removeprefix('sqlite:///')).resolve()}"
    if "://" not in to and to != "databricks":
        raise UsageError(f"{to!r} is no tracking URI; one such as http://host:5000 or sqlite:///runs.db is needed")
    return to


def client(uri: str) -> Any:
    """MLflow's client, imported now: it takes two to three seconds."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # Its own loggers print each step of a fresh database's migrations.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(uri, uri)


def artifact_location(uri: str) -> str | None:
    """A folder beside a local database; a server knows its own."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).parent / "artifacts").as_uri()


def installed() -> bool:
    """Whether MLflow is there to be imported."""
    return importlib.util.find_spec("mlflow") is not None
