"""Leaderboards under nine aggregates: does another mean put humans first on GLUE and SuperGLUE?

Claims of arXiv 2112.01342, and of the article kexue.fm/archives/8783 about it. A table of your own is audited in the
same way: by a suite of the task ``leaderboard/table``, or without records by ``harness leaderboard TABLE.csv``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Figure, Method, Role, Task
from harness_plugins.leaderboard.datasets import DATASETS
from harness_plugins.leaderboard.figures import FIGURES
from harness_plugins.leaderboard.methods import METHODS
from harness_plugins.leaderboard.roles import ROLES
from harness_plugins.leaderboard.tasks import TASKS

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> tuple[Method, ...]:
    """Five means, and four rules that only count which system beats which."""
    return METHODS


@hookimpl
def harness_tasks() -> tuple[Task, ...]:
    """GLUE, SuperGLUE, and a table of the user's."""
    return TASKS


@hookimpl
def harness_datasets() -> tuple[Dataset, ...]:
    """The whole leaderboards, which are not shipped."""
    return DATASETS


@hookimpl
def harness_claims() -> list[Path]:
    """What the paper and the article say."""
    return [Path(__file__).with_name("claims.toml")]


@hookimpl
def harness_figures() -> tuple[Figure, ...]:
    """Bump charts: the rank of every system under every aggregate."""
    return FIGURES


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """Add the command ``leaderboard``."""
    from harness_plugins.leaderboard import commands

    commands.add_to(app)
