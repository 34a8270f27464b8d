"""Text encoders that the plugins for sentence pairs and for entities share, and how they are trained.

Brings no method and no task. A task that reads texts takes its options from ``harness_plugins.encoders.options`` and
its encoder from ``harness_plugins.encoders.encoder``.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.hookspecs import hookimpl
from harness.spec import Dataset
from harness_plugins.encoders.datasets import MODELS


@hookimpl
def harness_datasets() -> Sequence[Dataset]:
    """Pretrained models."""
    return MODELS
