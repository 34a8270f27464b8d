"""The workload: a batch of cosines with labels."""

from __future__ import annotations

from harness.spec import Workload

_BATCHES = "harness_plugins.cosent.cosine_batches"

WORKLOADS = (
    Workload(
        name="matching/pairs",
        role="pair-ranking-loss",
        sizes={"pairs": [1024, 8192], "grades": [2, 6, 101]},
        inputs=f"{_BATCHES}:inputs",
        call=f"{_BATCHES}:call",
        extremes={
            "all equal": f"{_BATCHES}:all_equal",
            "nearly equal": f"{_BATCHES}:nearly_equal",
            "separated": f"{_BATCHES}:separated",
            "opposite": f"{_BATCHES}:opposite",
        },
        baseline="cosent-dense",
        bytes=f"{_BATCHES}:least_bytes",
        flops=f"{_BATCHES}:least_flops",
        help="the loss of a batch of pairs from its cosines, forward and backward",
    ),
)
