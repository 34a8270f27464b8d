"""The role that contrastive losses fill."""

from __future__ import annotations

from harness.spec import Role

ROLES = (
    Role(
        name="contrastive-loss",
        help="the loss of two views of the same samples, rows paired, not yet normalised",
        signature="loss(view_a [B, D], view_b [B, D]) -> scalar",
        inputs="harness_plugins.flatnce.role_inputs:views",
    ),
)
