"""The whole leaderboards of late 2021, which are not shipped."""

from __future__ import annotations

from harness.spec import Dataset

SNAPSHOTS = Dataset(
    name="leaderboards",
    licence="Apache 2.0 (PragmaticsLab/vote_and_rank); the scores' copyright is with their authors",
    load="harness_plugins.leaderboard.published:load_snapshots",
    files={
        "votenrank_GLUE.csv": ("e52c3b4d20907a8e796f2d9a25f315bb2ef2da6db7efe647350300fbc685432b",),
        "votenrank_SuperGLUE.csv": ("37dc4386a13434cb09230842750db3e2a40c9d57524a2d23a8b72bd8177c9080",),
    },
    help="GLUE (100 rows) and SuperGLUE (24 rows) as of late 2021: the files 'tables/leaderboards - *.csv' of "
    "github.com/PragmaticsLab/vote_and_rank under the names above",
)
DATASETS = (SNAPSHOTS,)
