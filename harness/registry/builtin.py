"""The plugin the harness brings itself: the local engine and the folder of suites."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Engine


@hookimpl
def harness_engines() -> list[Engine]:
    """Worker processes on this machine."""
    local = "harness.running.engines.local"
    return [
        Engine(name="local", run=f"{local}:run", prepare=f"{local}:prepare", help="worker processes on this machine")
    ]


@hookimpl
def harness_suites() -> list[Path]:
    """The suites of the distribution."""
    return [Path(str(importlib.resources.files("harness_suites")))]
