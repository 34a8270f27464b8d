"""The engine ``ray``: the same cells on this machine through Ray, or on a cluster (docs/cluster.md)."""

from __future__ import annotations

from harness.hookspecs import hookimpl
from harness.spec import Engine


@hookimpl
def harness_engines() -> list[Engine]:
    """Bring the engine ``ray``; ray itself is imported when the engine is used."""
    about = "Ray: this machine, or --address"
    return [Engine(name="ray", run="harness_plugins.cluster.driver:run", takes_address=True, help=about)]
