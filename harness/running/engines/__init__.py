"""Engines turn cells into records. An engine is a function ``run(cells, settings)`` that yields (cell, record).

It may run them in any order and anywhere; a cell that cannot be run yields a record with its cause. It asks
``settings.take`` before it starts one, and yields nothing for a cell that another process has recorded. It starts no
new cell once ``settings.stop`` says so, and then ends after those that run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from harness.cell import Cell, Record


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an engine needs beside the cells."""

    #: Worker processes for cells on the CPU.
    jobs: int = 1
    #: Device slots such as "cuda:0", one worker each; "cpu" stands for ``jobs`` workers.
    slots: tuple[str, ...] = ("cpu",)
    #: Seconds a cell may take; None for as long as it likes.
    timeout: float | None = None
    #: Bytes a cell may hold beyond what its worker held before; None for as much as there is.
    memory: int | None = None
    #: How often a cell is tried again whose worker was lost through no fault of the cell's.
    retries: int = 2
    #: Where an engine that reaches beyond this machine finds it.
    address: str | None = None
    #: Plugins given by hand, which workers load too.
    plugins: tuple[str, ...] = ()
    #: Called when a cell starts, and when it says how far it has come.
    on_start: Callable[[Cell], None] = field(default=lambda cell: None)
    on_progress: Callable[[Cell, float], None] = field(default=lambda cell, fraction: None)
    #: Called once for each environment that a worker reports, with its digest.
    on_environment: Callable[[str, Mapping[str, Any]], None] = field(default=lambda digest, environment: None)
    #: Called when a cell is going to be tried again, with the record it would otherwise have got.
    on_retry: Callable[[Cell, Record], None] = field(default=lambda cell, record: None)
    #: Called before a cell is started: "ours" if it may be, "running" while another process runs it, "recorded"
    #: where another process has recorded it well meanwhile.
    take: Callable[[Cell], Literal["ours", "running", "recorded"]] = field(default=lambda cell: "ours")
    #: Whether to start no further cell.
    stop: Callable[[], bool] = field(default=lambda: False)


class EngineFunction(Protocol):
    """What an engine's address names."""

    def __call__(self, cells: Sequence[Cell], settings: Settings) -> Iterator[tuple[Cell, Record]]:
        """Run the cells."""
