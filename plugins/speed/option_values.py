"""Values of methods' options from the command line, as NAME=VALUE."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from harness.errors import UnknownName, UsageError
from harness.spec import Method, Option, Scalar

#: (option, value) pairs as they were typed.
OptionValues = tuple[tuple[str, str], ...]


def read_option_values(texts: Sequence[str], methods: Sequence[Method]) -> OptionValues:
    """The pairs in ``temperature=0.05``.

    Raises UsageError for an option that no method has, and for a value that a method cannot take.

    >>> read_option_values(["b=2"], [Method(name="m", role="r", build=abs, options={"b": 4.0})])
    (('b', '2'),)
    """
    known = {option for method in methods for option in method.options}
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(f"--option {text}: NAME=VALUE is needed, such as temperature=0.05")
        if name not in known:
            raise UnknownName("option of the methods that are measured", name, known, where=f"--option {text}")
        pairs.append((name, value))
    for method in methods:
        with_values(method, tuple(pairs))
    return tuple(pairs)


def with_values(method: Method, values: OptionValues) -> Method:
    """The method with these values as its options' defaults; values of options that it lacks are left out.

    >>> relu = Method(name="m", role="r", build=abs, options={"b": 4.0})
    >>> with_values(relu, (("b", "2"), ("c", "x"))).options["b"].default
    2.0
    """
    options = dict(method.options)
    for name, text in values:
        if name in options:
            option = options[name]
            value = option.read(_in_type_of(option, text), f"--option {name} for {method.name}")
            options[name] = replace(option, default=value)
    return replace(method, options=options)


def _in_type_of(option: Option, text: str) -> Scalar:
    """The value in the option's type where the text is one; else the text, which the option refuses."""
    if isinstance(option.default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    for kind in (int, float):
        if isinstance(option.default, (int, float)):
            with contextlib.suppress(ValueError):
                return kind(text)
    return text
