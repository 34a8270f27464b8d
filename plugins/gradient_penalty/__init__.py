"""Penalties on input gradients and on parameter gradients: is one approximately the other?

Claims of the article kexue.fm/archives/8796 and of the paper it discusses, arXiv 2111.15090.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Method, Role, Task, Workload
from harness_plugins.gradient_penalty.methods import METHODS
from harness_plugins.gradient_penalty.roles import ROLES
from harness_plugins.gradient_penalty.tasks import TASKS
from harness_plugins.gradient_penalty.workloads import WORKLOADS


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """Gradient penalties."""
    return ROLES


@hookimpl
def harness_methods() -> tuple[Method, ...]:
    """Explicit penalties, no penalty, and the plain forms of two of them."""
    return METHODS


@hookimpl
def harness_tasks() -> tuple[Task, ...]:
    """The inequality, the equivalence and generalisation, each on two data sets; and weights as they are drawn."""
    return TASKS


@hookimpl
def harness_workloads() -> tuple[Workload, ...]:
    """A batch through an MLP: a penalty, and the norms alone."""
    return WORKLOADS


@hookimpl
def harness_claims() -> list[Path]:
    """The claims of the article and the paper."""
    return [Path(__file__).with_name("claims.toml")]
