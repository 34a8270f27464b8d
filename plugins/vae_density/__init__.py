"""Density of a sample under a variational autoencoder: bounds, importance weights, and training with them.

Claims of arXiv 1509.00519 (importance weighted autoencoders), of the article kexue.fm/archives/8791 on it, of its
replications, and of the papers on the noise of its gradient.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Method, Role, Task, Workload
from harness_plugins.vae_density.methods import METHODS
from harness_plugins.vae_density.roles import ROLES
from harness_plugins.vae_density.tasks import TASKS
from harness_plugins.vae_density.workloads import WORKLOADS


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> tuple[Method, ...]:
    """Autoencoders with four objectives, an autoencoder of known density, and references without networks."""
    return METHODS


@hookimpl
def harness_tasks() -> tuple[Task, ...]:
    """Training on binary and on continuous pictures, and tasks without training."""
    return TASKS


@hookimpl
def harness_workloads() -> tuple[Workload, ...]:
    """The importance weights of the published model."""
    return WORKLOADS


@hookimpl
def harness_claims() -> list[Path]:
    """Statements of the paper, the article and the replications."""
    return [Path(__file__).with_name("claims.toml")]
