"""Classification with alternating normalisation (CAN): does a prior correct unsure predictions?

Claims of the article kexue.fm/archives/8728 and of arXiv 2109.13449, which it explains.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Method, Role, Task, Workload
from harness_plugins.can.datasets import DATASETS
from harness_plugins.can.methods import METHODS
from harness_plugins.can.roles import ROLES
from harness_plugins.can.tasks import TASKS
from harness_plugins.can.workloads import WORKLOADS


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> tuple[Method, ...]:
    """CAN in its forms, and other corrections of predictions by a prior."""
    return METHODS


@hookimpl
def harness_tasks() -> tuple[Task, ...]:
    """Classifiers of pictures and of texts, and three tasks without data."""
    return TASKS


@hookimpl
def harness_workloads() -> tuple[Workload, ...]:
    """Predictions of a large test set, a sixth of them unsure."""
    return WORKLOADS


@hookimpl
def harness_datasets() -> tuple[Dataset, ...]:
    """Four sets of labelled texts, in English and Chinese."""
    return DATASETS


@hookimpl
def harness_claims() -> list[Path]:
    """Statements of the article and of the paper."""
    return [Path(__file__).with_name("claims.toml")]
