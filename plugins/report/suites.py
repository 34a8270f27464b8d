"""One suite of the report: counts of verdicts, claims, tasks, figures, cost, and what did not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from harness.cell import Record
from harness.judge import SuiteResult, Word
from harness.numbers import duration, memory, number
from harness_plugins.report.claims import ClaimSection, UntestableSection, claim_section, untestable_section
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
    #: How many claims have each verdict, and how many no test.
    tally: Sequence[tuple[str, int]]
    #: By article, since Holm's correction covers the claims of one article.
    groups: Mapping[str, Sequence[ClaimSection]]
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
    #: Percent that the intervals cover.
    coverage: str

    @property
    def claims(self) -> list[ClaimSection]:
        """Every claim that was judged."""
        return [section for group in self.groups.values() for section in group]


def suite_section(result: SuiteResult, folder: Path, plugins: Sequence[str]) -> SuiteSection:
    """All that the report shows of one suite."""
    plan, records = result.plan, list(result.records.values())
    untestable = [untestable_section(claim) for claim in plan.suite.claims.values() if claim.test is None]
    name = plan.suite.name if plan.suite.name in plan.registry.suites else str(plan.suite.path)
    devices = sorted({record.device for record in records} - {"cpu"})
    return SuiteSection(
        anchor=anchor("suite", plan.suite.name),
        name=name,
        title=plan.suite.title,
        tally=_tally(result, len(untestable)),
        groups=_claims_by_article(result, folder, plugins),
        untestable=untestable,
        cells=_cells(records, len(plan.scope)),
        cost=_cost(records),
        command=command_line(folder, plugins, "suite", name, *(f"--device={device}" for device in devices)),
        tasks=task_sections(result),
        aggregates=overall_sections(result),
        figures=drawn_figures(result),
        failures=[r for r in records if not r.good and r.status != "skipped"],
        missing=len(plan.scope) - len(records),
        skipped=Counter(r.cause or "" for r in records if r.status == "skipped"),
        coverage=number(100 * (1 - 2 * max((v.alpha for v in result.verdicts), default=0.05)), significant=3),
    )


def _tally(result: SuiteResult, untestable: int) -> list[tuple[str, int]]:
    counts = Counter(verdict.verdict for verdict in result.verdicts)
    tally: list[tuple[str, int]] = [(word, counts[word]) for word in get_args(Word) if counts[word]]
    return [*tally, ("untestable", untestable)] if untestable else tally


def _claims_by_article(result: SuiteResult, folder: Path, plugins: Sequence[str]) -> dict[str, list[ClaimSection]]:
    """The claims of each article in the order of the suite; those that were not run come last."""
    several_devices = len({verdict.device for verdict in result.verdicts}) > 1
    groups: dict[str, list[ClaimSection]] = {}
    for verdict in sorted(result.verdicts, key=lambda v: v.verdict == "not-run"):
        section = claim_section(result, verdict, verdict.device if several_devices else "", folder, plugins)
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
