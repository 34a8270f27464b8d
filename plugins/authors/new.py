"""Make a new plugin's package from the template beside this file."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.hookspecs import HOOKS_VERSION

if TYPE_CHECKING:
    from harness.registry import Registry

TEMPLATE = Path(__file__).parent / "template"
#: The path in the new package by the path of the template's file.
_FILES: Mapping[str, str] = {
    "pyproject.toml.j2": "pyproject.toml",
    "README.md.j2": "README.md",
    "package/__init__.py.j2": "{name}/__init__.py",
    "package/methods.py.j2": "{name}/methods.py",
    "package/tasks.py.j2": "{name}/tasks.py",
    "package/workloads.py.j2": "{name}/workloads.py",
    "package/loss.py.j2": "{name}/loss.py",
    "package/training.py.j2": "{name}/training.py",
    "package/logits.py.j2": "{name}/logits.py",
    "package/claims.toml.j2": "{name}/claims.toml",
    "package/suite.toml.j2": "{name}/{name}.toml",
    "tests/test_loss.py.j2": "tests/test_loss.py",
    "tests/test_training.py.j2": "tests/test_training.py",
}


def check_name(name: str, registry: Registry) -> None:
    """Raise UsageError with the reason if no new plugin can have this name."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"plugin name {name!r}: lower-case letters, digits and _ are allowed, as in label_smoothing")
    if name in registry.plugins:
        raise UsageError(f"plugin name {name!r}: an installed plugin has this name; see 'harness list plugins'")
    method = method_name(name)
    if method in registry.methods:
        owner = registry.owners["method", method]
        raise UsageError(f"plugin name {name!r}: the plugin {owner} already has its method {method!r}")
    if name in registry.suites:
        raise UsageError(f"plugin name {name!r}: a suite has this name already: {registry.suites[name]}")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise UsageError(f"plugin name {name!r}: an installed Python module has this name")


def make_plugin(name: str, folder: Path, registry: Registry) -> list[Path]:
    """Write the package ``folder/name`` and return the paths of its files.

    Raises UsageError if the name cannot be used, the folder exists already or cannot be written.
    """
    check_name(name, registry)
    home = folder / name
    if home.exists() or home.is_symlink():
        raise UsageError(f"{home} exists already; choose another name, or another folder for it")
    paths = []
    try:
        for path, text in rendered(name).items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text, encoding="utf-8")
            paths.append(home / path)
    except OSError as error:
        raise UsageError(f"{home} cannot be written: {error.strerror}") from None
    return paths


def rendered(name: str) -> dict[str, str]:
    """The text of each file of a new plugin, by its path inside the package."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    values = {
        "name": name,
        "project": name.replace("_", "-"),
        "method": method_name(name),
        "hooks_version": HOOKS_VERSION,
        "harness_version": importlib.metadata.version("harness"),
    }
    return {
        path.format(name=name): environment.get_template(source).render(**values) for source, path in _FILES.items()
    }


def method_name(name: str) -> str:
    """The name of a new plugin's method.

    >>> method_name("label_smoothing")
    'label-smoothing'
    """
    return name.replace("_", "-")
