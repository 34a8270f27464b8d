"""Makes a new plugin's package from the template beside this file."""

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
#: Each file of the template with the path it becomes; both of these are templates.
_FILES: Mapping[str, str] = {
    "pyproject.toml.j2": "pyproject.toml",
    "README.md.j2": "README.md",
    "package/__init__.py.j2": "{name}/__init__.py",
    "package/loss.py.j2": "{name}/loss.py",
    "package/task.py.j2": "{name}/task.py",
    "package/workload.py.j2": "{name}/workload.py",
    "package/claims.toml.j2": "{name}/claims.toml",
    "package/suite.toml.j2": "{name}/{name}.toml",
    "tests/test_package.py.j2": "tests/test_{name}.py",
}


def check_name(name: str, registry: Registry) -> None:
    """Raise UsageError, with what is wrong, for a name that no new plugin can have."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"plugin name {name!r}: lower-case letters, digits and _ are allowed, as in label_smoothing")
    if name in registry.plugins:
        raise UsageError(f"plugin name {name!r} is taken by an installed plugin; 'harness list plugins' shows them")
    method = method_name(name)
    if method in registry.methods:
        raise UsageError(f"plugin name {name!r}: its method would be {method!r}, which {_owner(method, registry)} has")
    if name in registry.suites:
        raise UsageError(f"plugin name {name!r}: a suite of that name is there already, {registry.suites[name]}")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise UsageError(f"plugin name {name!r}: a Python module of that name is installed already")


def make_plugin(name: str, folder: Path, registry: Registry) -> list[Path]:
    """Write the package ``folder/name`` and give the files written.

    Raises UsageError for a name that cannot be used, and for a folder that is there already.
    """
    check_name(name, registry)
    home = folder / name
    if home.exists() or home.is_symlink():
        raise UsageError(f"{home} is there already; give another name, or another folder to put it in")
    written = []
    try:
        for path, text in rendered(name).items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text, encoding="utf-8")
            written.append(home / path)
    except OSError as error:
        raise UsageError(f"{home} cannot be written: {error.strerror}") from None
    return written


def rendered(name: str) -> dict[str, str]:
    """The text of each file of a new plugin, by its path inside the package."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    names = {
        "name": name,
        "project": name.replace("_", "-"),
        "method": method_name(name),
        "hooks_version": HOOKS_VERSION,
        "harness_version": importlib.metadata.version("harness"),
    }
    return {path.format(name=name): environment.get_template(source).render(**names) for source, path in _FILES.items()}


def method_name(name: str) -> str:
    """What the method of a plugin is called.

    >>> method_name("label_smoothing")
    'label-smoothing'
    """
    return name.replace("_", "-")


def _owner(method: str, registry: Registry) -> str:
    return f"the plugin {registry.owners['method', method]}"
