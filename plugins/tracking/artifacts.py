"""The run of a suite as a whole, with the report and the plugins' figures as artifacts."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, get_args

from harness.judge import Word
from harness_plugins.tracking.runs import DesiredRun, tally

if TYPE_CHECKING:
    from harness.judge import SuiteResult

_log = logging.getLogger(__name__)


def report_run(result: SuiteResult, start: int) -> DesiredRun:
    """The run of the suite as a whole: how many claims have each verdict, and the report."""
    suite = result.plan.suite
    counts = Counter(verdict.verdict for verdict in result.verdicts)
    verdicts = tally(verdict.verdict for verdict in result.verdicts)
    return DesiredRun(
        kind="report",
        key=f"report {suite.name}",
        name="report",
        status="FINISHED",
        points=tuple((f"verdicts.{word}", float(counts[word]), 0) for word in get_args(Word)),
        tags={
            "verdicts": verdicts,
            "mlflow.note.content": f"**{suite.title}**\n\n{verdicts}\n\nreport.html is under Artifacts.",
        },
        start=start,
        files=_files(result),
    )


def _files(result: SuiteResult) -> dict[str, str]:
    """Content of each artifact by path; none, and a warning, where the report cannot be made."""
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
