"""Imports of packages that may be missing, made when a method of theirs is built."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_from(module: str, package: str) -> ModuleType:
    """Import a module of a package, which pip knows by the name ``package``.

    Raises ImportError with the command that installs the package, or with the reason if it is installed but broken.

    >>> import_from("no_such_package.losses", "no-such-package")
    Traceback (most recent call last):
    ImportError: the package no-such-package is not installed: pip install no-such-package
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            raise ImportError(f"the package {package} is not installed: pip install {package}") from None
        raise ImportError(f"the package {package} is installed but cannot be imported: {error}") from error
