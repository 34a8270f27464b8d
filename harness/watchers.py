"""Calling those who watch a run: progress, MLflow, anybody's plugin on the life-cycle hooks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pluggy

    from harness.registry import Registry


class Watchers:
    """Calls the life-cycle hooks. A watcher that raises costs a warning, never a result."""

    def __init__(self, registry: Registry, more: Sequence[object]) -> None:
        self._manager: pluggy.PluginManager = registry.manager
        own = [watcher for group in self._manager.hook.harness_watchers() for watcher in group]
        self._more = [watcher for watcher in (*more, *own) if not self._manager.is_registered(watcher)]
        for watcher in self._more:
            self._manager.register(watcher)
        self._muted: set[tuple[str, str]] = set()

    def call(self, hook: str, **arguments: Any) -> None:
        """Call every implementation of a hook, each on its own."""
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            name = implementation.plugin_name
            try:
                implementation.function(*(arguments[a] for a in implementation.argnames))
            except Exception as error:  # noqa: BLE001  whatever a watcher does wrong, the cells go on
                if (name, hook) not in self._muted:
                    self._muted.add((name, hook))
                    tell(f"warning: {name} failed in {hook}: {type(error).__name__}: {error}")
        if hook == "harness_suite_finished":
            for watcher in self._more:
                self._manager.unregister(watcher)


def tell(text: str) -> None:
    """Say something to whoever started the run."""
    print(text, file=sys.stderr)  # noqa: T201  there may be no console: the harness is a library too
