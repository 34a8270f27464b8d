"""A race of two methods as a cell, so that a claim about speed is judged like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from harness.errors import CannotRunHere, UsageError
from harness.numbers import number
from harness.records.provenance import usable_cores
from harness.running.run import Run
from harness.spec import Method, Scalar, Workload
from harness_plugins.speed.comparison import Bound
from harness_plugins.speed.gate import Family, examine_family
from harness_plugins.speed.inputs import Inputs, in_float64, smallest_size
from harness_plugins.speed.ratios import Ratio, no_difference, ratio
from harness_plugins.speed.stopwatch import POOL
from harness_plugins.speed.timing import Race, Times, time_methods

#: Seconds of blocks for each of method, baseline and control; the second where the first was too noisy to judge.
BUDGETS = (0.7, 1.4)
#: What the two sides of a race are called in it.
METHOD, BASELINE = "method", "against"


def race(method: Any, run: Run) -> dict[str, float]:
    """Time the cell's method against ``against`` on one size of a workload of its role.

    Both must be right on realistic inputs first, and both are built with the options that they share. Raises
    UsageError for a size that the workload does not have, RuntimeError naming what is wrong with a method, and
    CannotRunHere where ``against`` twice was not the same.
    """
    against, direction = run.named.methods["against"], run.options["direction"]
    workload = run.named.workloads["workload"]
    size = _size(workload, str(run.options["workload_size"]))
    inputs = Inputs(workload, size, run.device, run.dtype, run.seed % 2**31)
    if direction == "alone" and not callable(method):
        raise UsageError("direction = 'alone' times a method that is called with the workload's tensors")
    baseline, copy = (_build(against, run.cell.options) for _ in range(2))
    with _threads(int(run.options["threads"])):
        if run.options["compiled"]:
            method, baseline, copy = (torch.compile(side, dynamic=False) for side in (method, baseline, copy))
        # What is examined is what is raced: compiled, and called in the same way.
        failed, truths = _examine(run, inputs, run.cell.method, method)
        _, baseline_truths = _examine(run, inputs, against.name, baseline, extremes=False)
        contest = Race(
            methods={METHOD: method, BASELINE: baseline},
            controlled=BASELINE,
            copy=copy,
            inputs=replace(inputs, workload=replace(workload, call=_call_alone)) if direction == "alone" else inputs,
            direction="both" if direction == "both" else "forward",
            budget=BUDGETS[0],
            truths={METHOD: truths, BASELINE: baseline_truths},
        )
        times = _time(contest, against.name)
    seconds, baseline_seconds = times.blocks[METHOD], times.blocks[BASELINE]
    return {
        "times_baseline": ratio(baseline_seconds, seconds).times,
        "seconds_per_call": median(seconds),
        "baseline_seconds_per_call": median(baseline_seconds),
        "control": ratio(baseline_seconds, times.control).times,
        "extremes_failed": failed,
    }


def _time(contest: Race, against: str) -> Times:
    """The times of a race whose control came out as no difference, with more blocks the second time."""
    for budget in BUDGETS:
        times = time_methods(replace(contest, budget=budget))
        if times.dropped:
            raise RuntimeError(f"cannot be timed: {'; '.join(reason.cause for reason in times.dropped.values())}")
        if no_difference(times.blocks[BASELINE], times.control):
            return times
    raise CannotRunHere(_too_noisy(against, ratio(times.blocks[BASELINE], times.control)))


def _too_noisy(name: str, control: Ratio) -> str:
    interval = f"[{number(control.low, 3)}, {number(control.high, 3)}]"
    return (
        f"too noisy to judge: {name} was {number(control.times, 3)} {interval} times as fast as itself, where all of "
        f"the interval must lie within 5 % of 1; run it again on a machine that does nothing else"
    )


def _call_alone(method: Any, *tensors: torch.Tensor) -> Any:
    return method(*tensors)


def _size(workload: Workload, text: str) -> dict[str, int]:
    """The dimensions in ``batch=256 dimension=128``; dimensions left out have their smallest value."""
    size = smallest_size(workload)
    for part in text.split():
        name, _, value = part.partition("=")
        if name not in size or not value.isdecimal():
            example = " ".join(f"{k}={v}" for k, v in size.items())
            problem = f"workload_size = {text!r}: {part!r} is no dimension=number"
            raise UsageError(f"{problem} of {workload.name}, as in {example!r}")
        size[name] = int(value)
    return size


def _build(method: Method, options: Mapping[str, Scalar]) -> Any:
    """Built with those of a cell's options that it has, so that options that both sides have are set alike."""
    return method.create(**{name: value for name, value in options.items() if name in method.options})


def _examine(
    run: Run, inputs: Inputs, name: str, built: Any, extremes: bool = True
) -> tuple[int, Sequence[Sequence[Bound]]]:
    """On how many kinds of extreme inputs a built method is wrong, and what it must give in the race.

    Raises RuntimeError if it is wrong on realistic inputs.
    """
    plain, role = run.named.references[name], inputs.workload.role
    reference = replace(plain, build=lambda **_: _build(plain, run.cell.options))
    family = Family([Method(name=name, role=role, build=lambda: built)], reference, extremes=extremes)
    examined = examine_family(family, inputs)
    faults = [fault for fault in examined.faults[name] if fault.blocks]
    for fault in faults:
        if fault.inputs == "realistic":
            raise RuntimeError(f"{name} is wrong and gets no time: {fault.found}")
    truths = examined.truths
    if run.options["direction"] == "alone":
        truths = tuple(_truth_alone(reference, inputs, number) for number in range(POOL))
    return len({fault.inputs for fault in faults}), truths


@torch.no_grad()
def _truth_alone(reference: Method, inputs: Inputs, draw: int) -> tuple[Bound, ...]:
    """What a method that is called with nothing around it must return: the number, or the 2-norm of several."""
    output = reference.create()(*in_float64(inputs.draw(draw)))
    exact = float(output.norm()) if output.numel() > 1 else float(output)
    rounding = 4 * torch.finfo(inputs.dtype).eps * (1 + abs(exact))
    return ((exact, inputs.tolerance * abs(exact) + rounding),)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads, 0 for all cores, and the kernels that users have; cells have one thread and repeatable ones."""
    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(count or usable_cores())
    if deterministic:
        torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if deterministic:
            torch.use_deterministic_algorithms(True)
