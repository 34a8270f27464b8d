"""Names and keys of runs: what tells one setting of a suite from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.cell import HasSetting
from harness.planning.setting import Setting, label, varying_axes

if TYPE_CHECKING:
    from harness.cell import Cell, Record


class RunNames:
    """Names of the runs of a suite, made from the axes that vary among its cells."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        by_task: dict[str, list[Cell]] = {}
        for cell in cells:
            by_task.setdefault(cell.task, []).append(cell)
        #: For each task the names of the options, and of device and dtype, that vary.
        self.axes = {task: varying_axes(own) for task, own in by_task.items()}

    def of(self, item: HasSetting) -> str:
        """The method, and what tells its settings apart: options that vary, device and dtype, then the task.

        MLflow's table cuts the end of a long name, so what differs most often stands first. CPU and float32 are named
        only where there are others.
        """
        axes = self.axes.get(item.task, [])
        parts = [item.method]
        parts += [label(item.options, [name]) for name in item.options if name in axes]
        parts += [item.device] if item.device != "cpu" or "device" in axes else []
        parts += [item.dtype] if item.dtype != "float32" or "dtype" in axes else []
        parts += [item.task] if len(self.axes) > 1 else []
        return " · ".join(parts)


def setting_digest(item: HasSetting) -> str:
    """Digest of a setting, 16 hexadecimal digits. Stores keep it, so it must not change."""
    s = Setting.of(item)
    return _digest([s.method, s.task, dict(s.options), s.device, s.dtype])


def state_digest(record: Record) -> str:
    """Digest of the code and the data that a record comes from, 16 hexadecimal digits."""
    return _digest([record.code, dict(record.data)])


def _digest(content: list[object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
