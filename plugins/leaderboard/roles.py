"""The role that aggregates of scores fill."""

from __future__ import annotations

from harness.spec import Role

ROLES = (
    Role(
        name="score-aggregate",
        help="one number for each system from its scores on several tasks, higher is better; NaN is a missing score",
        signature="aggregate(scores [systems, tasks]) -> [systems]",
        inputs="harness_plugins.leaderboard.role_inputs:scores",
        returns="one-per-row",
        half=False,
    ),
)
