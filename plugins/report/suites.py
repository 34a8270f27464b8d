"""One suite of the report: its answer, claims, questions and checks, tasks, figures, cost, and what did not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from harness.cell import Record
from harness.judge import CHECKED, Answer, SuiteResult, Verdict, Word, answers_of
from harness.numbers import duration, memory
from harness_plugins.report.alike import Card, cards
from harness_plugins.report.claims import (
    CheckSection,
    ClaimSection,
    UntestableSection,
    check_section,
    claim_section,
    untestable_section,
)
from harness_plugins.report.elements import anchor, command_line
from harness_plugins.report.figures import Drawn, drawn_figures
from harness_plugins.report.measures import TaskSection, task_sections
from harness_plugins.report.overall import OverallSection, overall_sections


@dataclass(frozen=True)
class SuiteSection:
    """One suite of a results folder."""

    anchor: str
    #: Its registered name, or its file.
    name: str
    title: str
    #: On the claims that its readers came for, in words; they stand among the others too.
    answers: Sequence[tuple[ClaimSection, Answer]]
    #: How many claims of the sources have each verdict, and how many no test.
    tally: Sequence[tuple[str, int]]
    #: The same of our own questions.
    question_tally: Sequence[tuple[str, int]]
    #: Class of the mark, word and count.
    check_tally: Sequence[tuple[str, str, int]]
    #: What the sources claim, by article, since Holm's correction covers the claims of one article.
    groups: Mapping[str, Sequence[ClaimSection]]
    questions: Sequence[ClaimSection]
    checks: Sequence[CheckSection]
    #: At how many seeds claims are judged.
    looks: str
    untestable: Sequence[UntestableSection]
    cells: str
    cost: str
    #: The command that runs it again.
    command: str
    tasks: Sequence[TaskSection]
    #: Metrics over all tasks.
    aggregates: Sequence[OverallSection]
    figures: Sequence[Drawn]
    failures: Sequence[Record]
    #: Cells without a record.
    missing: int
    #: How many cells were skipped for each reason.
    skipped: Mapping[str, int]

    @property
    def claims(self) -> list[ClaimSection]:
        """Every claim that was judged, our own questions last."""
        return [*(section for group in self.groups.values() for section in group), *self.questions]

    @property
    def cards(self) -> list[Card]:
        """Every claim that was judged, those that look alike on one card."""
        return cards(self.claims, {answer.claim.id for _, answer in self.answers})


def suite_section(result: SuiteResult, folder: Path, plugins: Sequence[str]) -> SuiteSection:
    """All that the report shows of one suite."""
    plan, records = result.plan, list(result.records.values())
    untestable = [untestable_section(claim) for claim in plan.suite.claims.values() if claim.test is None]
    name = plan.suite.name if plan.suite.name in plan.registry.suites else str(plan.suite.path)
    devices = sorted({record.device for record in records} - {"cpu"})
    sections = _claim_sections(result, folder, plugins)
    sourced = [s for s in sections.values() if s.claim.origin != "ours"]
    questions = [s for s in sections.values() if s.claim.origin == "ours"]
    own = [section for section in untestable if section.claim.origin == "ours"]
    return SuiteSection(
        anchor=anchor("suite", plan.suite.name),
        name=name,
        title=plan.suite.title,
        answers=[(sections[a.claim.id, a.verdict.device], a) for a in answers_of(result)],
        tally=_tally(sourced, len(untestable) - len(own)),
        question_tally=_tally(questions, len(own)),
        check_tally=_check_tally(result.checks),
        groups=_by_article(sourced),
        questions=questions,
        checks=_check_sections(result),
        looks=", ".join(map(str, plan.suite.looks)),
        untestable=untestable,
        cells=_cells(records, len(result.scope)),
        cost=_cost(records),
        command=command_line(folder, plugins, "suite", name, *(f"--device={device}" for device in devices)),
        tasks=task_sections(result),
        aggregates=overall_sections(result),
        figures=drawn_figures(result),
        failures=[r for r in records if not r.good and r.status != "skipped"],
        missing=len(result.scope) - len(records),
        skipped=Counter(r.cause or "" for r in records if r.status == "skipped"),
    )


def _tally(sections: Iterable[ClaimSection], untestable: int) -> list[tuple[str, int]]:
    counts = Counter(section.verdict.verdict for section in sections)
    tally: list[tuple[str, int]] = [(word, counts[word]) for word in get_args(Word) if counts[word]]
    return [*tally, ("untestable", untestable)] if untestable else tally


def _check_tally(checks: Iterable[Verdict]) -> list[tuple[str, str, int]]:
    counts = Counter(verdict.verdict for verdict in checks)
    return [(name, word, counts[name]) for name, word in CHECKED.items() if counts[name]]


def _claim_sections(result: SuiteResult, folder: Path, plugins: Sequence[str]) -> dict[tuple[str, str], ClaimSection]:
    """The section of each claim on each device in the order of the suite; those that were not run come last."""
    several_devices = len({verdict.device for verdict in result.verdicts}) > 1
    return {
        (v.claim, v.device): claim_section(result, v, v.device if several_devices else "", folder, plugins)
        for v in sorted(result.verdicts, key=lambda v: v.verdict == "not-run")
    }


def _check_sections(result: SuiteResult) -> list[CheckSection]:
    several_devices = len({verdict.device for verdict in result.checks}) > 1
    return [check_section(result, verdict, verdict.device if several_devices else "") for verdict in result.checks]


def _by_article(sections: Iterable[ClaimSection]) -> dict[str, list[ClaimSection]]:
    groups: dict[str, list[ClaimSection]] = {}
    for section in sections:
        groups.setdefault(section.claim.source.article, []).append(section)
    return groups


def _cells(records: Sequence[Record], planned: int) -> str:
    """How many cells are done, and how many are not, by what happened to them."""
    counts = Counter(record.status for record in records)
    bad = [f"{counts[status]} {status}" for status in ("failed", "timeout", "crashed", "skipped") if counts[status]]
    return ", ".join([f"{counts['done']} of {planned} cells", *bad])


def _cost(records: Sequence[Record]) -> str:
    peaks = [record.peak_bytes for record in records if record.good and record.peak_bytes is not None]
    cost = f"{duration(sum(record.seconds for record in records))} of computing"
    return f"{cost}, at most {memory(max(peaks))} a cell" if peaks else cost
