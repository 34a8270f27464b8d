"""A claim about speed is judged like any other: one cell races a method against a baseline, in interleaved blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from harness.errors import UnknownName, UsageError
from harness.provenance import usable_cores
from harness.registry import Registry, load_registry
from harness.run import Run
from harness.spec import Workload
from harness_plugins.speed.gate import examine_all
from harness_plugins.speed.peak import measure_cost
from harness_plugins.speed.timing import Direction, Stopwatch, ratio, time_methods

#: Seconds of blocks for each of method, baseline and control.
BUDGET = 0.7


def race(method: Any, run: Run) -> dict[str, float]:
    """Time the cell's method against ``against`` on one size of a workload of its role.

    Both must be right on realistic inputs first. Raises UsageError for a workload, size or baseline that the role
    does not have, and RuntimeError naming what is wrong with a method.
    """
    registry = load_registry()
    role = registry.tasks[run.cell.task].role
    workload = _workload(registry, role, str(run.options["workload"]))
    size = _size(workload, str(run.options["workload_size"]))
    rival_name = str(run.options["against"]) or workload.baseline
    known = [m.name for m in registry.methods.values() if m.role == role]
    if rival_name not in known:
        raise UnknownName("method", rival_name, known, where="against")
    rival, twin = (registry.methods[rival_name].create() for _ in range(2))
    alone = run.options["direction"] == "alone"
    direction: Direction = "both" if run.options["direction"] == "both" else "forward"
    if alone:
        if not callable(method):
            raise UsageError("direction = 'alone' times a method that is called with the workload's tensors")
        timed = replace(workload, call=_alone)
    else:
        timed = workload
    with _threads(int(run.options["threads"])):
        failed = _check(registry, method, run, workload, size)
        mine, theirs, again = (
            torch.compile(m, dynamic=False) if run.options["compiled"] else m for m in (method, rival, twin)
        )
        places = (run.device, run.dtype)
        built = {"mine": mine, "theirs": theirs}
        times = time_methods(built, again, "theirs", timed, size, *places, direction, BUDGET, run.seed % 2**31)
        if times.dropped:
            raise RuntimeError(f"cannot be timed: {'; '.join(times.dropped.values())}")
        tensors = Stopwatch(method, workload, size, *places, 0).pool[0]
        peaks = [measure_cost(m, workload, tensors, str(run.device)).peak_bytes or 1 for m in (method, rival)]
    base, own = times.blocks["theirs"], times.blocks["mine"]
    return {
        "times_baseline": ratio(base, own).times,
        "seconds_per_call": median(own),
        "baseline_seconds_per_call": median(base),
        "control": ratio(base, times.control).times,
        "peak_ratio": peaks[1] / peaks[0],
        "extremes_failed": failed,
    }


def _alone(method: Any, *tensors: torch.Tensor) -> Any:
    return method(*tensors)


def _workload(registry: Registry, role: str, name: str) -> Workload:
    mine = {w.name: w for w in registry.workloads.values() if w.role == role}
    if not mine:
        raise UsageError(f"no plugin brings a workload of the role {role!r}")
    if name and name not in mine:
        raise UnknownName("workload", name, mine)
    return mine[name] if name else next(iter(mine.values()))


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


def _check(registry: Registry, method: Any, run: Run, workload: Workload, size: dict[str, int]) -> int:
    """How many extremes the method is wrong on. Raises RuntimeError if it is wrong on realistic inputs."""
    mine = registry.methods[run.cell.method]
    other = registry.methods[mine.reference or mine.name]
    options = {name: value for name, value in run.cell.options.items() if name in other.options}
    tested = replace(mine, build=lambda **_: method)
    reference = replace(other, build=lambda **_: other.create(**options))
    found = examine_all([tested], workload, size, run.device, run.dtype, run.seed % 2**31, reference)[mine.name]
    wrong = [fault for fault in found if fault.blocks]
    for fault in wrong:
        if fault.inputs == "realistic":
            raise RuntimeError(f"it is wrong and gets no time: {fault.found}")
    return len({fault.inputs for fault in wrong})


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
