"""Progress of a suite on a console: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    from rich.console import Console


@hookimpl
def harness_watchers(console: Console | None) -> list[object]:
    """A progress bar, where somebody watches."""
    if console is None:
        return []
    from harness_plugins.progress.watcher import ProgressWatcher

    return [ProgressWatcher(console)]
