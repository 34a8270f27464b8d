"""The home of the role classification-loss: cross-entropy, which techniques of others are compared with."""

from __future__ import annotations

from harness.hookspecs import hookimpl
from harness.spec import Method, Paper, Role, Workload
from harness_plugins.classification.roles import ROLES

_HERE = "harness_plugins.classification"
_ROLE = "classification-loss"


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """The baseline."""
    return [
        Method(
            name="cross-entropy",
            role=_ROLE,
            build=f"{_HERE}.losses:cross_entropy",
            help="mean of -log softmax(logits)[target]",
            paper=Paper(
                title="Probabilistic Interpretation of Feedforward Classification Network Outputs",
                url="https://doi.org/10.1007/978-3-642-76153-9_28",
                year=1990,
                authors="Bridle",
            ),
        )
    ]


@hookimpl
def harness_workloads() -> list[Workload]:
    """A batch as a network's last layer gives it."""
    return [
        Workload(
            name="classification/logits",
            role=_ROLE,
            sizes={"rows": [256, 4096], "classes": [10, 1000]},
            inputs=f"{_HERE}.losses:inputs",
            call=f"{_HERE}.losses:call",
            baseline="cross-entropy",
            extremes={"sure and right": f"{_HERE}.losses:right", "sure and wrong": f"{_HERE}.losses:wrong"},
            bytes=f"{_HERE}.losses:least_bytes",
            flops=f"{_HERE}.losses:least_flops",
            help="the loss of a batch, forward and backward",
        )
    ]
