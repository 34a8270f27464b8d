"""Shows a suite's progress on stderr: a live bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from statistics import mean
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from harness.plan import Session
    from harness.records import Record
    from harness.session import SuiteResult
    from harness.spec import Cell

#: Seconds between two plain lines about cells that ended well; one that did not is told of at once.
PLAIN_EVERY = 1.0


class ProgressWatcher:
    """A plugin on the life-cycle hooks, like anybody's."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._running: dict[str, float] = {}
        self._seconds: dict[str, list[float]] = {}
        self._left: dict[str, int] = {}
        self._varying: dict[str, set[str]] = {}
        self._total = self._ended = self._troubled = 0
        self._last_line = 0.0

    @hookimpl
    def harness_suite_started(self, session: Session) -> None:
        """Announce what will run, and what is already there."""
        self._total = len(session.todo)
        self._ended = 0
        self._left = {}
        values: dict[tuple[str, str], set[object]] = {}
        for cell in session.todo:
            self._left[cell.task] = self._left.get(cell.task, 0) + 1
            for name, value in cell.options.items():
                values.setdefault((cell.task, name), set()).add(value)
        self._varying = {task: {n for (t, n), v in values.items() if t == task and len(v) > 1} for task in self._left}
        for record in session.records.values():
            if record.good and record.task in self._left:
                self._seconds.setdefault(record.task, []).append(record.seconds)
        kept = len(session.cells) - self._total - sum(c.skip is not None for c in session.cells)
        note = f", {kept} recorded before" if kept else ""
        self._console.print(f"{session.suite.name}: {self._total} cells to run{note}")
        if self._console.is_terminal and self._total:
            self._open_bar()

    @hookimpl
    def harness_cell_started(self, cell: Cell) -> None:
        """Count it among the running ones."""
        self._running[cell.id] = 0.0

    @hookimpl
    def harness_cell_progress(self, cell: Cell, fraction: float) -> None:
        """Move the bar by parts of cells too."""
        self._running[cell.id] = fraction
        self._refresh(f"{cell.method} on {cell.task}")

    @hookimpl
    def harness_cell_finished(self, cell: Cell, record: Record) -> None:
        """Count it, and say so where there is no bar or where it went wrong."""
        if record.status == "skipped":
            return
        self._running.pop(cell.id, None)
        self._ended += 1
        self._left[cell.task] -= 1
        if record.good:
            self._seconds.setdefault(cell.task, []).append(record.seconds)
        else:
            self._troubled += 1
        self._refresh(f"{cell.method} on {cell.task}")
        moment = time.monotonic()
        last = self._ended == self._total
        if not record.good or (self._bar is None and (last or moment - self._last_line >= PLAIN_EVERY)):
            self._last_line = moment
            self._say(cell, record)
        if last:
            self._close_bar()

    @hookimpl
    def harness_suite_finished(self, session: Session, result: SuiteResult) -> None:  # noqa: ARG002
        """Take the bar away."""
        self._close_bar()

    def _say(self, cell: Cell, record: Record) -> None:
        from rich.markup import escape

        status = "done" if record.good else f"[red]{record.status}[/]"
        cause = f": {escape(record.cause)}" if record.cause else ""
        what = " ".join(f"{k}={v}" for k, v in cell.options.items() if k in self._varying.get(cell.task, ()))
        left = self._time_left()
        note = f", about {left:.0f} s left" if left is not None and self._bar is None else ""
        count = escape(f"[{self._ended}/{self._total}]")
        setting = escape(f"{cell.method} on {cell.task} {what} seed={cell.seed}")
        self._console.print(f"{count} {status} {setting} {record.seconds:.1f} s{note}{cause}", soft_wrap=True)

    def _time_left(self) -> float | None:
        """Seconds until all cells have ended, from those of the same task, over the cells that run at once."""
        known = {task: mean(self._seconds[task][-50:]) for task in self._left if self._seconds.get(task)}
        if not known or not self._total:
            return None
        fallback = mean(known.values())
        work = sum(count * known.get(task, fallback) for task, count in self._left.items())
        done = sum(self._running.values()) * fallback
        return max(0.0, work - done) / max(1, len(self._running))

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

    def _refresh(self, what: str) -> None:
        if self._bar is None:
            return
        left = self._time_left()
        note = f"{left // 60:.0f}:{left % 60:02.0f} left" if left is not None else ""
        trouble = f" [red]{self._troubled} failed[/]" if self._troubled else ""
        self._bar.update(self._bar.task_ids[0], completed=self._ended, left=note + trouble, what=what)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
