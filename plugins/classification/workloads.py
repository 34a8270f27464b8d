"""The workload of classification losses: a batch of logits, like those of a network's last layer."""

from __future__ import annotations

from harness.spec import Workload

_CODE = "harness_plugins.classification.workload_inputs"

WORKLOADS = (
    Workload(
        name="classification/logits",
        role="classification-loss",
        sizes={"rows": [256, 4096], "classes": [10, 1000]},
        inputs=f"{_CODE}:inputs",
        call=f"{_CODE}:call",
        baseline="cross-entropy",
        extremes={"sure and right": f"{_CODE}:right", "sure and wrong": f"{_CODE}:wrong"},
        bytes=f"{_CODE}:least_bytes",
        flops=f"{_CODE}:least_flops",
        help="the loss of a batch, forward and backward",
    ),
)
