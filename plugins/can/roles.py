"""The role of refiners of probabilities."""

from __future__ import annotations

from harness.spec import Role

_HERE = "harness_plugins.can.role_inputs"

ROLES = (
    Role(
        name="probability-refiner",
        help="refines predicted probabilities by the frequencies of the classes; keeps the order of the rows",
        signature="refine(probabilities [N, C], prior [C]) -> [N, C]",
        inputs=f"{_HERE}:probabilities_and_prior",
        call=f"{_HERE}:refine",
        returns="like-first",
    ),
)
