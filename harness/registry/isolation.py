"""Keep a plugin that fails in a hook from costing anybody a result: its failure becomes a warning."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator
from typing import Any

import pluggy

_log = logging.getLogger(__name__)

#: Hooks whose implementations may fail without harm. The others collect what a plugin brings, where a failure makes
#: the plugin a broken one.
ISOLATED = (
    "harness_commands",
    "harness_doctor",
    "harness_watchers",
    "harness_suite_started",
    "harness_cell_started",
    "harness_cell_progress",
    "harness_cell_finished",
    "harness_suite_finished",
)


def isolate(manager: pluggy.PluginManager, plugin: object) -> None:
    """Make the isolated hooks of a registered plugin catch what they raise, and warn of it once for each hook.

    Order, ``tryfirst``, ``trylast`` and wrappers stay as pluggy has them.
    """
    for hook in ISOLATED:
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            if implementation.plugin is plugin and not implementation.hookwrapper:
                guard = _guarded_wrapper if implementation.wrapper else _guarded
                warn = _Warning(implementation.plugin_name, hook)
                implementation.function = guard(implementation.function, warn)


class _Warning:
    """Warns of the first failure of one implementation."""

    def __init__(self, plugin: str, hook: str) -> None:
        self._plugin, self._hook = plugin, hook
        self._given = False

    def __call__(self, error: Exception) -> None:
        if not self._given:
            self._given = True
            _log.warning("%s failed in %s: %s: %s", self._plugin, self._hook, type(error).__name__, error)


def _guarded(function: Callable[..., Any], warn: _Warning) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001  whatever a plugin does wrong, what it watches goes on
            warn(error)
            return None

    return call


def _guarded_wrapper(function: Callable[..., Any], warn: _Warning) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any) -> Generator[None, Any, Any]:
        wrapper = function(*arguments)
        try:
            next(wrapper)
        except Exception as error:  # noqa: BLE001
            warn(error)
            return (yield)
        result = yield
        try:
            wrapper.send(result)
        except StopIteration as end:
            return end.value
        except Exception as error:  # noqa: BLE001
            warn(error)
        return result

    return call
