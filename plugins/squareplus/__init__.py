"""SquarePlus, an algebraic neighbour of softplus: its constants, its rounding, and networks that use it.

Claims of arXiv 2112.11687, of its notebook, and of the article kexue.fm/archives/8833 on it.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Method, Role, Task, Workload
from harness_plugins.squareplus.methods import METHODS
from harness_plugins.squareplus.roles import ROLES
from harness_plugins.squareplus.tasks import TASKS
from harness_plugins.squareplus.workloads import WORKLOADS

#: Checks that "harness check" skips, and why.
HARNESS_EXCEPTIONS = {
    "reference": {
        "softplus-naive": "it overflows as the formula does; activation/rounding shows by how much",
        "gelu": "torch's own loses accuracy in the left tail; people use this one",
    }
}


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """Activations."""
    return ROLES


@hookimpl
def harness_methods() -> tuple[Method, ...]:
    """SquarePlus and its rivals."""
    return METHODS


@hookimpl
def harness_tasks() -> tuple[Task, ...]:
    """Two proofs, rounding, shape, and networks on four data sets."""
    return TASKS


@hookimpl
def harness_workloads() -> tuple[Workload, ...]:
    """One row of numbers."""
    return WORKLOADS


@hookimpl
def harness_claims() -> list[Path]:
    """The claims of the paper, its notebook and the article."""
    return [Path(__file__).with_name("claims.toml")]
