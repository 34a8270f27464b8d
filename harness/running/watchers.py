"""Calling the plugins that watch a run: none of them can stop what it watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from harness import hookspecs
from harness.registry import Registry
from harness.registry.isolation import call, isolate

if TYPE_CHECKING:
    from rich.console import Console


class Watchers:
    """The watchers of one run: those given, and new ones of every plugin that has some.

    They are registered on a plugin manager of this run alone, so that two runs at once do not share them.
    """

    def __init__(self, registry: Registry, more: Sequence[object] = (), console: Console | None = None) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for name, plugin in registry.manager.list_name_plugin():
            self._register(plugin, name)
        for group in call(registry.manager, "harness_watchers", console=console):
            for watcher in group:
                self._register(watcher)
        for watcher in more:
            self._register(watcher)

    def call(self, hook: str, **arguments: Any) -> None:
        """Call every implementation of a life-cycle hook, in pluggy's order."""
        call(self._manager, hook, **arguments)

    def _register(self, watcher: object, name: str | None = None) -> None:
        if not self._manager.is_registered(watcher):
            self._manager.register(watcher, name)
            isolate(self._manager, watcher)
