"""The workloads of span scorers: from hidden states, and the loss alone from what its scores are made of."""

from __future__ import annotations

from harness.spec import Workload

_SPANS = "harness_plugins.efficient_global_pointer.workload"
_POINTERS = "harness_plugins.efficient_global_pointer.pointer_loss"

_DRAWN = ("positives dominate", "huge scores", "one token", "no spans")

WORKLOADS = (
    Workload(
        name="ner/spans",
        role="span-scorer",
        sizes={"batch": [16], "types": [9, 50], "length": [128, 256, 512], "width": [768]},
        inputs=f"{_SPANS}:inputs",
        call=f"{_SPANS}:call",
        baseline="efficient-global-pointer-dense",
        bytes=f"{_SPANS}:least_bytes",
        flops=f"{_SPANS}:least_flops",
        extremes={name: f"{_SPANS}:{name.replace(' ', '_')}" for name in _DRAWN},
        # At scores of hundreds float32's own spacing moves a gradient by 3e-5.
        tolerance=1e-4,
        help="the loss of a batch of texts from hidden states, forward and backward",
    ),
    Workload(
        name="ner/pointer-loss",
        role="span-scorer",
        sizes={"batch": [16], "types": [9, 50], "length": [128, 256, 512], "dimension": [64]},
        inputs=f"{_POINTERS}:inputs",
        call=f"{_POINTERS}:call",
        baseline="efficient-global-pointer-dense",
        bytes=f"{_POINTERS}:least_bytes",
        flops=f"{_POINTERS}:least_flops",
        extremes={name: f"{_POINTERS}:{name.replace(' ', '_')}" for name in (*_DRAWN, "never meet")},
        # As above.
        tolerance=1e-4,
        help="the loss alone, from queries, keys and the scores of starts and ends, forward and backward",
    ),
)
