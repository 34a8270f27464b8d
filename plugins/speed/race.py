"""A claim about speed is judged like any other: one cell races a method against a baseline, in interleaved blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import torch

from harness.errors import CannotRunHere, UsageError
from harness.records.provenance import usable_cores
from harness.running.run import Run
from harness.spec import Method, Scalar, Workload
from harness_plugins.speed.evaluation import draw, in_float64
from harness_plugins.speed.gate import Bound, examine_all, tolerance_in
from harness_plugins.speed.stopwatch import POOL, Direction
from harness_plugins.speed.timing import Ratio, no_difference, ratio, time_methods

#: Seconds of blocks for each of method, baseline and control; the second where the first was too noisy to judge.
BUDGETS = (0.7, 1.4)


def race(method: Any, run: Run) -> dict[str, float]:
    """Time the cell's method against ``against`` on one size of a workload of its role.

    Both must be right on realistic inputs first, and have the options that they share in common. Raises UsageError
    for a size that the workload does not have, RuntimeError naming what is wrong with a method, and
    CannotRunHere where ``against`` twice was not the same.
    """
    workload, against = run.named.workloads["workload"], run.named.methods["against"]
    size = _size(workload, str(run.options["workload_size"]))
    alone = run.options["direction"] == "alone"
    direction: Direction = "both" if run.options["direction"] == "both" else "forward"
    if alone and not callable(method):
        raise UsageError("direction = 'alone' times a method that is called with the workload's tensors")
    timed = replace(workload, call=_alone) if alone else workload
    options = run.cell.options
    rival, twin = (_built(against, options) for _ in range(2))
    with _threads(int(run.options["threads"])):
        # What is examined is what is raced: compiled, and called in the same way.
        mine, theirs, again = (
            torch.compile(m, dynamic=False) if run.options["compiled"] else m for m in (method, rival, twin)
        )
        examine = partial(_examine, run, workload, size, alone)
        failed, truths = examine(run.cell.method, mine)
        _, rival_truths = examine(against.name, theirs, extremes=False)
        places = (run.device, run.dtype)
        must_be = {"mine": truths, "theirs": rival_truths}
        for budget in BUDGETS:
            times = time_methods(
                {"mine": mine, "theirs": theirs},
                again,
                "theirs",
                timed,
                size,
                *places,
                direction,
                budget,
                run.seed % 2**31,
                must_be,
            )
            if times.dropped:
                raise RuntimeError(f"cannot be timed: {'; '.join(why.cause for why in times.dropped.values())}")
            base, own = times.blocks["theirs"], times.blocks["mine"]
            if no_difference(base, times.control):
                break
        else:
            raise CannotRunHere(_too_noisy(against.name, ratio(base, times.control)))
    return {
        "times_baseline": ratio(base, own).times,
        "seconds_per_call": median(own),
        "baseline_seconds_per_call": median(base),
        "control": ratio(base, times.control).times,
        "extremes_failed": failed,
    }


def _too_noisy(name: str, control: Ratio) -> str:
    found = f"{control.times:.3f} [{control.low:.3f}, {control.high:.3f}]"
    return (
        f"too noisy to judge: {name} was {found} times as fast as itself, where all of the interval must lie "
        f"within 5 % of 1; run it again on a machine that does nothing else"
    )


def _alone(method: Any, *tensors: torch.Tensor) -> Any:
    return method(*tensors)


def _size(workload: Workload, text: str) -> dict[str, int]:
    """The dimensions in ``batch=256 dimension=128``; those left out have their smallest value."""
    size = {name: values[0] for name, values in workload.sizes.items()}
    for part in text.split():
        name, _, value = part.partition("=")
        if name not in size or not value.isdecimal():
            known = " ".join(f"{k}={v}" for k, v in size.items())
            found = f"workload_size = {text!r}: {part!r} is no dimension=number"
            raise UsageError(f"{found} of {workload.name}, as in {known!r}")
        size[name] = int(value)
    return size


def _built(method: Method, options: Mapping[str, Scalar]) -> Any:
    """Built with those of a cell's options that it has: what both sides have is set alike."""
    return method.create(**{name: value for name, value in options.items() if name in method.options})


def _examine(
    run: Run,
    workload: Workload,
    size: dict[str, int],
    alone: bool,
    name: str,
    built: Any,
    *,
    extremes: bool = True,
) -> tuple[int, Sequence[Sequence[Bound]]]:
    """How many extremes a built method is wrong on, and what the race must find.

    Raises RuntimeError if it is wrong on realistic inputs.
    """
    other = run.named.references[name]
    tested = Method(name=name, role=workload.role, build=lambda: built)
    reference = replace(other, build=lambda **_: _built(other, run.cell.options))
    places = (run.device, run.dtype, run.seed % 2**31)
    found = examine_all([tested], workload, size, *places, reference, extremes=extremes)
    wrong = [fault for fault in found.faults[name] if fault.blocks]
    for fault in wrong:
        if fault.inputs == "realistic":
            raise RuntimeError(f"{name} is wrong and gets no time: {fault.found}")
    truths = found.truths
    if alone:
        truths = tuple(_alone_truth(reference, workload, size, *places[:2], places[2] + n) for n in range(POOL))
    return len({fault.inputs for fault in wrong}), truths


@torch.no_grad()
def _alone_truth(
    reference: Method, workload: Workload, size: dict[str, int], device: torch.device, dtype: torch.dtype, seed: int
) -> tuple[Bound, ...]:
    """What a method gives that is called with nothing around it: the number, or the 2-norm of several."""
    found = _alone(reference.create(), *in_float64(draw(workload.inputs, size, device, dtype, seed)))
    exact = float(found.norm()) if found.numel() > 1 else float(found)
    return ((exact, tolerance_in(workload, dtype) * abs(exact) + 4 * torch.finfo(dtype).eps * (1 + abs(exact))),)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads, 0 for all cores, and kernels as a user has them; a cell else has one and the repeatable ones."""
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
