"""What ``harness suite --plan`` shows: the cells, one row for those that differ only in seed and state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from harness.cli.output import errors, people, print_json, table
from harness.numbers import duration, plural
from harness.planning.setting import label, varying_by_task

if TYPE_CHECKING:
    from harness.cell import Cell, Record
    from harness.judge import Power
    from harness.judge.studies import Study
    from harness.planning.plan import Plan


def print_plan(plan: Plan, powers: Sequence[Power], as_json: bool) -> None:
    """The plan, the smallest difference that each claim will show, and how long it will probably take."""
    from rich.markup import escape

    workers = plan.worker_count
    estimate = plan.estimate(workers)
    states = _states(plan)
    if as_json:
        cells = [_document(cell, state) for cell, state in zip(plan.cells, states, strict=True)]
        left: dict[str, Any] = {"to_run": len(plan.todo), "estimated_seconds": estimate}
        if tuned := _tuned(plan):
            left |= {"tuning": [asdict(block) for block in tuned]}
        print_json({"suite": plan.suite.name, "cells": cells, "power": [p.to_json() for p in powers], **left})
        return
    for warning in plan.warnings:
        errors().print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    _print_rows(plan.cells, states)
    for block in _tuned(plan):
        people().print(f"tuning {escape(block.text)}", soft_wrap=True)
    for reason, count in skipped(plan.cells).items():
        errors().print(f"[yellow]skip[/] {plural(count, 'cell')}: {escape(reason)}", soft_wrap=True)
    _print_powers(powers)
    if not plan.todo:
        duration_left = "nothing is left to do"
    elif estimate is None:
        duration_left = "no past records say how long it will take"
    else:
        duration_left = f"about {duration(estimate)} on {plural(workers, 'worker')}, by past records"
    places = {f"{cell.device} in {cell.dtype}" for cell in plan.cells}
    where = f" on {places.pop()}" if len(places) == 1 else ""
    people().print(f"{plural(len(plan.cells), 'cell')}{where}, {len(plan.todo)} to run; {duration_left}")


def _print_powers(powers: Sequence[Power]) -> None:
    """A line for each claim, in columns where there is room; what does not fit beside its name stands below it."""
    from rich.text import Text

    if not powers:
        return
    people().print("Each claim shows with a probability of 80 % a difference from its border of")
    names = [_claim_name(power, powers) for power in powers]
    column = max(map(len, names))
    for name, power in zip(names, powers, strict=True):
        leads = (f"  {name:<{column}}  ", f"  {name}  ", f"  {name}\n    ")
        room = people().width - len(power.text)
        lead = next((lead for lead in leads[:2] if len(lead) <= room), leads[2])
        people().print(Text(f"{lead}{power.text}"), soft_wrap=True)
    people().print(_POWER_NOTE, style="dim")


_POWER_NOTE = (
    "After Holm: at the strictest level that its family can impose; alone: if it were the only claim. The spread is "
    "taken at the upper end of its 80 % interval. By one side alone: as of two independent runs; a pair under one seed "
    "mostly differs less."
)


def _claim_name(power: Power, powers: Sequence[Power]) -> str:
    """The claim, without its plugin where all are of one; and the device where there are several."""
    verdict = power.verdict
    plugin, _, short = verdict.claim.partition("/")
    name = short if {other.verdict.claim.partition("/")[0] for other in powers} == {plugin} else verdict.claim
    several = len({other.verdict.device for other in powers} - {""}) > 1
    return f"{name} on {verdict.device}" if several and verdict.device else name


@dataclass(frozen=True)
class Tuned:
    """What tuning some methods of one task costs."""

    task: str
    methods: list[str]
    #: What is tried and what chooses.
    way: str
    trials: int
    #: Of each method, at most; and the seeds of each.
    settings: int
    seeds: int
    #: Cells of all their trials.
    cells: int

    @property
    def text(self) -> str:
        """The task, what is tried, and the product that the cells come from."""
        factors = [plural(self.trials, "trial"), plural(len(self.methods), "method"), plural(self.settings, "setting")]
        product = " x ".join([*factors, plural(self.seeds, "seed")])
        if self.trials * len(self.methods) * self.settings * self.seeds != self.cells:
            # Methods with options of their own have more settings than others.
            product = f"{plural(self.trials, 'trial')} of {', '.join(self.methods)}"
        return f"{self.task}: {self.way}; {product} = {self.cells} cells"


def _tuned(plan: Plan) -> list[Tuned]:
    """What tuning costs, for each task and each way to tune it."""
    from harness.judge.studies import studies_of

    by_way: dict[tuple[str, str], list[Study]] = {}
    for study in studies_of(plan.tunings, plan.scope):
        by_way.setdefault((study.cell.task, study.tuning.text), []).append(study)
    blocks = []
    for (task, way), own in by_way.items():
        methods = list(dict.fromkeys(study.cell.method for study in own))
        settings = Counter(tuning.method for tuning in {s.cell.setting: s.cell for s in own}.values())
        blocks.append(
            Tuned(
                task=task,
                methods=methods,
                way=way,
                trials=len(own[0].trials),
                settings=max(settings.values()),
                seeds=len({study.cell.seed for study in own}),
                cells=len({trial.id for study in own for trial in study.trials}),
            )
        )
    return blocks


def ranges(numbers: list[int]) -> str:
    """Whole numbers, short.

    >>> ranges([0, 1, 2, 3, 7])
    '0-3, 7'
    """
    runs: list[list[int]] = []
    for value in sorted(numbers):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def skipped(cells: Iterable[Cell], records: Mapping[str, Record] | None = None) -> dict[str, int]:
    """Why cells are skipped, before or while they ran, and how many for each reason."""
    ran = {i: r.cause for i, r in (records or {}).items() if r.status == "skipped"}
    return Counter(reason for cell in cells if (reason := cell.skip or ran.get(cell.id)))


def _states(plan: Plan) -> list[str]:
    """What becomes of each cell: skip, run, or the status that its record keeps."""
    todo = {cell.id for cell in plan.todo}
    return ["skip" if cell.skip else "run" if cell.id in todo else plan.records[cell.id].status for cell in plan.cells]


def _print_rows(cells: Iterable[Cell], states: Iterable[str]) -> None:
    """The cells below the names of their tasks; device and dtype are columns only where they differ."""
    from rich.markup import escape

    planned = list(zip(cells, states, strict=True))
    settings = {cell.setting: cell for cell, _ in planned}
    varying = varying_by_task(settings.values())
    labels = {setting: label(cell.options, varying[cell.task]) for setting, cell in settings.items()}
    axes = [axis for axis in ("device", "dtype") if len({cell.value(axis) for cell, _ in planned}) > 1]
    rows = table("method", "options that vary", *axes, "seeds", "state")

    def row(item: tuple[Cell, str]) -> tuple[str, ...]:
        cell, state = item
        return cell.method, labels[cell.setting], *(str(cell.value(axis)) for axis in axes), state

    for task, of_task in groupby(planned, lambda item: item[0].task):
        rows.add_row(f"[bold]{escape(task)}[/]")
        for (method, options, *others, state), group in groupby(of_task, row):
            seeds = ranges([cell.seed for cell, _ in group])
            rows.add_row(f"  {escape(method)}", escape(options), *others, seeds, state)
    people().print(rows)


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
