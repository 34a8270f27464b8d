"""FlatNCE, InfoNCE and their relatives: do small batches hurt contrastive learning, and is rounding the reason?

Claims of arXiv 2107.01152, of the article kexue.fm/archives/8586 on it, and of DCL (arXiv 2110.06848).
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Method, Role, Task, Workload
from harness_plugins.flatnce.methods import METHODS
from harness_plugins.flatnce.roles import ROLES
from harness_plugins.flatnce.tasks import TASKS
from harness_plugins.flatnce.workloads import WORKLOADS

#: Checks that "harness check" skips, and why. These losses stop a gradient on purpose.
HARNESS_EXCEPTIONS = {
    "gradient": {
        "flatnce-detach": "xi over itself as a constant has the value 1 and the gradient of log xi, as published",
        "infonce-anchor-rescaled": "each anchor's weight is divided out as a constant",
        "infonce-batch-rescaled": "the batch's mean weight is divided out as a constant",
    }
}


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """Contrastive losses."""
    return ROLES


@hookimpl
def harness_methods() -> tuple[Method, ...]:
    """The losses and two controls."""
    return METHODS


@hookimpl
def harness_tasks() -> tuple[Task, ...]:
    """Training on three data sets, and two numeric tasks."""
    return TASKS


@hookimpl
def harness_workloads() -> tuple[Workload, ...]:
    """Projections of two views."""
    return WORKLOADS


@hookimpl
def harness_claims() -> list[Path]:
    """The claims of the papers and of the article."""
    return [Path(__file__).with_name("claims.toml")]
