"""The bump charts: the rank of every system under every aggregate, one figure for each task."""

from __future__ import annotations

from harness.spec import Figure

_TITLES = {
    "glue": "GLUE.",
    "superglue": "SuperGLUE.",
    "glue-2021": "The whole GLUE leaderboard of late 2021.",
    "superglue-2021": "The whole SuperGLUE leaderboard of late 2021.",
    "table": "Your own table.",
}
_HOW_TO_READ = "One column for each aggregate, the first rank on top; one line for each system, the human's in colour."

FIGURES = tuple(
    Figure(
        name=f"leaderboard-{task}",
        draw="harness_plugins.leaderboard.chart:draw",
        tasks=(f"leaderboard/{task}",),
        help=f"{title} {_HOW_TO_READ}",
    )
    for task, title in _TITLES.items()
)
