"""The role that activations fill."""

from __future__ import annotations

from harness.spec import Role

_HERE = "harness_plugins.squareplus.role_inputs"

ROLES = (
    Role(
        name="activation",
        help="a function of each element of a tensor, of any shape",
        signature="f(x [...]) -> [...], the dtype of x",
        inputs=f"{_HERE}:elements",
        returns="like-first",
    ),
)
