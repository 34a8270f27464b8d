"""The predictions on which refiners are checked and timed."""

from __future__ import annotations

from harness.spec import Workload

_INPUTS = "harness_plugins.can.workload_inputs"

WORKLOADS = (
    Workload(
        name="postprocess/confident-and-unconfident-rows",
        role="probability-refiner",
        sizes={"confident": [1000, 10_000], "unconfident": [200, 2000], "classes": [10, 100]},
        inputs=f"{_INPUTS}:inputs",
        call=f"{_INPUTS}:call",
        extremes={"certain rows": f"{_INPUTS}:certain_rows", "rare classes": f"{_INPUTS}:rare_classes"},
        baseline="can-loop",
        bytes=f"{_INPUTS}:least_bytes",
        flops=f"{_INPUTS}:least_flops",
        help="refine a test set's probabilities",
    ),
)
