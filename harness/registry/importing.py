"""Import a plugin; turn any failure into a one-line reason."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

from harness.errors import HarnessError, UsageError, suggestion
from harness.hookspecs import HOOKS_VERSION, OLDEST_HOOKS, PROJECT, hook_names

#: Seconds a plugin may take to be imported and to say what it brings; $HARNESS_IMPORT_SECONDS replaces it.
IMPORT_SECONDS = 10.0


class Rejected(Exception):
    """Why a plugin cannot be loaded."""


class _TooSlow(BaseException):
    """The import timed out. No Exception, so that a plugin's own "except Exception" does not catch it."""


def import_installed(name: str) -> ModuleType:
    """Import an installed plugin's module. Raises Rejected where a mere folder of its name comes first."""
    module = importlib.import_module(name)
    if module.__file__ is None:
        raise Rejected(f"the folder {next(iter(module.__path__))} hides it; start from another folder")
    return module


def import_origin(origin: str) -> ModuleType:
    """Import a plugin by module name, by the path of a ``.py`` file, or by a package's folder."""
    path = Path(origin)
    if path.is_file() and path.suffix != ".py":
        raise UsageError(f"{path} is no Python file; a plugin is a .py file, a folder with an __init__.py or a module")
    # A project's folder often has the name of the package in it: a folder of modules has an __init__.py.
    by_path = path.suffix == ".py" or "/" in origin or origin in (".", "..")
    if not (by_path or (path / "__init__.py").is_file()):
        module = importlib.import_module(origin)
        if module.__file__ is None:
            raise UsageError(f"there is no plugin file {path.resolve() / '__init__.py'}")
        return module
    file = (path / "__init__.py" if path.is_dir() else path).resolve()
    if not file.is_file():
        raise UsageError(f"there is no plugin file {file}")
    return _import_file(file)


def _import_file(file: Path) -> ModuleType:
    """Import a module, or the package of an ``__init__.py``, under the name of its file or folder."""
    is_package = file.name == "__init__.py"
    name = (file.parent if is_package else file).stem
    if (loaded := sys.modules.get(name)) is not None:
        if getattr(loaded, "__file__", None) == str(file):
            return loaded
        raise UsageError(f"its name {name!r} is already that of another module; rename the file")
    search = [str(file.parent)] if is_package else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=search)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Entered before it runs, so that addresses like "name:attribute" inside it resolve.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def check_hooks(module: ModuleType) -> None:
    """Raise Rejected for hooks of another version, hooks that do not exist, and hooks without their marker."""
    version = getattr(module, "HARNESS_HOOKS", HOOKS_VERSION)
    if type(version) is not int:
        raise Rejected(f"its HARNESS_HOOKS = {version!r} is not a whole number; {HOOKS_VERSION} is the present one")
    if version > HOOKS_VERSION:
        raise Rejected(
            f"it was written for version {version} of the hooks, and this harness has {HOOKS_VERSION}: "
            "install a newer harness"
        )
    if version < OLDEST_HOOKS:
        raise Rejected(
            f"it was written for version {version} of the hooks, and this harness calls {OLDEST_HOOKS} at least: "
            "install a newer release of the plugin"
        )
    known = hook_names()
    for name in dir(module):
        marked = hasattr(getattr(module, name), f"{PROJECT}_impl")
        if marked and name not in known:
            raise Rejected(f"it implements an unknown hook {name!r}{suggestion(name, known)}")
        if name in known and not marked:
            raise Rejected(f"its {name} is not marked with @harness.hookimpl")


@contextmanager
def guarded() -> Iterator[io.StringIO]:
    """Limit the time of the block inside, and capture what it prints.

    Yields the stream that stdout is redirected to. The time limit works in the main thread only, and cannot
    interrupt code that hangs inside of C.
    """
    with _limit(), redirect_stdout(io.StringIO()) as printed:
        yield printed


@contextmanager
def _limit() -> Iterator[None]:
    # SIGALRM does not exist everywhere, and only the main thread may take signals.
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise _TooSlow

    handler = signal.signal(signal.SIGALRM, interrupt)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, import_seconds())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)
        signal.signal(signal.SIGALRM, handler)


def import_seconds() -> float:
    """How long a plugin may take to import. Raises UsageError if $HARNESS_IMPORT_SECONDS is no number above 0."""
    text = os.environ.get("HARNESS_IMPORT_SECONDS", "")
    try:
        seconds = float(text or IMPORT_SECONDS)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"HARNESS_IMPORT_SECONDS={text}: a number of seconds above 0 is needed")
    return seconds


def reason(error: BaseException, module: str = "") -> str:
    """One sentence on why a plugin, whose module has this name, failed."""
    if isinstance(error, (Rejected, HarnessError)):
        return str(error)
    if isinstance(error, _TooSlow):
        return f"importing it timed out after {import_seconds():g} s; HARNESS_IMPORT_SECONDS=60 allows more"
    text = " ".join(str(error).split())[:500]
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package != module.partition(".")[0]:
            return f"it needs the package {package!r}, which is not installed"
        text += " (a plugin of several files is a folder with an __init__.py)"
    return f"{type(error).__name__}: {text}" if text else f"it raised {type(error).__name__} when imported"
