"""Cross-entropy, the baseline of classification losses."""

from __future__ import annotations

from harness.spec import Method, Paper

METHODS = (
    Method(
        name="cross-entropy",
        role="classification-loss",
        build="harness_plugins.classification.losses:cross_entropy",
        help="mean of -log softmax(logits)[target]",
        paper=Paper(
            title="Probabilistic Interpretation of Feedforward Classification Network Outputs",
            url="https://doi.org/10.1007/978-3-642-76153-9_28",
            year=1990,
            authors="Bridle",
        ),
    ),
)
