"""Small image data sets that several plugins use."""

from __future__ import annotations

from collections.abc import Sequence

from harness.hookspecs import hookimpl
from harness.spec import Dataset
from harness_plugins.images.datasets import DATASETS


@hookimpl
def harness_datasets() -> Sequence[Dataset]:
    """Digits and clothes, in grey."""
    return DATASETS
