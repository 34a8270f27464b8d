"""Options of methods that a command line sets, as NAME=VALUE."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.errors import UnknownName, UsageError
from harness.spec import Method, Option

#: (option, value) pairs as they were typed.
Settings = tuple[tuple[str, str], ...]


def read_settings(texts: Sequence[str], methods: Sequence[Method]) -> Settings:
    """The pairs in ``temperature=0.05``. Raises UsageError for one that no method has or that one cannot take.

    >>> read_settings(["b=2"], [Method(name="m", role="r", build=abs, options={"b": 4.0})])
    (('b', '2'),)
    """
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(f"--option {text}: NAME=VALUE is needed, such as temperature=0.05")
        known = {option for method in methods for option in method.options}
        if name not in known:
            raise UnknownName("option of the methods that are measured", name, known, where=f"--option {text}")
        found.append((name, value))
    for method in methods:
        configured(method, tuple(found))
    return tuple(found)


def configured(method: Method, settings: Settings) -> Method:
    """The method with these values as defaults; those it has no option for are others'.

    >>> relu = Method(name="m", role="r", build=abs, options={"b": 4.0})
    >>> configured(relu, (("b", "2"), ("c", "x"))).options["b"].default
    2.0
    """
    options = dict(method.options)
    for name, text in settings:
        if name in options:
            option = options[name]
            value = option.read(_typed(text, option), f"--option {name} for {method.name}")
            options[name] = replace(option, default=value)
    return replace(method, options=options)


def _typed(text: str, option: Option) -> Any:
    """The value in the option's type where the text is one; else the text, which the option refuses in its words."""
    if isinstance(option.default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    for kind in (int, float):
        if isinstance(option.default, (int, float)):
            with contextlib.suppress(ValueError):
                return kind(text)
    return text
