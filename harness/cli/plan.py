"""What ``harness suite --plan`` shows: the cells, one row for those that differ only in seed and state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from harness.cli.output import duration, errors, people, plural, print_json, table

if TYPE_CHECKING:
    from harness.cell import Cell
    from harness.plan import Session
    from harness.records import Record
    from harness.spec import Scalar


def print_plan(session: Session, as_json: bool) -> None:
    """The plan and how long it will probably take."""
    from rich.markup import escape

    workers = session.worker_count
    estimate = session.estimate(workers)
    states = _states(session)
    if as_json:
        cells = [_document(cell, state) for cell, state in zip(session.cells, states, strict=True)]
        left = {"to_run": len(session.todo), "estimated_seconds": estimate}
        print_json({"suite": session.suite.name, "cells": cells, **left})
        return
    for warning in session.warnings:
        errors().print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    _print_rows(session.cells, states)
    for reason, count in skipped(session.cells).items():
        errors().print(f"[yellow]skip[/] {plural(count, 'cell')}: {escape(reason)}", soft_wrap=True)
    if not session.todo:
        told = "nothing is left to do"
    elif estimate is None:
        told = "no past records tell how long it will take"
    else:
        told = f"about {duration(estimate)} on {plural(workers, 'worker')}, by past records"
    people().print(f"{plural(len(session.cells), 'cell')}, {len(session.todo)} to run; {told}")


def varying_options(options: Iterable[Mapping[str, Scalar]]) -> list[str]:
    """Names of the options that do not have one value everywhere.

    >>> varying_options([{"a": 1, "b": 2}, {"a": 1, "b": 3}])
    ['b']
    """
    values: dict[str, set[str]] = {}
    for one in options:
        for name, value in one.items():
            values.setdefault(name, set()).add(repr(value))
    return [name for name, found in values.items() if len(found) > 1]


def skipped(cells: Iterable[Cell], records: Mapping[str, Record] | None = None) -> dict[str, int]:
    """Why cells are skipped, or turned out to lack something when they ran, and how many for each reason."""
    ran = {i: r.cause for i, r in (records or {}).items() if r.status == "skipped"}
    return Counter(reason for cell in cells if (reason := cell.skip or ran.get(cell.id)))


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers, short.

    >>> ranges([0, 1, 2, 3, 7])
    '0-3, 7'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _states(session: Session) -> list[str]:
    """What becomes of each cell: skip, run, or the status that its record keeps."""
    todo = {cell.id for cell in session.todo}
    return [
        "skip" if cell.skip else "run" if cell.id in todo else session.records[cell.id].status for cell in session.cells
    ]


def _print_rows(cells: Iterable[Cell], states: Iterable[str]) -> None:
    from rich.markup import escape

    planned = list(zip(cells, states, strict=True))
    varying = {
        task: varying_options(c.options for c, _ in planned if c.task == task) for task in {c.task for c, _ in planned}
    }
    shown = table("task", "method", "options that vary", "device", "dtype", "seeds", "state")

    def row(one: tuple[Cell, str]) -> tuple[str, ...]:
        cell, state = one
        options = " ".join(f"{k}={cell.options[k]}" for k in varying[cell.task] if k in cell.options)
        return cell.task, cell.method, options, cell.device, cell.dtype, state

    for (task, method, options, device, dtype, state), group in groupby(planned, row):
        seeds = ranges(cell.seed for cell, _ in group)
        shown.add_row(escape(task), escape(method), escape(options), device, dtype, seeds, state)
    people().print(shown)


def _document(cell: Cell, state: str) -> dict[str, Any]:
    return {
        "id": cell.id,
        "method": cell.method,
        "task": cell.task,
        "options": dict(cell.options),
        "device": cell.device,
        "dtype": cell.dtype,
        "seed": cell.seed,
        "state": state,
        "skip": cell.skip,
    }
