"""The workloads of gradient penalties, on a batch through an MLP of equal layers: a penalty, and the norms alone."""

from __future__ import annotations

from harness.spec import Workload

_CODE = "harness_plugins.gradient_penalty.workload_inputs"
_ROLE = "gradient-penalty"
_SIZES = {"batch": [64, 512], "width": [128, 512], "depth": [4]}
_EXTREMES = {"saturated": f"{_CODE}:saturated", "small weights": f"{_CODE}:small_weights"}

WORKLOADS = (
    Workload(
        name="penalty/mlp-batch",
        role=_ROLE,
        sizes=_SIZES,
        inputs=f"{_CODE}:inputs",
        call=f"{_CODE}:call",
        extremes=_EXTREMES,
        baseline="parameter-vmap",
        # The accuracy in float32 of the eigenvector of a spectral norm.
        tolerance=3e-5,
        bytes=f"{_CODE}:least_bytes",
        flops=f"{_CODE}:least_flops",
        help="a gradient penalty of a batch, differentiated with respect to all parameters",
    ),
    Workload(
        name="penalty/sample-norms",
        role=_ROLE,
        sizes=_SIZES,
        inputs=f"{_CODE}:inputs",
        call=f"{_CODE}:call_norms",
        extremes=_EXTREMES,
        baseline="parameter-vmap",
        bytes=f"{_CODE}:least_bytes_of_norms",
        flops=f"{_CODE}:least_flops_of_norms",
        help="both gradient norms of every sample, as for clipping or for a look; nothing is differentiated again",
    ),
)
