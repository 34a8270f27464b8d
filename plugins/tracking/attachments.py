"""What hangs on a suite's run in MLflow: the report and the plugins' figures, as files that open in its browser."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, get_args

from harness.judge.verdicts import Word
from harness_plugins.tracking.view import RunView

_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from harness.judge import SuiteResult


def report_view(result: SuiteResult, start: int) -> RunView:
    """The run of the suite as a whole: how many claims came to which verdict, and the report."""
    suite = result.plan.suite
    counts = Counter(verdict.verdict for verdict in result.verdicts)
    told = ", ".join(f"{counts[word]} {word}" for word in get_args(Word) if counts[word])
    return RunView(
        kind="report",
        key=f"report {suite.name}",
        name="report",
        status="FINISHED",
        points=tuple((f"verdicts.{word}", float(counts[word]), 0) for word in get_args(Word)),
        tags={
            "verdicts": told,
            "mlflow.note.content": f"**{suite.title}**\n\n{told}\n\nreport.html is under Artifacts.",
        },
        start=start,
        files=_files(result),
    )


def _files(result: SuiteResult) -> dict[str, str]:
    """Content by path. A report that cannot be made costs a warning and nothing else."""
    from harness_plugins.report.figures import by_name, drawn_figures
    from harness_plugins.report.report import rendered

    plan = result.plan
    try:
        figures = by_name(drawn_figures(result))
        report = rendered([result], plan.results, plan.registry)
    except Exception as error:  # noqa: BLE001  whatever a record holds, the runs are written
        _log.warning("the report for MLflow cannot be made: %s: %s", type(error).__name__, error)
        return {}
    return {"report.html": report, **{f"figures/{name.replace('/', '-')}.svg": svg for name, svg in figures.items()}}
