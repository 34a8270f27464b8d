"""Efficient GlobalPointer, GlobalPointer and taggers for flat and nested entities, and their losses.

Claims of the articles kexue.fm/archives/8373, 8877, 7359 and 8888 (arXiv 2208.03054, 2208.02955) and of replications.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Method, Role, Task, Workload
from harness_plugins.efficient_global_pointer.datasets import DATASETS
from harness_plugins.efficient_global_pointer.methods import METHODS
from harness_plugins.efficient_global_pointer.roles import ROLES
from harness_plugins.efficient_global_pointer.tasks import TASKS
from harness_plugins.efficient_global_pointer.workloads import WORKLOADS

#: Checks that "harness check" skips, and why.
HARNESS_EXCEPTIONS = {"edges": {"zlpr-published": "its constant of 1e12 is infinite in float16, as published"}}


@hookimpl
def harness_roles() -> Sequence[Role]:
    """Span scorers and multi-label losses."""
    return ROLES


@hookimpl
def harness_methods() -> Sequence[Method]:
    """Span scorers with their baselines, and multi-label losses."""
    return METHODS


@hookimpl
def harness_tasks() -> Sequence[Task]:
    """Training on five corpora and on random expressions, parameter counts, speed, and properties of the losses."""
    return TASKS


@hookimpl
def harness_workloads() -> Sequence[Workload]:
    """The loss from hidden states as wide as BERT's, and the loss alone, with few and many types."""
    return WORKLOADS


@hookimpl
def harness_datasets() -> Sequence[Dataset]:
    """Corpora in Chinese, English and German, three flat and two nested."""
    return DATASETS


@hookimpl
def harness_claims() -> Sequence[Path]:
    """Claims of the articles, the papers and the replications."""
    return [Path(__file__).with_name("claims.toml")]
