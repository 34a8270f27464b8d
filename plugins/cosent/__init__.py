"""CoSENT and its rivals on sentence pairs: does ranking cosines train better vectors than classifying pairs?

Claims of the articles kexue.fm/archives/8847, 8860 and 9341, and of those who repeated their experiments.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Method, Role, Task, Workload
from harness_plugins.cosent.datasets import DATASETS
from harness_plugins.cosent.methods import METHODS
from harness_plugins.cosent.roles import ROLES
from harness_plugins.cosent.tasks import TASKS
from harness_plugins.cosent.workloads import WORKLOADS


@hookimpl
def harness_roles() -> Sequence[Role]:
    """Losses of pairs, and threshold searches."""
    return ROLES


@hookimpl
def harness_methods() -> Sequence[Method]:
    """Losses of cosines, classifiers, encoders of both texts at once; and three threshold searches."""
    return METHODS


@hookimpl
def harness_tasks() -> Sequence[Task]:
    """Training on sentence pairs; and, without data, what losses and thresholds do by their definitions."""
    return TASKS


@hookimpl
def harness_datasets() -> Sequence[Dataset]:
    """Public sets of sentence pairs, and the article's full sets for those who have them."""
    return DATASETS


@hookimpl
def harness_workloads() -> Sequence[Workload]:
    """Batches of cosines, small and large, with two labels and with grades."""
    return WORKLOADS


@hookimpl
def harness_claims() -> Sequence[Path]:
    """Claims of the articles and of replications; in a file of their own, the articles' tables cell by cell."""
    return [Path(__file__).with_name(name) for name in ("claims.toml", "claims-full.toml")]
