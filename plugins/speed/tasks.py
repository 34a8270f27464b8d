"""The tasks ``speed/ROLE``: races of two methods of one role, so that a claim about speed is a claim like any other."""

from __future__ import annotations

from collections.abc import Sequence

from harness.spec import Metric, Option, Role, Task, Workload

_METRICS = {
    "times_baseline": Metric("higher", "ratio", "times as fast as `against`, in interleaved blocks", timed=True),
    "seconds_per_call": Metric("lower", "seconds", "median block", timed=True),
    "baseline_seconds_per_call": Metric(None, "seconds", "the same of `against`", timed=True),
    "control": Metric(None, "ratio", "`against` as fast as itself; beyond 5 % the cell is skipped", timed=True),
    "extremes_failed": Metric("lower", "count", "kinds of extreme inputs that it is wrong on"),
}
_OPTIONS = {
    "workload": Option("", "a workload of the role; empty: the first", names="workload"),
    "workload_size": Option("", "dimension=number, separated by spaces; a dimension left out has its smallest"),
    "against": Option("", "the baseline; empty: the workload's", names="method"),
    "direction": Option(
        "both",
        "alone: only the method, on the workload's tensors; forward: with what the workload does to its output, "
        "without gradients; both: forward and backward",
        choices=("alone", "forward", "both"),
    ),
    "threads": Option(1, "CPU threads; 0: all cores", low=0),
    "compiled": Option(False, "both by torch.compile"),
}


def races(role: Role, workloads: Sequence[Workload]) -> list[Task]:
    """The race of a role's methods; none where no workload says what they are raced on."""
    if not workloads:
        return []
    return [
        Task(
            name=f"speed/{role.name}",
            role=role.name,
            run="harness_plugins.speed.race:race",
            metrics=_METRICS,
            options=_OPTIONS,
            help="race a method against a baseline; never the same twice",
        )
    ]
