"""Estimates and costs of a suite, a table for each task: ``harness suite NAME --tables``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli.output import people, table
from harness.numbers import memory, with_half
from harness.planning.setting import key_of, varying

if TYPE_CHECKING:
    from rich.table import Table

    from harness.judge import Estimate, SuiteResult, Summary

#: Most metrics that are named where they are not shown.
_NAMED = 6


def print_tables(result: SuiteResult) -> None:
    """A table for each task that has a good or a failed cell."""
    selected = {key_of(cell) for cell in result.plan.cells}
    selected |= {key_of(s.cell) for s in result.studies if not selected.isdisjoint(s.tuning.trials)}
    rows = [s for s in result.summaries if (s.n or s.failures) and key_of(s) in selected]
    for task in dict.fromkeys(row.task for row in rows):
        _print_estimates([row for row in rows if row.task == task], result)


def _print_estimates(rows: Sequence[Summary], result: SuiteResult) -> None:
    from rich.markup import escape

    task = result.plan.registry.tasks[rows[0].task]
    names = varying(s.options for s in rows)
    axes = [a for a in ("device", "dtype") if len({getattr(s, a) for s in rows}) > 1]
    metrics = result.plan.suite.shown_metrics(task)
    keys = {"method": [escape(row.method) for row in rows]}
    keys |= {name: [escape(str(row.options.get(name, ""))) for row in rows] for name in names}
    keys |= {name: [getattr(row, name) for row in rows] for name in axes}
    numbers = {name: [_estimate(row.estimates.get(name)) for row in rows] for name in metrics}
    numbers["seconds"] = ["" if row.seconds is None else f"{row.seconds:.2f}" for row in rows]
    numbers["memory"] = [memory(row.peak_bytes) for row in rows]
    numbers["seeds"] = [f"{r.n}" + (f" [red]({r.failures} failed)[/]" if r.failures else "") for r in rows]
    people().print(f"[bold]{task.name}[/]  (mean ± half of the 90 % interval)")
    columns = {**keys, **numbers}
    filled = _table(columns, right=(*names, *numbers))
    if _fits(filled):
        people().print(filled)
    else:
        _print_blocks(keys, numbers)
    for search in (s for s in result.searches if s.tuning.setting.task == task.name and s.ended):
        chosen = ", ".join(f"{search.tuning.label(trial)} ({n} of {search.ended})" for trial, n in search.chosen if n)
        where = " ".join(filter(None, (search.tuning.setting.method, result.label_of(search))))
        people().print(f"[dim]{escape(f'{where}: {search.tuning.by} chose {chosen}')}[/]")
    if others := [metric for metric in task.metrics if metric not in metrics]:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        named = f"{', '.join(others[:_NAMED])}{more}"
        people().print(f"[dim]not shown: {named}; --json has them, and 'show' in a suite names its columns[/]")
    people().print()


def _table(columns: Mapping[str, list[str]], right: Sequence[str]) -> Table:
    """All columns side by side. Headers break at underscores, cells never."""
    headers = {name: name.replace("_", "\n") for name in columns}
    filled = table(*headers.values(), right=[headers[name] for name in right], no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        filled.add_row(*row)
    return filled


def _fits(filled: Table) -> bool:
    from rich.measure import Measurement

    console = people()
    # Measuring stops at the width of the screen.
    return Measurement.get(console, console.options, filled).maximum < console.width


def _print_blocks(keys: Mapping[str, list[str]], numbers: Mapping[str, list[str]]) -> None:
    """Where the screen is too narrow for a table: each setting on a line, and its numbers below it, in columns."""
    from rich.text import Text

    methods, *options = keys.values()
    width = people().width
    cell = max(len(f"{name} {Text.from_markup(text)}") for name, own in numbers.items() for text in own) + 2
    across = max(1, (width - 3) // cell)
    for i, method in enumerate(methods):
        settings = [f"{name}={own[i]}" for name, own in zip(list(keys)[1:], options, strict=True) if own[i]]
        people().print(f" [bold]{method}[/] {' '.join(settings)}")
        own = [Text.from_markup(f"{name} [bold]{texts[i]}[/]") for name, texts in numbers.items() if texts[i]]
        for start in range(0, len(own), across):
            line = Text("   ")
            for number in own[start : start + across]:
                number.pad_right(max(0, cell - len(number)))
                line.append_text(number)
            line.rstrip()
            people().print(line)


def _estimate(estimate: Estimate | None) -> str:
    """Mean and half of its interval, to the digits that the interval gives meaning to."""
    return "-" if estimate is None else with_half(estimate.mean, estimate.low, estimate.high)
