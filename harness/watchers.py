"""Calling plugins that watch a run or add to the command line: none of them can stop what it watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pluggy

    from harness.registry import Registry


class Watchers:
    """Calls the life-cycle hooks. A watcher that raises costs a warning, once, and never a result."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._told: set[tuple[str, str]] = set()

    def call(self, hook: str, **arguments: Any) -> None:
        """Call every implementation of a hook, each on its own."""
        call_each(self._manager, hook, self._told, **arguments)


@contextmanager
def watching(registry: Registry, more: Sequence[object] = ()) -> Iterator[Watchers]:
    """The watchers of one run: those given, and fresh ones of every plugin that has some."""
    manager = registry.manager
    own = [watcher for group in call_each(manager, "harness_watchers") for watcher in group]
    fresh = [watcher for watcher in (*more, *own) if not manager.is_registered(watcher)]
    for watcher in fresh:
        manager.register(watcher)
    try:
        yield Watchers(manager)
    finally:
        for watcher in fresh:
            manager.unregister(watcher)


def call_each(
    manager: pluggy.PluginManager, hook: str, told: set[tuple[str, str]] | None = None, **arguments: Any
) -> list[Any]:
    """What each implementation of a hook returns; one that raises is told of, unless it stands in ``told``."""
    results = []
    told = set() if told is None else told
    for implementation in reversed(getattr(manager.hook, hook).get_hookimpls()):
        name = implementation.plugin_name
        try:
            results.append(implementation.function(*(arguments[a] for a in implementation.argnames)))
        except Exception as error:  # noqa: BLE001  whatever a plugin does wrong here, what it watches goes on
            if (name, hook) not in told:
                told.add((name, hook))
                tell(f"warning: {name} failed in {hook}: {type(error).__name__}: {error}")
    return results


def tell(text: str) -> None:
    """Say something to whoever started the run."""
    print(text, file=sys.stderr)  # noqa: T201  there may be no console: the harness is a library too
