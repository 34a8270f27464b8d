"""The engine ``ray``: the same cells on a machine's embedded Ray or on a cluster (docs/cluster.md)."""

from __future__ import annotations

from harness.hookspecs import hookimpl
from harness.spec import Engine


@hookimpl
def harness_engines() -> list[Engine]:
    """Ray, which is imported only where it is asked for."""
    about = "Ray: this machine, or --address"
    return [Engine(name="ray", run="harness_plugins.cluster.driver:run", takes_address=True, help=about)]
