"""The whole measurement: for each workload and size, what fits, what is right, and how fast that is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from harness_plugins.speed import work
from harness_plugins.speed.apart import Ended, Limits, run_apart
from harness_plugins.speed.gate import Bound, Examined, Fault
from harness_plugins.speed.timing import Ratio, no_difference, ratio

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.spec import Method, Workload
    from harness_plugins.speed.machine import Rates
    from harness_plugins.speed.peak import Cost
    from harness_plugins.speed.stopwatch import Direction
    from harness_plugins.speed.timing import Dropped, Times
    from harness_plugins.speed.work import Place

#: Seconds of interleaved blocks for each method and direction, about.
BUDGET = 0.25
#: Seconds without a word in which a race may be silent, at least: it speaks before each block.
PATIENCE = 60.0
#: A method whose call takes longer is shown with the time of that one call.
SLOW = 2.0

#: What became of a method at a size. "timed": in interleaved blocks. "one-call": right, but too slow for that.
Status = Literal["timed", "one-call", "wrong", "memory", "time", "crashed", "raised", "not-installed", "refused"]


@dataclass(frozen=True)
class Row:
    """One method at one size."""

    method: str
    status: Status
    #: Why it has no time, or no interval, in one sentence.
    cause: str = ""
    faults: tuple[Fault, ...] = ()
    #: Whose float64 result it was checked against.
    reference: str = ""
    #: What that says of a plain call on each draw.
    truths: tuple[tuple[Bound, ...], ...] = ()
    cost: Cost | None = None
    #: Seconds per call of each block, by direction.
    blocks: Mapping[Direction, Sequence[float]] = field(default_factory=dict)
    #: Times as fast as the baseline, by direction; without an interval where either has one call only.
    ratios: Mapping[Direction, Ratio] = field(default_factory=dict)

    def seconds(self, direction: Direction) -> float | None:
        """The median block, or the one call; None where it has no time."""
        from statistics import median

        if direction in self.blocks:
            return median(self.blocks[direction])
        if self.status == "one-call" and self.cost is not None:
            return self.cost.both if direction == "both" else self.cost.forward
        return None


@dataclass(frozen=True)
class Control:
    """The same method twice, at one size and direction."""

    method: str
    ratio: Ratio
    #: Whether that came out as no difference.
    same: bool


@dataclass(frozen=True)
class Point:
    """All methods at one size."""

    place: Place
    workload: Workload
    baseline: str
    rows: tuple[Row, ...]
    controls: Mapping[Direction, Control] = field(default_factory=dict)

    def ranked(self, row: Row) -> float | None:
        """The seconds that a row is ranked by; None where it has no time or is wrong."""
        return None if row.status == "wrong" else row.seconds(self.place.directions[-1])

    @property
    def noisy(self) -> tuple[Direction, ...]:
        """Directions in which the machine was too noisy to judge."""
        return tuple(direction for direction, control in self.controls.items() if not control.same)


def sizes_of(workload: Workload) -> list[dict[str, int]]:
    """Every combination of the workload's dimensions.

    >>> from harness.spec import Workload
    >>> sizes = {"n": [1, 2], "d": [3]}
    >>> sizes_of(Workload(name="w", role="r", sizes=sizes, inputs=abs, call=abs, bytes=abs, flops=abs, baseline="b"))
    [{'n': 1, 'd': 3}, {'n': 2, 'd': 3}]
    """
    names = list(workload.sizes)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*workload.sizes.values())]


def machine_rates(device: str, threads: int, limits: Limits) -> Rates | Ended:
    """The machine's rates, or why they could not be measured."""
    found: Rates | Ended
    *_, found = run_apart(work.rates, (device, threads), limits)
    return found


def measure(
    place: Place,
    registry: Registry,
    methods: Sequence[Method],
    baseline: str,
    limits: Limits,
    told: Callable[[str], None] = lambda text: None,
) -> Point:
    """Everything about one size. ``told`` hears what is being done, for a progress line."""
    workload = registry.workloads[place.workload]
    rows: dict[str, Row] = {}
    for method in methods:
        told(f"memory of {method.name}")
        rows[method.name] = _cost(place, method, limits)
    smallest = dict(place.size) == sizes_of(workload)[0]
    families: dict[str, list[str]] = {}
    for method in methods:
        if rows[method.name].status == "timed":
            families.setdefault(method.reference or method.name, []).append(method.name)
    for reference, names in families.items():
        rows.update(_checked(place, rows, names, reference, smallest, limits, told))
    controls: dict[Direction, Control] = {}
    for direction in place.directions:
        told(f"time, {direction if direction == 'forward' else 'forward and backward'}")
        if control := _raced(place, rows, baseline, direction, limits):
            controls[direction] = control
    point = Point(place, workload, baseline, tuple(rows.values()), controls)
    return replace(point, rows=tuple(_with_ratios(point)))


def _cost(place: Place, method: Method, limits: Limits) -> Row:
    reference = method.reference or method.name
    for found in run_apart(work.cost, (place, method.name), limits):
        if isinstance(found, Ended):
            return Row(method.name, found.why, found.cause, reference=reference)
        slow = max(found.both, found.forward) > SLOW
        # "timed" until something stands against it.
        row = Row(method.name, "timed", cost=found, reference=reference)
        return replace(row, cause=f"one call of {found.both:.3g} s is too long for blocks") if slow else row
    return Row(method.name, "crashed", "its process ended without a word", reference=reference)


def _checked(
    place: Place,
    rows: Mapping[str, Row],
    names: Sequence[str],
    reference: str,
    smallest: bool,
    limits: Limits,
    told: Callable[[str], None],
) -> Iterator[tuple[str, Row]]:
    """The rows after the check. A method that ends the process costs itself; the reference costs nobody.

    Where the reference itself does not fit, each method is checked against its own float64 result.
    """
    waiting = list(names)
    while waiting:
        running = ""
        for found in run_apart(work.check, (place, tuple(waiting), reference, smallest and place.backward), limits):
            if isinstance(found, str):
                running = found
                told(f"check of {found or f'{reference} in float64'}")
            elif isinstance(found, Ended):
                if running in waiting:
                    yield running, replace(rows[running], status=found.why, cause=f"while checked: {found.cause}")
                    waiting.remove(running)
                elif waiting != [reference]:
                    told(f"check against themselves, since {reference} in float64 {found.cause}")
                    for name in waiting:
                        own = {name: replace(rows[name], reference=name)}
                        yield from _checked(place, own, [name], name, smallest, limits, told)
                    return
                else:
                    cause = f"cannot be checked here: in float64 {found.cause}"
                    yield reference, replace(rows[reference], status=found.why, cause=cause)
                    return
            else:
                examined: Examined = found
                for name in waiting:
                    row = replace(rows[name], truths=examined.truths)
                    yield name, _judged(row, tuple(examined.faults[name]))
                return


def _judged(row: Row, faults: tuple[Fault, ...]) -> Row:
    blocking = [fault for fault in faults if fault.blocks]
    if blocking:
        first = blocking[0]
        return replace(row, status="wrong", cause=f"{first.found} ({first.inputs})", faults=faults)
    return replace(row, status="one-call" if row.cause else "timed", faults=faults)


def _raced(place: Place, rows: dict[str, Row], baseline: str, direction: Direction, limits: Limits) -> Control | None:
    """Put the blocks of one direction into the rows; gives the control, unless nothing could be timed.

    A method that ends the process costs itself: the others race again.
    """
    while racing := [name for name, row in rows.items() if row.status == "timed"]:
        controlled = baseline if baseline in racing else racing[0]
        longer = replace(limits, seconds=max(limits.seconds, PATIENCE))
        truths = {name: rows[name].truths for name in racing}
        running = ""
        for found in run_apart(work.race, (place, tuple(racing), controlled, direction, BUDGET, truths), longer):
            if isinstance(found, str):
                running = found
            elif isinstance(found, Ended):
                for name in [running] if running else racing:
                    rows[name] = replace(rows[name], status=found.why, cause=f"while timed: {found.cause}", blocks={})
                break
            else:
                times: Times = found
                for name, why in times.dropped.items():
                    rows[name] = _dropped(rows[name], why)
                for name, blocks in times.blocks.items():
                    rows[name] = replace(rows[name], blocks={**rows[name].blocks, direction: tuple(blocks)})
                if times.blocks:
                    base = times.blocks[controlled]
                    return Control(controlled, ratio(base, times.control), no_difference(base, times.control))
    return None


def _dropped(row: Row, why: Dropped) -> Row:
    faults = (Fault("repeated", "realistic", why.cause),) if why.status == "wrong" else ()
    return replace(row, status=why.status, cause=why.cause, faults=(*row.faults, *faults), blocks={})


def _with_ratios(point: Point) -> Iterator[Row]:
    base = next((row for row in point.rows if row.method == point.baseline), None)
    for row in point.rows:
        found: dict[Direction, Ratio] = {}
        for direction in point.place.directions:
            mine, theirs = row.seconds(direction), base.seconds(direction) if base else None
            if base is None or mine is None or theirs is None or row.status == "wrong":
                continue
            if direction in row.blocks and direction in base.blocks:
                found[direction] = ratio(base.blocks[direction], row.blocks[direction])
            else:
                found[direction] = Ratio(theirs / mine, 0.0, float("inf"))
        yield replace(row, ratios=found)
