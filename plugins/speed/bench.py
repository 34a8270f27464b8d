"""The whole measurement: for each workload and size, what fits, what is right, and how fast that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.numbers import short_time
from harness.spec import Method
from harness_plugins.speed.comparison import Fault
from harness_plugins.speed.conditions import Conditions
from harness_plugins.speed.gate import Examined
from harness_plugins.speed.inputs import smallest_size
from harness_plugins.speed.measurements import Check, Timing, send_cost, send_faults, send_rates, send_times
from harness_plugins.speed.own_process import Failure, Limits, run_in_process
from harness_plugins.speed.points import Control, Machine, Point, Row
from harness_plugins.speed.ratios import Ratio, no_difference, ratio
from harness_plugins.speed.selection import Comparison
from harness_plugins.speed.stopwatch import Direction
from harness_plugins.speed.timing import Dropped

#: Seconds of interleaved blocks for each method and direction, about.
BUDGET = 0.25
#: Seconds between two messages that a race has at least: it sends one before each block.
PATIENCE = 60.0
#: If a call takes longer, in seconds, the table has the time of that one call.
SLOW = 2.0


@dataclass(frozen=True, kw_only=True)
class Bench:
    """All that is measured, and where."""

    comparisons: tuple[Comparison, ...]
    #: (device, threads) pairs.
    machines: tuple[tuple[str, int], ...]
    limits: Limits
    dtype: str = "float32"
    #: Plugins named with ``-p``.
    plugins: tuple[str, ...] = ()
    #: Whether gradients are checked and timed as well.
    backward: bool = True

    @property
    def sizes(self) -> int:
        """How many points there are to measure."""
        return len(self.machines) * sum(len(comparison.sizes) for comparison in self.comparisons)

    @property
    def measurements(self) -> int:
        """How many rows there are to measure: methods at sizes."""
        return len(self.machines) * sum(len(c.sizes) * len(c.methods) for c in self.comparisons)


@dataclass(frozen=True)
class Progress:
    """What is called on the way."""

    #: With a size that begins.
    started: Callable[[Conditions], None] = field(default=lambda conditions: None)
    #: With what is being done for it, in a few words.
    doing: Callable[[str], None] = field(default=lambda text: None)
    #: After each size.
    finished: Callable[[], None] = field(default=lambda: None)


def measure_all(bench: Bench, progress: Progress) -> tuple[list[Point], list[Machine]]:
    """Measure the machines, and every size of every comparison on each of them."""
    points, machines = [], []
    for device, threads in bench.machines:
        # The user's limit is for methods: one of a few seconds would end this on a busy machine.
        patient = replace(bench.limits, seconds=max(bench.limits.seconds, PATIENCE))
        *_, rates = run_in_process(send_rates, (device, threads), patient)
        machines.append(Machine(device, threads, rates))
        for comparison in bench.comparisons:
            for size in comparison.sizes:
                conditions = Conditions(
                    workload=comparison.workload.name,
                    size=tuple(size.items()),
                    device=device,
                    dtype=bench.dtype,
                    threads=threads,
                    plugins=bench.plugins,
                    options=comparison.options,
                    backward=bench.backward,
                )
                progress.started(conditions)
                points.append(measure(conditions, comparison, bench.limits, progress.doing))
                progress.finished()
    return points, machines


def measure(
    conditions: Conditions,
    comparison: Comparison,
    limits: Limits,
    doing: Callable[[str], None] = lambda text: None,
) -> Point:
    """Measure one size. ``doing`` is called with what is being done, in a few words."""
    measurement = _Measurement(conditions, comparison, limits, doing)
    for method in comparison.methods:
        measurement.measure_cost(method)
    measurement.check()
    controls = {direction: control for direction in conditions.directions if (control := measurement.time(direction))}
    rows = list(measurement.rows.values())
    base = next((row for row in rows if row.method == comparison.baseline), None)
    compared = tuple(replace(row, ratios=dict(_ratios(row, base, conditions.directions))) for row in rows)
    return Point(conditions, comparison.workload, comparison.baseline, compared, controls)


class _Measurement:
    """The measurement of one size: fills a row for each method."""

    def __init__(
        self, conditions: Conditions, comparison: Comparison, limits: Limits, doing: Callable[[str], None]
    ) -> None:
        self.conditions, self.comparison, self.limits, self.doing = conditions, comparison, limits, doing
        self.rows: dict[str, Row] = {}

    def measure_cost(self, method: Method) -> None:
        """Make the row of a method: with its cost, or with the reason why it has none."""
        self.doing(f"memory of {method.name}")
        row = Row(method.name, "timed", reference=method.reference or method.name)
        _, outcome = self._run(send_cost, method.name, self.limits)
        if isinstance(outcome, Failure):
            row = replace(row, status=outcome.status, cause=outcome.cause)
        else:
            slow = max(outcome.both, outcome.forward) > SLOW
            cause = f"one call of {short_time(outcome.both)} is too long for blocks" if slow else ""
            row = replace(row, cause=cause, cost=outcome)
        self.rows[method.name] = row

    def check(self) -> None:
        """Check all methods that fit, those of one reference together."""
        families: dict[str, list[str]] = {}
        for row in self.rows.values():
            if row.status == "timed":
                families.setdefault(row.reference, []).append(row.method)
        for reference, names in families.items():
            self._check_family(names, reference)

    def _check_family(self, names: Sequence[str], reference: str) -> None:
        """Check methods. One that ends the process costs itself; the reference costs nobody.

        Where the reference itself does not fit, each method is checked against its own float64 result.
        """
        smallest = self.conditions.dimensions == smallest_size(self.comparison.workload)

        def started(name: str) -> None:
            self.doing(f"check of {name or f'{reference} in float64'}")

        waiting = list(names)
        while waiting:
            check = Check(tuple(waiting), reference, second_order=smallest and self.conditions.backward)
            running, outcome = self._run(send_faults, check, self.limits, started)
            if isinstance(outcome, Examined):
                for name in waiting:
                    self._judge(name, outcome)
                return
            if running in waiting:
                self._set(running, status=outcome.status, cause=f"while checked: {outcome.cause}")
                waiting.remove(running)
            elif waiting == [reference]:
                cause = f"cannot be checked here: in float64 {outcome.cause}"
                self._set(reference, status=outcome.status, cause=cause)
                return
            else:
                self.doing(f"check against themselves, since {reference} in float64 {outcome.cause}")
                for name in waiting:
                    self._set(name, reference=name)
                    self._check_family([name], name)
                return

    def _judge(self, name: str, examined: Examined) -> None:
        faults = tuple(examined.faults[name])
        if blocking := [fault for fault in faults if fault.blocks]:
            first = blocking[0]
            self._set(name, status="wrong", cause=f"{first.found} ({first.inputs})", faults=faults)
        else:
            status = "one-call" if self.rows[name].cause else "timed"
            self._set(name, status=status, faults=faults)
        self._set(name, truths=examined.truths)

    def time(self, direction: Direction) -> Control | None:
        """Put the blocks of one direction into the rows; return the control, unless nothing could be timed.

        A method that ends the process costs itself: the others race again.
        """
        self.doing(f"time, {'forward' if direction == 'forward' else 'forward and backward'}")
        while names := [name for name, row in self.rows.items() if row.status == "timed"]:
            controlled = self.comparison.baseline if self.comparison.baseline in names else names[0]
            truths = {name: self.rows[name].truths for name in names}
            timing = Timing(tuple(names), controlled, direction, BUDGET, truths)
            longer = replace(self.limits, seconds=max(self.limits.seconds, PATIENCE))
            running, outcome = self._run(send_times, timing, longer)
            if isinstance(outcome, Failure):
                for name in [running] if running else names:
                    self._set(name, status=outcome.status, cause=f"while timed: {outcome.cause}", blocks={})
                continue
            for name, reason in outcome.dropped.items():
                self._drop(name, reason)
            for name, blocks in outcome.blocks.items():
                self._set(name, blocks={**self.rows[name].blocks, direction: tuple(blocks)})
            if outcome.blocks:
                base = outcome.blocks[controlled]
                return Control(controlled, ratio(base, outcome.control), no_difference(base, outcome.control))
        return None

    def _drop(self, name: str, reason: Dropped) -> None:
        faults = (Fault("repeated", "realistic", reason.cause),) if reason.status == "wrong" else ()
        more = (*self.rows[name].faults, *faults)
        self._set(name, status=reason.status, cause=reason.cause, faults=more, blocks={})

    def _run(
        self,
        work: Callable[..., None],
        order: object,
        limits: Limits,
        started: Callable[[str], None] = lambda name: None,
    ) -> tuple[str, Any]:
        """Run the work in a process of its own; return the name that it sent last, and its outcome or Failure."""
        running = ""
        for message in run_in_process(work, (self.conditions, order), limits):
            if not isinstance(message, str):
                return running, message
            running = message
            started(message)
        return running, Failure("crashed", "its process ended without a result")

    def _set(self, name: str, **fields: object) -> None:
        self.rows[name] = replace(self.rows[name], **fields)  # type: ignore[arg-type]


def _ratios(row: Row, base: Row | None, directions: Sequence[Direction]) -> Iterator[tuple[Direction, Ratio]]:
    """Times as fast as the baseline, by direction."""
    for direction in directions:
        seconds, baseline = row.seconds(direction), base.seconds(direction) if base else None
        if base is None or seconds is None or baseline is None or row.status == "wrong":
            continue
        if direction in row.blocks and direction in base.blocks:
            yield direction, ratio(base.blocks[direction], row.blocks[direction])
        else:
            yield direction, Ratio(baseline / seconds, 0.0, float("inf"))
