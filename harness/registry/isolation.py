"""Keep a plugin that fails in a hook from costing anybody a result: its failure becomes a warning."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pluggy

_log = logging.getLogger(__name__)

#: The hooks whose failures are warnings. A failure in any other hook, which collects what a plugin brings, makes the
#: plugin a broken one.
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
    """Make the isolated hooks of a registered plugin catch what they raise, and warn once for each hook.

    Order, ``tryfirst``, ``trylast`` and wrappers stay as pluggy has them; ``call`` guards against wrappers that raise.
    """
    for hook in ISOLATED:
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            if implementation.plugin is plugin and not (implementation.wrapper or implementation.hookwrapper):
                implementation.function = _guarded(implementation.function, implementation.plugin_name, hook)


def call(manager: pluggy.PluginManager, hook: str, **arguments: Any) -> list[Any]:
    """Call an isolated hook; what its implementations return, in pluggy's order, without None."""
    try:
        results: list[Any] = getattr(manager.hook, hook)(**arguments)
    except Exception as error:  # noqa: BLE001  only a wrapper can raise here; what it watches goes on
        _warn("a hook wrapper", hook, error)
        return []
    return results


def _guarded(function: Callable[..., Any], plugin: str, hook: str) -> Callable[..., Any]:
    warned = False

    @functools.wraps(function)
    def guarded(*arguments: Any) -> Any:
        nonlocal warned
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001  whatever a plugin does wrong, what it watches goes on
            if not warned:
                warned = True
                _warn(plugin, hook, error)
            return None

    return guarded


def _warn(culprit: str, hook: str, error: Exception) -> None:
    _log.warning("%s failed in %s: %s: %s", culprit, hook, type(error).__name__, error)
