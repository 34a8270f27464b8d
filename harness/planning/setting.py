"""The setting: a cell without its seed, which is what is estimated. Its key, what varies, how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.cell import Cell, HasSetting, Record, setting_key
from harness.registry import Registry
from harness.spec import Scalar


@dataclass(frozen=True)
class Setting:
    """What cells have in common that differ only in their seed (and in the code and data they ran with).

    >>> Setting("relu", "toy/mean", {"b": 1.0}, "cpu", "float32").key
    'relu toy/mean {"b": 1.0} cpu float32'
    """

    method: str
    task: str
    options: Mapping[str, Any]
    device: str
    dtype: str

    @classmethod
    def of(cls, item: HasSetting) -> Setting:
        """The setting of a cell, of a record, or of a summary."""
        return cls(item.method, item.task, item.options, item.device, item.dtype)

    @property
    def key(self) -> str:
        """The same text for the same setting; see ``setting_key``."""
        return setting_key(self)

    @property
    def axes(self) -> dict[str, Any]:
        """Its options, its device and its dtype by name: all that may vary for one method on one task.

        >>> Setting("relu", "toy/mean", {"b": 1.0}, "cpu", "float32").axes
        {'b': 1.0, 'device': 'cpu', 'dtype': 'float32'}
        """
        return {**self.options, "device": self.device, "dtype": self.dtype}


def key_of(item: HasSetting) -> str:
    """The key of the setting of a cell, of a record, or of a summary."""
    return item.setting if isinstance(item, (Cell, Record)) else setting_key(item)


def address_of(item: Cell | Record) -> str:
    """The key of the setting, and the seed: one cell, whatever code and data it ran with."""
    return f"{key_of(item)} {item.seed}"


def cell_of(record: Record, registry: Registry) -> Cell:
    """The cell that left a record."""
    method, task = registry.methods[record.method], registry.tasks[record.task]
    return Cell(
        suite=record.suite,
        method=record.method,
        task=record.task,
        options=record.options,
        device=record.device,
        dtype=record.dtype,
        seed=record.seed,
        code=record.code,
        data=record.data,
        own=tuple(name for name in method.options if name not in task.options),
    )


def typed(value: object) -> tuple[bool, object]:
    """A value to compare by: 1 and 1.0 are the same, 1 and true are not."""
    return isinstance(value, bool), value


def varying(options: Iterable[Mapping[str, Scalar]]) -> list[str]:
    """Names of the options that do not have one value everywhere, in the order in which they first appear.

    >>> varying([{"a": 1, "b": 2}, {"a": 1, "b": 3}])
    ['b']
    """
    values: dict[str, set[tuple[bool, object]]] = {}
    for mapping in options:
        for name, value in mapping.items():
            values.setdefault(name, set()).add(typed(value))
    return [name for name, different in values.items() if len(different) > 1]


def varying_by_task(items: Iterable[Cell | Record]) -> dict[str, list[str]]:
    """For each task the names of the options that vary among its cells."""
    by_task: dict[str, list[Mapping[str, Scalar]]] = {}
    for item in items:
        by_task.setdefault(item.task, []).append(item.options)
    return {task: varying(options) for task, options in by_task.items()}


def varying_axes(cells: Iterable[Cell]) -> list[str]:
    """Names of the options, and of device and dtype, in which the settings of one task's cells differ.

    An option that belongs to methods alone differs where one method has it at several values; methods may have
    different defaults of it.

    >>> cell = Cell("s", "a", "t", {"size": 1, "rate": 0.1}, "cpu", "float32", 0, "code", own=("rate",))
    >>> other = Cell("s", "b", "t", {"size": 2, "rate": 0.5}, "cuda", "float32", 0, "code", own=("rate",))
    >>> varying_axes([cell, other])
    ['size', 'device']
    """
    cells = list(cells)
    by_method: dict[str, list[Mapping[str, Scalar]]] = {}
    for cell in cells:
        by_method.setdefault(cell.method, []).append(Setting.of(cell).axes)
    own = {name for cell in cells for name in cell.own}
    under_one_method = {name for axes in by_method.values() for name in varying(axes)}
    anywhere = varying(axes for of_method in by_method.values() for axes in of_method)
    return [name for name in anywhere if name not in own or name in under_one_method]


def label(options: Mapping[str, object], names: Iterable[str]) -> str:
    """The values of the named options, for people.

    >>> label({"batch_size": 8, "epochs": 2}, ["batch_size"])
    'batch_size=8'
    """
    return " ".join(f"{name}={options[name]}" for name in names if name in options)
