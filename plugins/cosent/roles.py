"""The roles that ranking losses of pairs and threshold searches fill."""

from __future__ import annotations

from harness.spec import Role

_HERE = "harness_plugins.cosent.role_inputs"

ROLES = (
    Role(
        name="pair-ranking-loss",
        help="the loss of the cosines of pairs, of whose labels only the order counts",
        signature="loss(cosine [N], label [N]) -> scalar",
        inputs=f"{_HERE}:cosines_and_labels",
    ),
    Role(
        name="threshold-search",
        help="the threshold above which a score is called 1; numpy arrays; labels 0 or 1",
        signature="search(scores [N], labels [N]) -> a number",
        inputs=f"{_HERE}:scores_and_labels",
        returns=f"{_HERE}:problem_of_threshold",
        half=False,
    ),
)
