"""The role that classification losses fill."""

from __future__ import annotations

from harness.spec import Role

ROLES = (
    Role(
        name="classification-loss",
        help="the loss of a batch of logits against the index of the right class, int64",
        signature="loss(logits [N, C], target [N]) -> scalar",
        inputs="harness_plugins.classification.role_inputs:logits_and_classes",
    ),
)
