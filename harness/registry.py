"""The registry: loads plugins one by one and answers for every method, task, data set, suite and claim by name.

A plugin that fails to import, or brings something malformed or a name that is taken, is listed as broken with
its reason; the others are not touched by it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from harness import hookspecs
from harness.errors import FileError, UnknownName, UsageError, suggestion
from harness.loading import Rejected, check_hooks, guarded, import_installed, import_origin, import_seconds, reason
from harness.spec import Dataset, Engine, Figure, Method, Task, Workload

if TYPE_CHECKING:
    from harness.claims import Claim

Item = TypeVar("Item")

#: Entry-point group in which installed plugins name their module.
GROUP = "harness.plugins"

#: What each collecting hook gives: the registry's field it fills, and the type of one item.
_NOUNS: Mapping[str, tuple[str, type]] = {
    "harness_methods": ("methods", Method),
    "harness_tasks": ("tasks", Task),
    "harness_workloads": ("workloads", Workload),
    "harness_datasets": ("datasets", Dataset),
    "harness_figures": ("figures", Figure),
    "harness_engines": ("engines", Engine),
    "harness_claims": ("claim_files", Path),
    "harness_suites": ("suite_files", Path),
}


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found, whether or not it could be loaded."""

    name: str
    #: Module name or path it was loaded from.
    origin: str
    version: str = ""
    #: Why it could not be loaded, in one sentence; None for a plugin that works.
    broken: str | None = None
    #: What a person who has it installed should know although it works, in one sentence.
    note: str = ""
    #: Its source: one file, or a package's folder.
    source: Path | None = None
    #: What it brings, by kind.
    brings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """Digest of its source code, part of the key of every cell that uses it."""
        return code_digest(self.source) if self.source else ""


@dataclass(frozen=True)
class Registry:
    """Everything the loaded plugins bring, by name."""

    plugins: Mapping[str, Plugin]
    methods: Mapping[str, Method]
    tasks: Mapping[str, Task]
    workloads: Mapping[str, Workload]
    datasets: Mapping[str, Dataset]
    figures: Mapping[str, Figure]
    engines: Mapping[str, Engine]
    #: Suites' files by name.
    suites: Mapping[str, Path]
    claim_files: tuple[Path, ...]
    #: Names of the plugins that bring a method or task: ``owners["method", "flatnce"]``.
    owners: Mapping[tuple[str, str], str]
    #: Plugins given by hand (``-p``), which a worker process must load too.
    extra: tuple[str, ...]
    manager: pluggy.PluginManager

    @property
    def claims(self) -> Mapping[str, Claim]:
        """Every claim of every plugin by id, read when first asked for."""
        return self._claims[0]

    @property
    def claim_problems(self) -> tuple[str, ...]:
        """Why claim files could not be read; the claims of the others are there all the same."""
        return self._claims[1]

    @cached_property
    def _claims(self) -> tuple[Mapping[str, Claim], tuple[str, ...]]:
        from harness.claims import read_claims

        found: _Names[Claim] = _Names("claim")
        problems = []
        for path in self.claim_files:
            try:
                claims = read_claims(path)
            except FileError as error:
                problems.append(str(error))
                continue
            if taken := [i for i in claims if i in found]:
                problems.append(f"{path}: claims that another plugin has too are left out: {', '.join(taken)}")
            found.update({i: claim for i, claim in claims.items() if i not in found})
        return found, tuple(problems)

    def code(self, method: str, task: str) -> str:
        """Digest of the code of the plugins that a cell of this method and task runs."""
        names = self.plugins_of(method, task)
        return hashlib.sha256("".join(sorted(self.plugins[n].code for n in names)).encode()).hexdigest()[:16]

    def plugins_of(self, method: str, task: str) -> set[str]:
        """Names of the plugins that bring a method, a task and its data sets, and of those that these import."""
        waiting = [self.owners["method", method], self.owners["task", task]]
        waiting += [self.owners["dataset", name] for name in self.tasks[task].datasets if name in self.datasets]
        names: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in names:
                names.add(name)
                waiting += self._imported_by(name)
        return names

    def _imported_by(self, name: str) -> list[str]:
        """Other plugins whose modules this one's source imports."""
        source = self.plugins[name].source
        modules = imported_modules(source) if source else frozenset()
        return [
            other
            for other, plugin in self.plugins.items()
            if any(module == plugin.origin or module.startswith(f"{plugin.origin}.") for module in modules)
        ]


class _Names(dict[str, Item]):
    """A mapping by name whose error for a name that is not there says which ones are, and which plugins are not."""

    def __init__(self, kind: str, plugins: Mapping[str, Plugin] | None = None) -> None:
        super().__init__()
        self._kind = kind
        self._plugins = {} if plugins is None else plugins

    def __missing__(self, name: str) -> Item:
        error = UnknownName(self._kind, name, self)
        broken = [plugin.name for plugin in self._plugins.values() if plugin.broken]
        if broken and not error.nearest:
            raise UsageError(f"{error} (broken plugins: {', '.join(broken)}; see 'harness list plugins')")
        raise error


class _Builder:
    """Takes plugins in one by one; what a plugin brings is added whole or not at all."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.plugins: dict[str, Plugin] = {}
        self.owners: dict[tuple[str, str], str] = {}
        self.found: dict[str, _Names[Any]] = {
            kind: _Names(kind.removesuffix("s").replace("_", " "), self.plugins) for kind, _ in _NOUNS.values()
        }

    def add(self, plugin: Plugin, module: ModuleType) -> None:
        """Register a module's hooks and what they give. Raises Rejected and leaves no trace of a bad one."""
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
        for kind, items in brought.items():
            self.found[kind].update(items)
            self.owners.update({(kind.removesuffix("s"), name): plugin.name for name in items})
        brings = {kind: tuple(items) for kind, items in brought.items() if items}
        self.plugins[plugin.name] = replace(plugin, brings=brings, source=_source(module))

    def note(self, name: str, printed: str) -> None:
        """Remember that a plugin prints when it is imported."""
        if text := " ".join(printed.split()):
            told = f"it prints when it is imported, which is kept from you: {text[:80]!r}"
            self.plugins[name] = replace(self.plugins[name], note=told)

    def _collect(self, module: ModuleType) -> dict[str, dict[str, Any]]:
        brought: dict[str, dict[str, Any]] = {kind: {} for kind, _ in _NOUNS.values()}
        for hook, (kind, wanted) in _NOUNS.items():
            for implementation in getattr(self.manager.hook, hook).get_hookimpls():
                if implementation.plugin is not module:
                    continue
                items = implementation.function()
                if not isinstance(items, Iterable):
                    raise Rejected(f"{hook} returned {items!r}, not a list")
                for item in items:
                    if not isinstance(item, wanted):
                        raise Rejected(f"{hook} returned {item!r}, which is no {wanted.__name__}")
                    for name, one in _named(kind, item):
                        if name in brought[kind] or name in self.found[kind]:
                            owner = self.owners.get((kind.removesuffix("s"), name), "itself")
                            raise Rejected(f"its {kind.removesuffix('s')} {name!r} is already brought by {owner}")
                        brought[kind][name] = one
        return brought

    def drop_dangling(self) -> None:
        """List a plugin as broken, and forget what it brought, if it names a method that its role does not have.

        Asked when all are loaded, since a baseline may be another plugin's; again after each plugin that goes.
        """
        while dangling := self._dangling():
            name, problem = dangling
            for kind, items in self.plugins[name].brings.items():
                for item in items:
                    del self.found[kind][item]
                    self.owners.pop((kind.removesuffix("s"), item))
            self.manager.unregister(name=name)
            self.plugins[name] = replace(self.plugins[name], broken=problem, brings={})

    def _dangling(self) -> tuple[str, str] | None:
        methods: Mapping[str, Method] = self.found["methods"]
        named = [(("method", m.name), m.role, "reference", m.reference) for m in methods.values() if m.reference]
        workloads = self.found["workloads"].values()
        named += [(("workload", w.name), w.role, "baseline", w.baseline) for w in workloads]
        for (kind, name), role, what, method in named:
            if method not in methods or methods[method].role != role:
                known = [m.name for m in methods.values() if m.role == role]
                problem = f"its {kind} {name!r} has the {what} {method!r}, which is no method of the role {role!r}"
                return self.owners[kind, name], problem + suggestion(method, known)
        return None

    def _suites(self) -> _Names[Path]:
        suites: _Names[Path] = _Names("suite", self.plugins)
        suites.update({Path(name).stem: path for name, path in self.found["suite_files"].items()})
        return suites

    def finish(self, extra: Sequence[str]) -> Registry:
        """The registry as built so far."""
        found = self.found
        return Registry(
            plugins=self.plugins,
            methods=found["methods"],
            tasks=found["tasks"],
            workloads=found["workloads"],
            datasets=found["datasets"],
            figures=found["figures"],
            engines=found["engines"],
            suites=self._suites(),
            claim_files=tuple(found["claim_files"].values()),
            owners=self.owners,
            extra=tuple(extra),
            manager=self.manager,
        )


def load_registry(extra: Sequence[str] = ()) -> Registry:
    """Load the built-in plugin, every installed one, and those named in ``extra`` (module names or paths).

    An installed plugin that is broken is listed with its reason. One in ``extra`` was asked for, so it raises
    UsageError.
    """
    from harness import builtin

    import_seconds()  # A wrong one is told once, not as every plugin's fault.
    builder = _Builder()
    builder.add(Plugin("harness", "harness.builtin", _version("harness")), builtin)
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda e: e.name):
        plugin = Plugin(entry.name, entry.value, entry.dist.version if entry.dist else "")
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
    for plugin in builder.plugins.values():
        if plugin.broken and plugin.origin in extra:
            raise UsageError(f"plugin {plugin.origin} cannot be used: {plugin.broken}")
    return builder.finish(extra)


@cache
def code_digest(source: Path) -> str:
    """Digest of a file, or of every file of a package that can change what a cell computes.

    Claims, suites and prose say what is asked of a result, not how it comes about, so they are left out.
    """
    files = _with_siblings(source) if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    for file in files:
        if "__pycache__" not in file.parts and file.suffix not in (".toml", ".md", ".pyc"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def imported_modules(source: Path) -> frozenset[str]:
    """Names of the modules that a file, or the files of a package, import anywhere in their text."""
    files = [source] if source.is_file() else source.rglob("*.py")
    return frozenset(name for file in files for name in _imports(file))


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            # What is imported may itself be a module: ``from package import module``.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _with_siblings(file: Path) -> list[Path]:
    """A module's file and those beside it that it imports, directly or not."""
    found = {file}
    waiting = [file]
    while waiting:
        for name in _imports(waiting.pop()):
            sibling = file.parent / f"{name.partition('.')[0]}.py"
            if sibling.is_file() and sibling not in found:
                found.add(sibling)
                waiting.append(sibling)
    return sorted(found)


def _named(kind: str, item: Any) -> list[tuple[str, Any]]:
    """An item with the name it goes by; a folder of suites gives one for each file in it."""
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
