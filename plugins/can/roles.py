"""The role that refiners of probabilities fill."""

from __future__ import annotations

from harness.spec import Role

_HERE = "harness_plugins.can.role_inputs"

ROLES = (
    Role(
        name="probability-refiner",
        help="the predicted probabilities of rows, refined by the frequencies of the classes; keeps the rows' order",
        signature="refine(probabilities [N, C], prior [C]) -> [N, C]",
        inputs=f"{_HERE}:probabilities_and_prior",
        call=f"{_HERE}:refine",
        returns="like-first",
    ),
)
