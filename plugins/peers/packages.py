"""Packages that are not always installed, imported when a method of theirs is built."""

from __future__ import annotations

import importlib
from types import ModuleType


def imported(module: str, package: str) -> ModuleType:
    """The module, of the ``package`` that pip knows by this name.

    Raises ImportError with the command that installs it, or with what was wrong when it is there but broken.

    >>> imported("no_such_package.losses", "no-such-package")
    Traceback (most recent call last):
    ImportError: the package no-such-package is not installed: pip install no-such-package
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            raise ImportError(f"the package {package} is not installed: pip install {package}") from None
        raise ImportError(f"the package {package} is installed but cannot be imported: {error}") from error
