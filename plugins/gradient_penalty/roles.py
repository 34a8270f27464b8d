"""The role that gradient penalties fill."""

from __future__ import annotations

from harness.spec import Role

_HERE = "harness_plugins.gradient_penalty.role_inputs"
_ARGUMENTS = "model, x [B, ...], target [B, ...], loss_fn"

ROLES = (
    Role(
        name="gradient-penalty",
        help="a penalty on gradients; loss_fn gives a loss for each row; norms are squared, by input and by parameters",
        signature=f"penalty({_ARGUMENTS}) -> scalar; penalty.norms({_ARGUMENTS}) -> two [B]",
        inputs=f"{_HERE}:network_and_batch",
        call=f"{_HERE}:penalty_and_norms",
        returns=f"{_HERE}:problem_of_result",
        half=False,
    ),
)
