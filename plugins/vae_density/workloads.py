"""The importance weights on which autoencoders are checked and timed."""

from __future__ import annotations

from harness.spec import Workload

_INPUTS = "harness_plugins.vae_density.workload_inputs"

WORKLOADS = (
    Workload(
        name="density/importance-weights",
        role="density-estimator",
        sizes={"samples": [50, 5000], "dimension": [784], "batch": [4, 20]},
        inputs=f"{_INPUTS}:inputs",
        call=f"{_INPUTS}:call",
        extremes={"far samples": f"{_INPUTS}:far_samples", "all pixels on": f"{_INPUTS}:all_on"},
        baseline="iwae-plain",
        # The gradient contains exponentials of log weights, which are hundreds of nats known to seven digits.
        tolerance=1e-4,
        bytes=f"{_INPUTS}:least_bytes",
        flops=f"{_INPUTS}:least_flops",
        help="the K-sample bound of a batch of binary pictures, forward and backward",
    ),
)
