"""A measurement for people: one table for each workload, then what has no time and why, then how things grow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli.output import table
from harness.numbers import decimals, memory, number, plural, short_time, with_interval
from harness.planning.setting import label, varying
from harness_plugins.speed.document import growth, shares
from harness_plugins.speed.machine import Rates
from harness_plugins.speed.points import Machine, Point, Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from harness_plugins.speed.ratios import Ratio

_INTERVAL = "times, 90 %"
#: Columns, and those that a narrow terminal has room for.
_COLUMNS = ("method", "forward", "times", "both", _INTERVAL, "memory", "copy", "matmul")
_NARROW_COLUMNS = ("method", "forward", "both", _INTERVAL, "memory")
_FORWARD_COLUMNS = ("method", "forward", _INTERVAL, "memory")
_STATUS = {
    "wrong": "[red]wrong[/]",
    "memory": "[yellow]does not fit[/]",
    "time": "[yellow]too slow[/]",
    "crashed": "[red]crashed[/]",
    "raised": "[red]failed[/]",
    "not-installed": "[dim]not installed[/]",
    "refused": "[dim]left out[/]",
}


def show(console: Console, points: Sequence[Point], machines: Sequence[Machine]) -> None:
    """Print everything."""
    for machine in machines:
        console.print(_machine_text(machine), soft_wrap=True)
    for group in groups(points):
        columns = _columns(console, group, machines)
        console.print(_table(group, machines, columns))
        if columns == _NARROW_COLUMNS:
            console.print("  [dim]times of forward, copy and matmul: in a wider terminal[/]", soft_wrap=True)
        for line in [*_without_time(group), *_controls(group), *_notes(group), *_growth(group)]:
            console.print(line, soft_wrap=True)
        console.print()


def groups(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one workload on one device with one number of threads."""
    by_machine: dict[tuple[str, str, int], list[Point]] = {}
    for point in points:
        conditions = point.conditions
        by_machine.setdefault((conditions.workload, conditions.device, conditions.threads), []).append(point)
    return list(by_machine.values())


def heading(group: Sequence[Point]) -> str:
    """What a group is, in one line."""
    conditions = group[0].conditions
    machine = _machine_name(conditions.device, conditions.threads)
    options = "".join(f", {name}={value}" for name, value in conditions.options)
    return f"{conditions.workload} on {machine}, {conditions.dtype}{options}; against {group[0].baseline}"


def size_text(point: Point, group: Sequence[Point]) -> str:
    """The dimensions that vary in a group, and all of them if none does."""
    names = varying(other.conditions.dimensions for other in group)
    return label(point.conditions.dimensions, names or point.conditions.dimensions)


def _machine_name(device: str, threads: int) -> str:
    return f"{device}, {plural(threads, 'thread')}" if device == "cpu" else device


def _machine_text(machine: Machine) -> str:
    if not isinstance(machine.rates, Rates):
        return f"[yellow]{machine.device}[/]: its rates could not be measured: {machine.rates.cause}"
    copied, multiplied = machine.rates.copy_bytes_per_second, machine.rates.matmul_flops_per_second
    name = _machine_name(machine.device, machine.threads)
    return f"{name}: copies {memory(copied)}/s, multiplies {number(multiplied / 1e9, 1)} GFLOP/s"


def _columns(console: Console, group: Sequence[Point], machines: Sequence[Machine]) -> tuple[str, ...]:
    """All columns of a group's table where the console has room for them, else the most important."""
    from rich.measure import Measurement

    if not group[0].conditions.backward:
        return _FORWARD_COLUMNS
    full = _table(group, machines, _COLUMNS)
    width = Measurement.get(console, console.options.update(max_width=1000), full).maximum
    return _COLUMNS if width <= console.width else _NARROW_COLUMNS


def _table(group: Sequence[Point], machines: Sequence[Machine], columns: Sequence[str]) -> Table:
    from rich.markup import escape

    grid = table(*columns, title=escape(heading(group)), right=columns[1:], no_wrap=True)
    # A long name takes two lines before a number is cut.
    grid.columns[0].no_wrap = False
    for point in group:
        grid.add_row(f"[bold]{escape(size_text(point, group))}[/]")
        timed = [(seconds, row) for row in point.rows if (seconds := point.ranked(row)) is not None]
        for _, row in sorted(timed, key=lambda pair: pair[0]):
            cells = _cells(point, row, machines)
            grid.add_row(*(cells[column] for column in columns))
    return grid


def _cells(point: Point, row: Row, machines: Sequence[Machine]) -> Mapping[str, str]:
    """The cells of a row, by column."""
    of_machine = shares(point, row, machines)
    is_baseline = row.method == point.baseline
    last = row.ratios.get(point.conditions.directions[-1])
    return {
        "method": f" {row.method}",
        "forward": short_time(row.seconds("forward")),
        "times": "" if is_baseline else _times(row.ratios.get("forward")),
        "both": short_time(row.seconds("both")),
        _INTERVAL: "1" if is_baseline else _times(last, interval=True),
        "memory": memory(row.cost.peak_bytes if row.cost else None),
        "copy": f"{100 * of_machine[0]:.0f} %" if of_machine else "",
        "matmul": f"{100 * of_machine[1]:.0f} %" if of_machine else "",
    }


def _times(ratio: Ratio | None, interval: bool = False) -> str:
    """Times as fast as the baseline, in colour where the interval says so; ~ where there was one call only."""
    from rich.markup import escape

    if ratio is None:
        return ""
    if not math.isfinite(ratio.high):
        return f"~{number(ratio.times)}"
    if interval:
        text = escape(with_interval(ratio.times, ratio.low, ratio.high))
    else:
        text = number(ratio.times, decimals(ratio.high - ratio.low))
    colour = {"faster": "green", "slower": "red"}.get(ratio.outcome)
    return f"[{colour}]{text}[/]" if colour else text


def _without_time(group: Sequence[Point]) -> Iterator[str]:
    """A line for each method and reason, with the sizes it holds for."""
    from rich.markup import escape

    causes: dict[tuple[str, str], list[tuple[Point, str]]] = {}
    for point in group:
        for row in point.rows:
            if row.status in _STATUS:
                causes.setdefault((row.method, row.status), []).append((point, row.cause))
    for (method, status), places in causes.items():
        sizes = [] if len(places) == len(group) else [size_text(point, group) for point, _ in places]
        where = f" at {', '.join(sizes)}" if sizes else ""
        yield f"  {_STATUS[status]} {escape(method + where)}: {escape(places[0][1])}"


def _controls(group: Sequence[Point]) -> Iterator[str]:
    from rich.markup import escape

    noisy = [f"{size_text(point, group)} ({direction})" for point in group for direction in point.noisy]
    ratios = [control.ratio for point in group for control in point.controls.values()]
    if noisy:
        where = ", ".join(noisy)
        yield f"  [yellow]too noisy to judge[/]: the same method twice was not the same within 5 % at {where}"
    elif ratios:
        worst = max(ratios, key=lambda ratio: max(ratio.high, 1 / ratio.low))
        text = escape(with_interval(worst.times, worst.low, worst.high))
        yield f"  A/A control: no difference; at worst {text}"


def _notes(group: Sequence[Point]) -> Iterator[str]:
    from rich.markup import escape

    seen = set()
    for point in group:
        for row in point.rows:
            for fault in row.faults:
                if not fault.blocks and (row.method, fault.check) not in seen:
                    seen.add((row.method, fault.check))
                    yield f"  [yellow]note[/] {escape(row.method)}: {escape(fault.found)}"


def _growth(group: Sequence[Point]) -> Iterator[str]:
    parts = [f"{fit['method']} {_powers(fit['time'])}, {_powers(fit['memory'])}" for fit in growth(group)]
    if parts:
        yield f"  [dim]grows (time, memory):[/] {'; '.join(parts)}"


def _powers(exponents: Mapping[str, float]) -> str:
    return " ".join(f"{name}^{exponent:.1f}" for name, exponent in exponents.items()) or "?"
