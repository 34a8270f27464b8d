"""Digests of the code that a cell can run: the modules that its functions' modules import, directly or not.

Only sources of plugins count. The core is covered by ``harness.cell.PROTOCOL``; code that an installed library brings
is named by the library and its version.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from harness.spec import Code

#: A string of a module that may name a file beside it.
_FILE_NAME = re.compile(r"[\w-]+\.\w+")


@dataclass(frozen=True)
class Sources:
    """Where the modules of plugins are."""

    #: By top-level name: a package's folder, or a module's file.
    roots: Mapping[str, Path]
    #: The modules with the hooks of plugins that are packages. Importing a module runs them as its parents, but they
    #: hold no code that a cell runs unless it is imported from them by name.
    hooks: frozenset[str] = frozenset()

    @cached_property
    def _folders(self) -> set[Path]:
        """The folders of plugins of one file."""
        return {root.parent for root in self.roots.values() if root.is_file()}

    def file(self, module: str, beside: Path | None = None) -> Path | None:
        """The source file of a module; None where it is no plugin's.

        ``beside`` is the file that imports it: a plugin of one file may import files beside it.
        """
        top, *parts = module.split(".")
        root = self.roots.get(top)
        if root is None and beside is not None and beside.parent in self._folders:
            sibling = beside.parent / f"{top}.py"
            root = sibling if sibling.is_file() else None
        if root is None:
            return None
        if root.is_file():
            return None if parts else root
        place = root.joinpath(*parts)
        for file in (place.with_suffix(".py") if parts else None, place / "__init__.py"):
            if file is not None and file.is_file():
                return file
        return None


def code_digest(codes: Iterable[Code], sources: Sources) -> str:
    """Digest of everything that these functions can run, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, content in sorted(closure(codes, sources).items()):
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def closure(codes: Iterable[Code], sources: Sources) -> dict[str, str]:
    """What these functions can run: the digest of each module's file by name, and each library's version by name.

    A module counts with the files beside it that its text names, such as a table that it reads.
    """
    content: dict[str, str] = {}
    waiting: list[tuple[str, Path | None]] = []
    for code in codes:
        for module in _modules_of(code):
            if sources.file(module) is None:
                library, version = _library(module)
                content[f"library {library}"] = version
            else:
                waiting.append((module, None))
    while waiting:
        module, beside = waiting.pop()
        file = sources.file(module, beside)
        if module in content or file is None:
            continue
        scan = _scan(file, file.stat().st_mtime_ns, file.stat().st_size)
        content[module] = scan.digest
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for name in scan.beside:
            content[f"{module} reads {name}"] = hashlib.sha256((file.parent / name).read_bytes()).hexdigest()
        waiting += [(name, file) for name in _parents(module) if name not in sources.hooks]
        waiting += [(name, file) for name in _imported(scan, package, sources, file)]
    return content


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _imported(scan: _Scan, package: str, sources: Sources, file: Path) -> Iterator[str]:
    """The modules of plugins that a scanned file imports, by their full names."""
    for level, base, names in scan.imports:
        if level:
            above = package.split(".")[: len(package.split(".")) - level + 1]
            base = ".".join([*above, base] if base else above)
        submodules = [f"{base}.{name}" for name in names if sources.file(f"{base}.{name}", file)]
        yield from submodules
        # ``from package import function`` runs what stands in the package itself.
        if len(submodules) < len(names) or not names:
            yield base


def folder_digest(source: Path) -> str:
    """Digest of a Python file, or of all Python files below a folder, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in [source] if source.is_file() else sorted(source.rglob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class _Scan:
    """One source file, read."""

    digest: str
    #: (level, module, names) of each import statement; no names for ``import module``.
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]
    #: Files beside it that its strings name.
    beside: tuple[str, ...]


@cache
def _scan(file: Path, modified: int, size: int) -> _Scan:  # noqa: ARG001  they tell one state of the file from another
    text = file.read_bytes()
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    strings: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _FILE_NAME.fullmatch(node.value):
            strings.add(node.value)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
    beside = [s for s in strings if not s.endswith(".py") and (file.parent / s).is_file()]
    return _Scan(hashlib.sha256(text).hexdigest(), tuple(imports), tuple(sorted(beside)))


def _modules_of(code: Code) -> set[str]:
    """The modules of a function, of what it wraps and of the functions that it closes over."""
    modules: set[str] = set()
    waiting: list[Any] = [code]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, str):
            modules.add(one.partition(":")[0])
        elif isinstance(one, partial):
            waiting += [v for v in (one.func, *one.args, *one.keywords.values()) if _is_code(v)]
        else:
            # functools.wraps gives a wrapper the module of what it wraps; its globals know its own.
            own = getattr(one, "__globals__", {}).get("__name__")
            modules.add(own or getattr(one, "__module__", None) or type(one).__module__)
            waiting += [w for w in (getattr(one, "__wrapped__", None),) if w is not None]
            cells = (cell.cell_contents for cell in getattr(one, "__closure__", None) or () if _filled(cell))
            waiting += [value for value in cells if _is_code(value)]
    return modules


def _is_code(value: object) -> bool:
    return isinstance(value, Callable) and not isinstance(value, str)  # type: ignore[arg-type]


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _library(module: str) -> tuple[str, str]:
    """The installed package that brings a module, and its version; Python itself for its own library."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return "python", ".".join(platform.python_version_tuple()[:2])
    for name in (top, *_distributions().get(top, ())):
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return top, ""


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def root_of(module: str) -> tuple[str, Path] | None:
    """A module's top-level package with its folder, or its file where it is a module alone."""
    top = module.partition(".")[0]
    loaded = sys.modules.get(top)
    folders = list(getattr(loaded, "__path__", []))
    file = getattr(loaded, "__file__", None)
    if folders:
        return top, Path(folders[0])
    return (top, Path(file)) if file else None
