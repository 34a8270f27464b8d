"""The workloads of span scorers: the loss from hidden states, and the loss alone from the parts of its scores."""

from __future__ import annotations

from harness.spec import Workload

_STATES = "harness_plugins.efficient_global_pointer.hidden_states"
_PARTS = "harness_plugins.efficient_global_pointer.score_parts"

_EXTREMES = ("positives dominate", "huge scores", "one token", "no spans")
#: At scores of hundreds of nats, the spacing of float32 itself moves a gradient by 3e-5.
_TOLERANCE = 1e-4

WORKLOADS = (
    Workload(
        name="ner/spans",
        role="span-scorer",
        sizes={"batch": [16], "types": [9, 50], "length": [128, 256, 512], "width": [768]},
        inputs=f"{_STATES}:inputs",
        call=f"{_STATES}:call",
        baseline="efficient-global-pointer-dense",
        bytes=f"{_STATES}:least_bytes",
        flops=f"{_STATES}:least_flops",
        extremes={name: f"{_STATES}:{name.replace(' ', '_')}" for name in _EXTREMES},
        tolerance=_TOLERANCE,
        help="the loss of a batch of texts from hidden states, forward and backward",
    ),
    Workload(
        name="ner/pointer-loss",
        role="span-scorer",
        sizes={"batch": [16], "types": [9, 50], "length": [128, 256, 512], "dimension": [64]},
        inputs=f"{_PARTS}:inputs",
        call=f"{_PARTS}:call",
        baseline="efficient-global-pointer-dense",
        bytes=f"{_PARTS}:least_bytes",
        flops=f"{_PARTS}:least_flops",
        extremes={name: f"{_PARTS}:{name.replace(' ', '_')}" for name in (*_EXTREMES, "never meet")},
        tolerance=_TOLERANCE,
        help="the loss alone, from queries, keys and the scores of starts and ends, forward and backward",
    ),
)
