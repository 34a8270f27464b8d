"""The registry: plain data on every plugin, and every method, task, data set, suite and claim file by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pluggy

from harness.errors import UnknownName, UsageError
from harness.option import Scalar
from harness.registry.digests import Sources, closure, code_digest, folder_digest, root_of
from harness.spec import Code, Dataset, Engine, Figure, Method, Role, Task, Workload

Item = TypeVar("Item")


@dataclass(frozen=True)
class Plugin:
    """A plugin, whether or not it could be loaded."""

    name: str
    #: Module name or path it was loaded from.
    origin: str
    version: str = ""
    #: Why it could not be loaded, in one sentence; None for a plugin that works.
    broken: str | None = None
    #: A warning about a plugin that works, in one sentence.
    note: str = ""
    #: The name of its module, once that is loaded.
    module: str = ""
    #: Its source: one file, or a package's folder.
    source: Path | None = None
    #: The names of what it brings, by kind.
    brings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """Digest of all its Python files, 16 hexadecimal digits; "" where it has none."""
        return folder_digest(self.source) if self.source else ""


@dataclass(frozen=True)
class Named:
    """The methods and workloads that a cell's options name (``Option.names``), by option."""

    methods: Mapping[str, Method] = field(default_factory=dict)
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    #: By name: the reference of the cell's method, and those of the methods above.
    references: Mapping[str, Method] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Registry:
    """Everything the loaded plugins bring, by name."""

    plugins: Mapping[str, Plugin]
    roles: Mapping[str, Role]
    methods: Mapping[str, Method]
    tasks: Mapping[str, Task]
    workloads: Mapping[str, Workload]
    datasets: Mapping[str, Dataset]
    figures: Mapping[str, Figure]
    engines: Mapping[str, Engine]
    #: Files of suites by the suite's name.
    suites: Mapping[str, Path]
    claim_files: tuple[Path, ...]
    #: Names of the plugins that bring a method or task: ``owners["method", "flatnce"]``.
    owners: Mapping[tuple[str, str], str]
    #: Plugins named with ``-p``, which a worker process must load too.
    extra: tuple[str, ...]
    manager: pluggy.PluginManager

    def code(self, method: str, task: str, options: Mapping[str, Scalar] | None = None) -> str:
        """Digest of the code that a cell of this method, task and options can run, 16 hexadecimal digits."""
        return code_digest(self.codes(method, task, options), self.sources)

    def modules(self, method: str, task: str, options: Mapping[str, Scalar] | None = None) -> dict[str, str]:
        """The modules and libraries behind ``code``, each with its digest or version."""
        return closure(self.codes(method, task, options), self.sources)

    def codes(self, method: str, task: str, options: Mapping[str, Scalar] | None = None) -> list[Code]:
        """The functions that a cell calls: of its method, its task, its data sets, and of what its options name."""
        named = self.named(method, task, options or {})
        codes: list[Code] = [self.methods[method].build, self.tasks[task].run]
        codes += [self.datasets[name].load for name in self.tasks[task].datasets if name in self.datasets]
        codes += [other.build for other in (*named.methods.values(), *named.references.values())]
        for workload in named.workloads.values():
            codes += [workload.inputs, workload.call, workload.bytes, workload.flops, *workload.extremes.values()]
        return codes

    def named(self, method: str, task: str, options: Mapping[str, Scalar]) -> Named:
        """The methods and workloads that a cell's options name. Raises UnknownName for one that the role lacks."""
        declared = self.tasks[task].options
        if not any(option.names for option in declared.values()):
            return Named()
        workloads = self._named_workloads(task, options)
        baseline = next((workload.baseline for workload in workloads.values()), "")
        methods: dict[str, Method] = {}
        candidates = {m.name: m for m in self.methods.values() if m.role == self.tasks[task].role}
        for option in (name for name, o in declared.items() if o.names == "method"):
            name = str(options.get(option, "")) or baseline
            if name not in candidates:
                raise UnknownName("method", name, candidates, where=f"task {task}: option {option}")
            methods[option] = candidates[name]
        used = [self.methods[method], *methods.values()]
        return Named(methods, workloads, {m.name: self.methods[m.reference or m.name] for m in used})

    def _named_workloads(self, task: str, options: Mapping[str, Scalar]) -> dict[str, Workload]:
        role = self.tasks[task].role
        workloads: dict[str, Workload] = {}
        candidates = {w.name: w for w in self.workloads.values() if w.role == role}
        for option in (name for name, o in self.tasks[task].options.items() if o.names == "workload"):
            if not candidates:
                raise UsageError(f"task {task}: no plugin brings a workload of the role {role!r}")
            name = str(options.get(option, "")) or next(iter(candidates))
            if name not in candidates:
                raise UnknownName("workload", name, candidates, where=f"task {task}: option {option}")
            workloads[option] = candidates[name]
        return workloads

    def plugins_of(self, method: str, task: str, options: Mapping[str, Scalar] | None = None) -> list[str]:
        """Names of the plugins whose modules a cell can run."""
        modules = self.modules(method, task, options)
        return [
            name
            for name, plugin in self.plugins.items()
            if plugin.module
            and any(module == plugin.module or module.startswith(f"{plugin.module}.") for module in modules)
        ]

    @cached_property
    def sources(self) -> Sources:
        """Where the source files of the plugins are."""
        loaded = [plugin for plugin in self.plugins.values() if plugin.module and not plugin.broken]
        roots = dict(filter(None, (root_of(plugin.module) for plugin in loaded)))
        packages = {plugin.module for plugin in loaded if plugin.source and plugin.source.is_dir()}
        return Sources({top: root for top, root in roots.items() if top != "harness"}, frozenset(packages))


#: What to do where a name is not known.
NOT_INSTALLED = "a plugin that is not installed is named with -p"


class Names(dict[str, Item]):
    """A mapping by name. Looking up an unknown name raises an error that names the nearest known one."""

    def __init__(self, kind: str, plugins: Mapping[str, Plugin] | None = None) -> None:
        super().__init__()
        self._kind = kind
        self._plugins = {} if plugins is None else plugins

    def __missing__(self, name: str) -> Item:
        error = UnknownName(self._kind, name, self, hint=NOT_INSTALLED)
        broken = [plugin.name for plugin in self._plugins.values() if plugin.broken]
        if broken and not error.nearest:
            raise UsageError(f"{error} (broken plugins: {', '.join(broken)}; see 'harness list plugins')")
        raise error
