"""Fill a registry: load plugins one by one and collect what each of them brings.

A plugin that fails to import, or brings something malformed or a name that is taken, is listed as broken with
its reason; the others are not affected.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from harness import hookspecs
from harness.errors import UsageError, suggestion
from harness.registry import builtin
from harness.registry.importing import (
    Rejected,
    check_hooks,
    guarded,
    import_installed,
    import_origin,
    import_seconds,
    reason,
)
from harness.registry.isolation import isolate
from harness.registry.registry import Names, Plugin, Registry
from harness.spec import Dataset, Engine, Figure, Method, Role, Task, Workload

#: Entry-point group in which installed plugins name their module.
GROUP = "harness.plugins"

#: By collecting hook: the registry's field that it fills, and the type of one item.
_NOUNS: Mapping[str, tuple[str, type]] = {
    "harness_roles": ("roles", Role),
    "harness_methods": ("methods", Method),
    "harness_tasks": ("tasks", Task),
    "harness_workloads": ("workloads", Workload),
    "harness_datasets": ("datasets", Dataset),
    "harness_figures": ("figures", Figure),
    "harness_engines": ("engines", Engine),
    "harness_claims": ("claim_files", Path),
    "harness_suites": ("suite_files", Path),
}


def load_registry(extra: Sequence[str] = ()) -> Registry:
    """Load the built-in plugin, every installed one, and those named in ``extra`` (module names or paths).

    An installed plugin that is broken is listed with its reason. One in ``extra`` was named by the user, so it raises
    UsageError.
    """
    import_seconds()  # A wrong one is reported once, not as every plugin's fault.
    builder = _Builder()
    builder.add(Plugin("harness", "harness.registry.builtin", _version("harness")), builtin)
    _load_installed(builder)
    for origin in dict.fromkeys(extra):
        try:
            with guarded() as printed:
                module = import_origin(origin)
                builder.add(Plugin(module.__name__, origin), module)
            builder.note(module.__name__, printed.getvalue())
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise UsageError(f"plugin {origin} cannot be used: {reason(error, Path(origin).stem)}") from error
    builder.drop_dangling()
    builder.add_tasks_of_roles()
    for plugin in builder.plugins.values():
        if plugin.broken and plugin.origin in extra:
            raise UsageError(f"plugin {plugin.origin} cannot be used: {plugin.broken}")
    return builder.finish(extra)


def _load_installed(builder: _Builder) -> None:
    """Load the plugins that installed distributions name; one that fails is listed as broken."""
    # Reading a distribution's version parses all its metadata: once each, not once per plugin.
    versions: dict[int, str] = {}
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda e: e.name):
        if entry.dist is not None and id(entry.dist) not in versions:
            versions[id(entry.dist)] = entry.dist.version
        plugin = Plugin(entry.name, entry.value, versions.get(id(entry.dist), ""))
        if entry.name in builder.plugins:
            broken = f"another plugin has its name: {entry.name} from {builder.plugins[entry.name].origin}"
            builder.plugins[f"{entry.name} ({entry.value})"] = replace(plugin, broken=broken)
            continue
        try:
            with guarded() as printed:
                builder.add(plugin, import_installed(entry.value))
            builder.note(plugin.name, printed.getvalue())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  a plugin may fail in any way, sys.exit included
            builder.plugins[plugin.name] = replace(plugin, broken=reason(error, entry.value))


class _Builder:
    """Takes plugins in one by one; what a plugin brings is added whole or not at all."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.plugins: dict[str, Plugin] = {}
        self.owners: dict[tuple[str, str], str] = {}
        self.items: dict[str, Names[Any]] = {
            kind: Names(_singular(kind).replace("_", " "), self.plugins) for kind, _ in _NOUNS.values()
        }

    def add(self, plugin: Plugin, module: ModuleType) -> None:
        """Register a module's hooks and what they return. Raises Rejected and leaves no trace of a bad one."""
        if plugin.name in self.plugins:
            raise Rejected(f"another plugin has its name: {plugin.name} from {self.plugins[plugin.name].origin}")
        try:
            self.manager.register(module, plugin.name)
            check_hooks(module)
            brought = self._collect(module)
        except BaseException:
            if self.manager.has_plugin(plugin.name):
                self.manager.unregister(name=plugin.name)
            raise
        isolate(self.manager, module)
        for kind, items in brought.items():
            self.items[kind].update(items)
            self.owners.update({(_singular(kind), name): plugin.name for name in items})
        brings = {kind: tuple(items) for kind, items in brought.items() if items}
        self.plugins[plugin.name] = replace(plugin, brings=brings, source=_source(module), module=module.__name__)

    def note(self, name: str, printed: str) -> None:
        """Remember that a plugin prints when it is imported."""
        if text := " ".join(printed.split()):
            note = f"prints on import (suppressed): {text[:80]!r}"
            self.plugins[name] = replace(self.plugins[name], note=note)

    def _collect(self, module: ModuleType) -> dict[str, dict[str, Any]]:
        """What a plugin brings, by kind and name."""
        brought: dict[str, dict[str, Any]] = {kind: {} for kind, _ in _NOUNS.values()}
        for hook, (kind, noun) in _NOUNS.items():
            for implementation in getattr(self.manager.hook, hook).get_hookimpls():
                if implementation.plugin is not module:
                    continue
                items = implementation.function()
                if not isinstance(items, Iterable):
                    raise Rejected(f"{hook} returned {items!r}, not a list")
                for item in items:
                    if not isinstance(item, noun):
                        raise Rejected(f"{hook} returned {item!r}, which is no {noun.__name__}")
                    for name, named_item in _with_names(kind, item):
                        if name in brought[kind] or name in self.items[kind]:
                            owner = self.owners.get((_singular(kind), name), "itself")
                            raise Rejected(f"its {_singular(kind)} {name!r} is already brought by {owner}")
                        brought[kind][name] = named_item
        return brought

    def drop_dangling(self) -> None:
        """List a plugin as broken, and forget what it brought, if it names a method that its role does not have.

        Runs when all are loaded, since a baseline may be another plugin's; again after each plugin that goes.
        """
        while dangling := self._dangling():
            name, problem = dangling
            for kind, items in self.plugins[name].brings.items():
                for item in items:
                    del self.items[kind][item]
                    self.owners.pop((_singular(kind), item))
            self.manager.unregister(name=name)
            self.plugins[name] = replace(self.plugins[name], broken=problem, brings={})

    def add_tasks_of_roles(self) -> None:
        """Add the tasks that plugins offer for every role. A plugin that fails here is listed as broken."""
        for implementation in self.manager.hook.harness_tasks_of_role.get_hookimpls():
            name = implementation.plugin_name
            for role in list(self.items["roles"].values()):
                workloads = [w for w in self.items["workloads"].values() if w.role == role.name]
                arguments = {"role": role, "workloads": workloads}
                try:
                    tasks: Any = implementation.function(*(arguments[a] for a in implementation.argnames))
                    self._add_tasks(tasks, name)
                except Exception as error:  # noqa: BLE001  a plugin may fail in any way
                    self.plugins[name] = replace(self.plugins[name], broken=reason(error))
                    break

    def _add_tasks(self, tasks: Iterable[object], plugin: str) -> None:
        for task in tasks:
            if not isinstance(task, Task):
                raise Rejected(f"harness_tasks_of_role returned {task!r}, which is no Task")
            if task.name in self.items["tasks"]:
                raise Rejected(f"its task {task.name!r} is already brought by {self.owners['task', task.name]}")
            self.items["tasks"][task.name] = task
            self.owners["task", task.name] = plugin
            brings = dict(self.plugins[plugin].brings)
            brings["tasks"] = (*brings.get("tasks", ()), task.name)
            self.plugins[plugin] = replace(self.plugins[plugin], brings=brings)

    def _dangling(self) -> tuple[str, str] | None:
        """A plugin whose reference or baseline is no method of the role, and a sentence about it."""
        methods: Mapping[str, Method] = self.items["methods"]
        named = [(("method", m.name), m.role, "reference", m.reference) for m in methods.values() if m.reference]
        workloads = self.items["workloads"].values()
        named += [(("workload", w.name), w.role, "baseline", w.baseline) for w in workloads]
        for (kind, name), role, what, method in named:
            if method not in methods or methods[method].role != role:
                known = [m.name for m in methods.values() if m.role == role]
                problem = f"its {kind} {name!r} has the {what} {method!r}, which is no method of the role {role!r}"
                return self.owners[kind, name], problem + suggestion(method, known)
        return None

    def finish(self, extra: Sequence[str]) -> Registry:
        """The registry as built so far."""
        items = self.items
        suites: Names[Path] = Names("suite", self.plugins)
        suites.update({Path(name).stem: path for name, path in items["suite_files"].items()})
        return Registry(
            plugins=self.plugins,
            roles=items["roles"],
            methods=items["methods"],
            tasks=items["tasks"],
            workloads=items["workloads"],
            datasets=items["datasets"],
            figures=items["figures"],
            engines=items["engines"],
            suites=suites,
            claim_files=tuple(items["claim_files"].values()),
            owners=self.owners,
            extra=tuple(extra),
            manager=self.manager,
        )


def _singular(kind: str) -> str:
    return kind.removesuffix("s")


def _with_names(kind: str, item: Any) -> list[tuple[str, Any]]:
    """An item with its name; a folder of suites gives one for each file in it."""
    if kind == "suite_files":
        files = sorted(item.glob("*.toml")) if item.is_dir() else [item]
        return [(f.name, f) for f in files]
    return [(str(item) if kind == "claim_files" else item.name, item)]


def _source(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    return Path(file).parent if Path(file).name == "__init__.py" else Path(file)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
