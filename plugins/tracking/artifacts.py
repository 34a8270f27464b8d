"""The run of a suite as a whole, with the report and the plugins' figures as artifacts."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, get_args

from harness.judge import CHECKED, Word, answers_of
from harness_plugins.tracking.runs import DesiredRun, tally, without_empty

if TYPE_CHECKING:
    from harness.judge import SuiteResult

_log = logging.getLogger(__name__)


def report_run(result: SuiteResult, start: int) -> DesiredRun:
    """The run of the suite as a whole: its answer, how many verdicts there are of each kind, and the report.

    What the sources claim, our own questions and the checks are counted apart.
    """
    suite = result.plan.suite
    sourced, questions = ([v.verdict for v in group] for group in (result.sourced, result.questions))
    checks = Counter(verdict.verdict for verdict in result.checks)
    counted = {
        "verdicts": tally(sourced),
        "questions": tally(questions),
        "checks": ", ".join(f"{checks[word]} {text}" for word, text in CHECKED.items() if checks[word]),
    }
    answers = [
        f"**{a.word.upper()}: {a.claim.says}** ({a.verdict.verdict})\n\n{'; '.join(a.facts.values())}"
        for a in answers_of(result)
    ]
    headings = {"verdicts": "Claims of the sources", "questions": "Our own questions", "checks": "Checks"}
    lines = [f"{headings[name]}: {text}" for name, text in counted.items() if text]
    note = [f"**{suite.title}**", *answers, *lines, "report.html is under Artifacts."]
    return DesiredRun(
        kind="report",
        key=f"report {suite.name}",
        name="report",
        status="FINISHED",
        points=(
            *((f"verdicts.{word}", float(sourced.count(word)), 0) for word in get_args(Word)),
            *((f"questions.{word}", float(questions.count(word)), 0) for word in get_args(Word)),
            *((f"checks.{text.replace(' ', '-')}", float(checks[word]), 0) for word, text in CHECKED.items()),
        ),
        tags=without_empty(
            {
                **counted,
                "answer": "; ".join(f"{a.word}: {a.claim.says}" for a in answers_of(result)),
                "mlflow.note.content": "\n\n".join(note),
            }
        ),
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
