"""Engines turn cells into records. An engine is a function ``run(cells, settings)`` that yields (cell, record).

It may run them in any order and anywhere; a cell that cannot run yields a record with its cause. It calls
``settings.take`` before it starts a cell, and yields nothing for a cell that another process has recorded. Once
``settings.stop`` returns true it starts no further cell, and ends after the running ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from harness.cell import Cell, Record


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an engine runs cells, and what it calls on the way."""

    #: Worker processes for cells on the CPU.
    jobs: int = 1
    #: Device slots such as "cuda:0", one worker each; "cpu" stands for ``jobs`` workers.
    slots: tuple[str, ...] = ("cpu",)
    #: Seconds that a cell may take; None for no limit.
    timeout: float | None = None
    #: Bytes that a cell may hold beyond what its worker held before; None for no limit.
    memory: int | None = None
    #: Retries of a cell whose worker died through no fault of the cell's.
    retries: int = 2
    #: Cluster address, for an engine that takes one.
    address: str | None = None
    #: Plugins named with ``-p``, which workers load too.
    plugins: tuple[str, ...] = ()
    #: Called when a cell starts, and when it reports its progress.
    on_start: Callable[[Cell], None] = field(default=lambda cell: None)
    on_progress: Callable[[Cell, float], None] = field(default=lambda cell, fraction: None)
    #: Called once for each environment that a worker reports, with its digest.
    on_environment: Callable[[str, Mapping[str, Any]], None] = field(default=lambda digest, environment: None)
    #: Called with the outcomes of a cell's items before the record that names them by their digest.
    on_items: Callable[[bytes], None] = field(default=lambda content: None)
    #: Called before a retry, with the record that the cell would otherwise have got.
    on_retry: Callable[[Cell, Record], None] = field(default=lambda cell, record: None)
    #: Called before a cell is started: "free" if it may be, "running" while another process runs it, "recorded"
    #: where another process has recorded it well meanwhile.
    take: Callable[[Cell], Literal["free", "running", "recorded"]] = field(default=lambda cell: "free")
    #: Whether to start no further cell.
    stop: Callable[[], bool] = field(default=lambda: False)


class EngineFunction(Protocol):
    """What an engine's address names."""

    def __call__(self, cells: Sequence[Cell], settings: Settings) -> Iterator[tuple[Cell, Record]]:
        """Run the cells."""
