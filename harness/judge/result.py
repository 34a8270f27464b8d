"""What the records of a plan come to: estimates, verdicts, failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.cell import Record
from harness.errors import ExitCode
from harness.judge.decide import holm_corrected, judge
from harness.judge.intervals import LOOK_ALPHA
from harness.judge.pairing import needed_cells
from harness.judge.summary import Summary, summarise
from harness.judge.verdicts import Verdict
from harness.planning.plan import Plan, first_seeds
from harness.planning.request import LOOKS

#: One-sided error of a verdict; the interval shown covers 1 - 2 * ALPHA.
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What a suite's records have come to."""

    plan: Plan
    #: By cell id, for every cell in the plan's scope that has one.
    records: Mapping[str, Record]
    summaries: tuple[Summary, ...]
    verdicts: tuple[Verdict, ...]
    interrupted: bool = False
    #: Wall time, and the cells that were run in it.
    seconds: float = 0.0
    ran: int = 0

    @property
    def failures(self) -> list[Record]:
        """Records of the selected cells that did not end well, skipped ones aside."""
        records = (self.records.get(cell.id) for cell in self.plan.cells)
        return [r for r in records if r is not None and r.status not in ("done", "skipped")]

    @property
    def exit_code(self) -> ExitCode:
        """How the command should end."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.CELLS_FAILED if self.failures else ExitCode.OK


def judge_plan(plan: Plan, records: Mapping[str, Record]) -> SuiteResult:
    """Estimates and verdicts from the records, by cell id, of a plan's cells."""
    own = {cell.id: records[cell.id] for cell in plan.scope if cell.id in records}
    if plan.request.until_decided:
        verdicts = _at_looks(plan, records)
    else:
        verdicts = judge(plan.suite.claims, plan.scope, own, plan.registry.tasks, ALPHA)
    return SuiteResult(plan=plan, records=own, summaries=summarise(plan.scope, own), verdicts=verdicts)


def check_claims(plan: Plan) -> Plan:
    """The plan, if its claims ask for nothing that its cells do not have. Raises UsageError otherwise."""
    judge(plan.suite.claims, plan.scope, {}, plan.registry.tasks)
    return plan


def undecided_cells(result: SuiteResult) -> set[str]:
    """Ids of the cells that inconclusive claims rest on, on the device where they are so."""
    plan = result.plan
    return {
        cell.id
        for verdict in result.verdicts
        if verdict.verdict == "inconclusive"
        for needed in [needed_cells(plan.suite.claims[verdict.claim], plan.scope)]
        for cell in plan.scope
        if cell.id in needed and cell.device == verdict.device
    }


def _at_looks(plan: Plan, records: Mapping[str, Record]) -> tuple[Verdict, ...]:
    """Each claim's verdict at the planned look that decided it, or else at the last one that was made."""
    claims, tasks = plan.suite.claims, plan.registry.tasks
    verdicts: dict[tuple[str, str], Verdict] = {}
    for look in LOOKS:
        for verdict in judge(claims, first_seeds(plan.scope, look), records, tasks, LOOK_ALPHA):
            before = verdicts.setdefault((verdict.claim, verdict.device), verdict)
            if before.verdict == "inconclusive" and verdict.verdict != "not-run":
                verdicts[verdict.claim, verdict.device] = verdict
    return holm_corrected(list(verdicts.values()), claims)
