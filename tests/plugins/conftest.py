"""Fixtures for the tests of plugins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tracking_runs import cells, suite_result

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
    Experiment(suite_result(results, cells("none")).plan.run)
    return results / "mlflow.db"


@pytest.fixture
def results(tmp_path: Path, migrated: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(migrated, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of two layers and random weights, and its tokenizer."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s", "sat", "the", "dog", "我", "在", "."]
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(folder)
    # Every version of transformers reads a file of words.
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    return folder
