"""Speed and memory of methods, checked and measured side by side: ``harness bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.spec import Metric, Option, Task

if TYPE_CHECKING:
    import typer


@hookimpl
def harness_commands(app: typer.Typer) -> None:
    """``bench``."""
    from harness_plugins.speed import command

    command.add_to(app)


#: Roles that workloads exist for.
_ROLES = (
    "activation",
    "contrastive-loss",
    "density-estimator",
    "gradient-penalty",
    "pair-ranking-loss",
    "probability-refiner",
    "span-scorer",
)


@hookimpl
def harness_tasks() -> list[Task]:
    """One race for each role, so that a claim about speed is a claim like any other."""
    return [
        Task(
            name=f"speed/{role}",
            role=role,
            run="harness_plugins.speed.tasks:race",
            metrics={
                "times_baseline": Metric(
                    "higher", "ratio", "times as fast as `against`, in interleaved blocks", timed=True
                ),
                "seconds_per_call": Metric("lower", "seconds", "median block", timed=True),
                "baseline_seconds_per_call": Metric(None, "seconds", "the same of `against`", timed=True),
                "control": Metric(
                    None, "ratio", "`against` as fast as itself; beyond 5 % the cell is skipped", timed=True
                ),
                "extremes_failed": Metric("lower", "count", "kinds of extreme inputs that it is wrong on"),
            },
            options={
                "workload": Option("", "a workload of the role; empty: the first"),
                "workload_size": Option("", "dimension=number, by spaces; what is left out has its smallest"),
                "against": Option("", "the baseline; empty: the workload's"),
                "direction": Option(
                    "both",
                    "alone: only the method, on the workload's tensors; forward: with what the workload does to its "
                    "output, without gradients; both: forward and backward",
                    choices=("alone", "forward", "both"),
                ),
                "threads": Option(1, "CPU threads; 0: all cores", low=0),
                "compiled": Option(False, "both by torch.compile"),
            },
            help="race a method against a baseline; never the same twice",
        )
        for role in _ROLES
    ]
