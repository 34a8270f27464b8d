"""The workload of activations: one row of numbers, the longest too large for any cache."""

from __future__ import annotations

from harness.spec import Workload

_CODE = "harness_plugins.squareplus.workload_inputs"

WORKLOADS = (
    Workload(
        name="activation/elements",
        role="activation",
        sizes={"elements": [100_000, 1_000_000, 10_000_000]},
        inputs=f"{_CODE}:inputs",
        call=f"{_CODE}:call",
        extremes={
            "left tail": f"{_CODE}:left_tail",
            "large": f"{_CODE}:large",
            "near zero": f"{_CODE}:near_zero",
        },
        baseline="softplus",
        bytes=f"{_CODE}:least_bytes",
        flops=f"{_CODE}:least_flops",
        help="an activation of a row of numbers, forward and backward",
    ),
)
