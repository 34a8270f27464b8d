"""Options of methods and tasks: a default, a type that follows from it, and the values that are allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.errors import UnknownName, UsageError

Scalar = bool | int | float | str

#: The axes every cell has; options are further axes beside them.
AXES = ("method", "task", "device", "dtype", "seed")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a method or task. Its type is its default's type; an int is welcome where a float is meant.

    >>> Option(0.1, "divides the cosines", low=1e-3).read(1, "temperature")
    1.0
    >>> Option("all", choices=("all", "cross")).read("al", "negatives")
    Traceback (most recent call last):
    harness.errors.UnknownName: unknown value for negatives 'al'; did you mean 'all'? Known: all, cross
    >>> Option("cnn", choices=("cnn", "hf:*")).read("hf:some-model", "encoder")
    'hf:some-model'
    """

    default: Scalar
    #: What it does, in words a user would use.
    help: str = ""
    #: The values that are allowed; a text that ends in * stands for whatever begins so.
    choices: tuple[Scalar, ...] = ()
    #: Least and greatest allowed value, both inclusive.
    low: float | None = None
    high: float | None = None
    #: Whether it names a file of the user's, by a path from the current folder; "" is none. The file must exist
    #: when a suite is planned, and its sha256 is part of the key of every cell that names it.
    file: bool = False
    #: Whether it names a method or a workload of the task's role. The name is checked when a suite is planned, the
    #: code behind it is part of the cell's key, and the task gets it from ``Run.named``. "" is the role's first
    #: workload, or that workload's baseline.
    names: Literal["", "method", "workload"] = ""

    def __post_init__(self) -> None:
        if not isinstance(self.default, (bool, int, float, str)):
            raise UsageError(f"an option's default must be a bool, int, float or str, not {self.default!r}")
        if (self.file or self.names) and self.default != "":
            noun = self.names or "file"
            raise UsageError(f"an option that names a {noun} has '' as its default, not {self.default!r}")

    def read(self, value: object, where: str) -> Scalar:
        """Check ``value`` and give it in this option's type. Raises UsageError naming ``where``."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise UsageError(f"{where} = {value!r}: a value of type {kind.__name__} is needed, as {self.default!r}")
        assert isinstance(value, (bool, int, float, str))
        if self.choices and not self._is_choice(value):
            raise UnknownName(f"value for {where}", str(value), map(str, self.choices))
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{where} = {value!r}: a finite number is needed")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if self.low is not None and value < self.low:
                raise UsageError(f"{where} = {value!r}: at least {self.low:g} is needed")
            if self.high is not None and value > self.high:
                raise UsageError(f"{where} = {value!r}: at most {self.high:g} is allowed")
        return value

    def _is_choice(self, value: Scalar) -> bool:
        prefixes = tuple(c[:-1] for c in self.choices if isinstance(c, str) and c.endswith("*"))
        return value in self.choices or (isinstance(value, str) and value.startswith(prefixes))


def as_options(owner: str, options: Mapping[str, Option | Scalar]) -> dict[str, Option]:
    """Options as declared, plain defaults wrapped, each default checked against its own bounds."""
    wrapped = {k: v if isinstance(v, Option) else Option(v) for k, v in options.items()}
    for name, option in wrapped.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in AXES:
            raise UsageError(f"{owner}: option {name!r}: use lower-case letters, digits and _; {AXES} are taken")
        option.read(option.default, f"{owner}: the default of {name}")
    return wrapped


def read_options(owner: str, declared: Mapping[str, Option], values: Mapping[str, object]) -> dict[str, Scalar]:
    """Check ``values`` and fill in the declared defaults.

    >>> read_options("method m", {"k": Option(3)}, {"k": 5})
    {'k': 5}
    """
    for name in values:
        if name not in declared:
            raise UnknownName(f"option of {owner}", name, declared)
    return {k: o.read(values.get(k, o.default), f"{owner}: option {k}") for k, o in declared.items()}
