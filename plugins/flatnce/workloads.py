"""The workload of contrastive losses: projections of two views, as large as SimCLR's."""

from __future__ import annotations

from harness.spec import Workload

_CODE = "harness_plugins.flatnce.workload_inputs"

WORKLOADS = (
    Workload(
        name="contrastive/two-view-batch",
        role="contrastive-loss",
        sizes={"batch": [256, 1024, 4096], "dimension": [128]},
        inputs=f"{_CODE}:inputs",
        call=f"{_CODE}:call",
        extremes={
            "nearly collapsed": f"{_CODE}:collapsed",
            "separated": f"{_CODE}:separated",
            "uneven lengths": f"{_CODE}:uneven_lengths",
        },
        baseline="infonce-cross-entropy",
        bytes=f"{_CODE}:least_bytes",
        flops=f"{_CODE}:least_flops",
        help="the loss of a batch of pairs, forward and backward",
    ),
)
