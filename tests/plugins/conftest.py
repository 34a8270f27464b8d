"""Fixtures for the tests of plugins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tracking_runs import cells, outcome

from harness_plugins.tracking import store
from harness_plugins.tracking.experiment import Experiment


@pytest.fixture
def tracking_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_TRACKING", raising=False)
    for name, value in store.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs: making its tables takes longer than any test."""
    results = tmp_path_factory.mktemp("migrated")
    Experiment(outcome(results, cells("none")).session)
    return results / "mlflow.db"


@pytest.fixture
def results(tmp_path: Path, migrated: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(migrated, folder)
    return folder
