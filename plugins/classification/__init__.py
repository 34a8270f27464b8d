"""The role classification-loss and its baseline, cross-entropy, for plugins that bring losses of this role."""

from __future__ import annotations

from harness.hookspecs import hookimpl
from harness.spec import Method, Role, Workload
from harness_plugins.classification.methods import METHODS
from harness_plugins.classification.roles import ROLES
from harness_plugins.classification.workloads import WORKLOADS


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """Classification losses."""
    return ROLES


@hookimpl
def harness_methods() -> tuple[Method, ...]:
    """The baseline."""
    return METHODS


@hookimpl
def harness_workloads() -> tuple[Workload, ...]:
    """A batch of logits."""
    return WORKLOADS
