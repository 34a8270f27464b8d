"""Progress of a suite on stderr: a live bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import atexit
import logging
import time
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.planning.estimate import PastSeconds
from harness.planning.setting import label, varying_by_task

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from harness.cell import Cell, Record, SuiteRun

#: Running cells that are named when a run is stopped.
_NAMED = 4
#: Says that Ctrl-C was pressed.
_INTERRUPT = logging.getLogger("harness.running.interrupt")
#: Seconds between two plain lines about cells that ended well; one that did not is told of at once.
PLAIN_EVERY = 1.0
#: Seconds between two estimates of the time left.
ESTIMATE_EVERY = 0.5


class ProgressWatcher:
    """A plugin on the life-cycle hooks, like anybody's."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        #: By cell id: what has not ended, and how far those that run have come.
        self._left: dict[str, Cell] = {}
        self._running: dict[str, float] = {}
        self._cells: dict[str, Cell] = {}
        self._past = PastSeconds()
        self._varying: dict[str, list[str]] = {}
        self._total = self._troubled = 0
        self._line_at = self._estimate_at = 0.0
        self._estimate: float | None = None

    @hookimpl
    def harness_suite_started(self, run: SuiteRun) -> None:
        """Announce what will run, and what has a record already."""
        self._left = {cell.id: cell for cell in run.todo}
        _INTERRUPT.addFilter(self._add_running)
        self._total = len(run.todo)
        self._past = PastSeconds(run.records.values())
        self._varying = varying_by_task(run.todo)
        recorded = len(run.selected) - self._total - sum(c.skip is not None for c in run.selected)
        note = f", {recorded} recorded before" if recorded else ""
        noun = "cell" if self._total == 1 else "cells"
        self._console.print(f"{run.suite}: {self._total} {noun} to run{note}")
        # A dumb terminal, which cannot move its cursor, is not interactive.
        if (self._console.is_interactive or self._console.is_jupyter) and self._total:
            self._open_bar()

    @hookimpl
    def harness_cell_started(self, cell: Cell) -> None:
        """Count it among the running ones."""
        self._cells[cell.id] = cell
        self._running[cell.id] = 0.0

    @hookimpl
    def harness_cell_progress(self, cell: Cell, fraction: float) -> None:
        """Move the bar by parts of cells too."""
        self._running[cell.id] = fraction
        self._refresh(cell)

    @hookimpl
    def harness_cell_finished(self, cell: Cell, record: Record) -> None:
        """Count it, and say so where there is no bar or where it went wrong."""
        if self._left.pop(cell.id, None) is None:
            return
        self._past.add(record)
        self._troubled += not record.good
        moment = time.monotonic()
        if not record.good or (self._bar is None and (not self._left or moment - self._line_at >= PLAIN_EVERY)):
            self._line_at = moment
            self._say(cell, record)
        self._running.pop(cell.id, None)
        self._refresh(cell)
        if not self._left:
            self._close_bar()

    @hookimpl
    def harness_suite_finished(self) -> None:
        """Take the bar away."""
        _INTERRUPT.removeFilter(self._add_running)
        self._close_bar()

    def _add_running(self, record: logging.LogRecord) -> bool:
        """Add to the message of the first Ctrl-C which cells it waits for."""
        running = [self._setting(self._cells[i]) for i in self._running if i in self._cells]
        if running:
            more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
            record.msg = f"{record.msg}; waiting for {', '.join(running[:_NAMED])}{more}"
        return True

    def _setting(self, cell: Cell) -> str:
        what = label(cell.options, self._varying.get(cell.task, ()))
        return f"{cell.method} on {cell.task} {what}{' ' * bool(what)}seed={cell.seed}"

    def _say(self, cell: Cell, record: Record) -> None:
        from rich.markup import escape

        status = "done" if record.good else f"[red]{record.status}[/]"
        cause = f": {escape(record.cause)}" if record.cause else ""
        count = escape(f"[{self._total - len(self._left)}/{self._total}]")
        setting = escape(self._setting(cell))
        note = f", {self._time_left()}" if self._bar is None and self._left and self._time_left() else ""
        self._console.print(f"{count} {status} {setting} {record.seconds:.1f} s{note}{cause}", soft_wrap=True)

    def _time_left(self) -> str:
        """About how long until all cells have ended, by cells like them, over the cells that run at once."""
        moment = time.monotonic()
        if moment - self._estimate_at >= ESTIMATE_EVERY:
            self._estimate_at = moment
            work = self._past.total(self._left.values())
            if work is not None:
                share = max(0.0, 1 - sum(self._running.values()) / max(1, len(self._left)))
                work *= share / max(1, min(len(self._running), len(self._left)))
            self._estimate = work
        if self._estimate is None:
            return ""
        return f"about {self._estimate // 60:.0f}:{self._estimate % 60:02.0f} left"

    def _open_bar(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[what]}"),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        self._bar.add_task("", total=self._total, left="", what="")
        self._bar.start()
        # A run that is stopped at once does not get to its end. The bar hides the cursor.
        atexit.register(self._close_bar)

    def _refresh(self, cell: Cell) -> None:
        if self._bar is None:
            return
        trouble = f" [red]{self._troubled} failed[/]" if self._troubled else ""
        done, what = self._total - len(self._left), f"{cell.method} on {cell.task}"
        self._bar.update(self._bar.task_ids[0], completed=done, left=self._time_left() + trouble, what=what)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            atexit.unregister(self._close_bar)
