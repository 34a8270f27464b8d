"""A measurement for people: one table for each workload, then what has no time and why, then how things grow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.cli.output import table
from harness.numbers import memory, plural
from harness_plugins.speed.apart import Ended
from harness_plugins.speed.bench import Point, Row
from harness_plugins.speed.document import Machine, growth, shares
from harness_plugins.speed.timing import Ratio

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = ("method", "forward", "times", "both", "times ", "90 % interval", "memory", "copy", "matmul")
_FORWARD_COLUMNS = ("method", "forward", "times", "90 % interval", "memory")


def show(console: Console, points: Sequence[Point], machines: Sequence[Machine]) -> None:
    """Print everything."""
    for machine in machines:
        console.print(_of_machine(machine), soft_wrap=True)
    for group in groups(points):
        _show_group(console, group, machines)


def groups(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one workload on one device with one number of threads."""
    found: dict[tuple[str, str, int], list[Point]] = {}
    for point in points:
        found.setdefault((point.place.workload, point.place.device, point.place.threads), []).append(point)
    return list(found.values())


def heading(group: Sequence[Point]) -> str:
    """What a group is, in one line."""
    place = group[0].place
    threads = f", {plural(place.threads, 'thread')}" if place.device == "cpu" else ""
    settings = "".join(f", {name}={value}" for name, value in place.settings)
    return f"{place.workload} on {place.device}{threads}, {place.dtype}{settings}; against {group[0].baseline}"


def size_text(point: Point, among: Sequence[Point]) -> str:
    """The dimensions that differ among points, and all of them if none does.

    They are what tells one point from another.
    """
    sizes = [dict(p.place.size) for p in among]
    varying = [name for name in sizes[0] if len({size[name] for size in sizes}) > 1] or list(sizes[0])
    return " ".join(f"{name}={point.place.dimensions[name]}" for name in varying)


def seconds_text(seconds: float | None) -> str:
    """A time with three digits.

    >>> seconds_text(0.0123), seconds_text(3.2e-6), seconds_text(None)
    ('12.3 ms', '3.20 µs', '')
    """
    if seconds is None:
        return ""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{_three(seconds * factor)} {unit}"
    return f"{_three(seconds * 1e9)} ns"


def _three(number: float) -> str:
    """Three digits, without an exponent.

    >>> _three(1234.5), _three(0.01234)
    ('1234', '0.0123')
    """
    if number == 0:
        return "0"
    return f"{number:.{max(0, 2 - math.floor(math.log10(number)))}f}"


def _show_group(console: Console, group: Sequence[Point], machines: Sequence[Machine]) -> None:
    from rich.markup import escape

    columns = _COLUMNS if group[0].place.backward else _FORWARD_COLUMNS
    made = table(*columns, title=heading(group), right=columns[1:], no_wrap=True)
    for point in group:
        made.add_row(f"[bold]{escape(size_text(point, group))}[/]")
        timed = [(seconds, row) for row in point.rows if (seconds := point.ranked(row)) is not None]
        for _, row in sorted(timed, key=lambda pair: pair[0]):
            made.add_row(*_cells(point, row, machines))
    console.print(made)
    for line in [*_without_time(group), *_controls(group), *_notes(group), *_growth(group)]:
        console.print(line, soft_wrap=True)
    console.print()


def _cells(point: Point, row: Row, machines: Sequence[Machine]) -> list[str]:
    reached = shares(point, row, machines)
    base = row.method == point.baseline
    forward, both = row.ratios.get("forward"), row.ratios.get("both")
    first = [
        f"  {row.method}",
        seconds_text(row.seconds("forward")),
        ("1" if not point.place.backward else "") if base else _times(forward),
    ]
    peak = memory(row.cost.peak_bytes if row.cost else None)
    if not point.place.backward:
        return [*first, "" if base else _interval(forward), peak]
    return [
        *first,
        seconds_text(row.seconds("both")),
        "1" if base else _times(both),
        "" if base else _interval(both),
        peak,
        f"{100 * reached[0]:.0f} %" if reached else "",
        f"{100 * reached[1]:.0f} %" if reached else "",
    ]


def _times(found: Ratio | None) -> str:
    if found is None:
        return ""
    text = _three(found.times)
    if not math.isfinite(found.high):
        return f"~{text}"
    colour = {"faster": "green", "slower": "red"}.get(found.told)
    return f"[{colour}]{text}[/]" if colour else text


def _interval(found: Ratio | None) -> str:
    if found is None:
        return ""
    return rf"\[{_three(found.low)}, {_three(found.high)}]" if math.isfinite(found.high) else "one call"


def _of_machine(machine: Machine) -> str:
    if isinstance(machine.rates, Ended):
        return f"[yellow]{machine.device}[/]: its rates could not be measured: {machine.rates.cause}"
    copied, multiplied = machine.rates.copy_bytes_per_second, machine.rates.matmul_flops_per_second
    threads = f", {plural(machine.threads, 'thread')}" if machine.device == "cpu" else ""
    return f"{machine.device}{threads}: copies {copied / 1e9:.3g} GB/s, multiplies {multiplied / 1e9:.3g} GFLOP/s"


_WORDS = {
    "wrong": "[red]wrong[/]",
    "memory": "[yellow]does not fit[/]",
    "time": "[yellow]too slow[/]",
    "crashed": "[red]crashed[/]",
    "raised": "[red]failed[/]",
    "not-installed": "[dim]not installed[/]",
    "refused": "[dim]left out[/]",
}


def _without_time(group: Sequence[Point]) -> Iterator[str]:
    """A line for each method and reason, with the sizes it holds for."""
    from rich.markup import escape

    found: dict[tuple[str, str], list[tuple[Point, str]]] = {}
    for point in group:
        for row in point.rows:
            if row.status in _WORDS:
                found.setdefault((row.method, row.status), []).append((point, row.cause))
    for (method, status), places in found.items():
        everywhere = len(places) == len(group)
        where = "" if everywhere else f" at {', '.join(size_text(point, group) for point, _ in places)}"
        yield f"  {_WORDS[status]} {escape(method + where)}: {escape(places[0][1])}"


def _controls(group: Sequence[Point]) -> Iterator[str]:
    noisy = [(point, direction) for point in group for direction in point.noisy]
    ratios = [control.ratio for point in group for control in point.controls.values()]
    if noisy:
        told = ", ".join(f"{size_text(p, group)} ({d})" for p, d in noisy)
        yield f"  [yellow]too noisy to judge[/]: the same method twice was not the same within 5 % at {told}"
    elif ratios:
        worst = max((r for r in ratios), key=lambda r: max(r.high, 1 / r.low))
        yield f"  A/A control: no difference; at worst {worst.times:.3f} [dim]\\[{worst.low:.3f}, {worst.high:.3f}][/]"


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
    found = growth(group)
    if not found:
        return
    parts = []
    for one in found:
        time, peak = (_powers(one[what]) for what in ("time", "memory"))
        if time or peak:
            parts.append(f"{one['method']} {time or '?'}, {peak or '?'}")
    if parts:
        yield f"  [dim]grows (time, memory):[/] {'; '.join(parts)}"


def _powers(exponents: dict[str, float]) -> str:
    return " ".join(f"{name}^{exponent:.1f}" for name, exponent in exponents.items())
