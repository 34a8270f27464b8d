"""Which cells this process runs: a locked file each, which other processes on the same results folder see."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from harness.cell import Cell
from harness.records import RecordsFile


class RunningCells:
    """Locks cells, so that two suites at once on one folder share the work instead of doing it twice.

    The system drops a lock when its process ends, however it ends.
    """

    def __init__(self, file: RecordsFile) -> None:
        self._file = file
        self._folder = file.folder / "running"
        self._held: dict[str, FileLock] = {}
        self._sweep()

    def take(self, cell: Cell) -> Literal["free", "running", "recorded"]:
        """Lock a cell, unless another process runs it or has recorded it well meanwhile."""
        if self._file.recorded_elsewhere(cell.id):
            return "recorded"
        if cell.id in self._held:
            return "free"
        self._folder.mkdir(exist_ok=True)
        lock = FileLock(self._path(cell.id))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return "running"
        self._held[cell.id] = lock
        # It may have been recorded and released between the two looks.
        if self._file.recorded_elsewhere(cell.id):
            self.release(cell.id)
            return "recorded"
        return "free"

    def release(self, cell: str) -> None:
        """Unlock a cell whose record is on the disk."""
        if lock := self._held.pop(cell, None):
            # The name may stay behind where the folder is out of reach; what counts is the lock.
            with suppress(OSError):
                self._path(cell).unlink()
            lock.release()

    def close(self) -> None:
        """Unlock every cell."""
        for cell in list(self._held):
            self.release(cell)

    def _sweep(self) -> None:
        """Remove the lock files that killed runs left behind."""
        for path in self._folder.glob("*.lock"):
            with suppress(Timeout, OSError), FileLock(path, timeout=0):
                path.unlink()

    def _path(self, cell: str) -> Path:
        return self._folder / f"{cell}.lock"
