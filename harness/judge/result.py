"""What the records of a plan come to: estimates, verdicts, failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from harness.cell import Cell, Record
from harness.errors import ExitCode
from harness.judge.decide import judge_each
from harness.judge.family import holm_corrected, informative
from harness.judge.other_items import OtherItems
from harness.judge.pairing import Statement, needed_cells
from harness.judge.summary import Summary, summarise
from harness.judge.verdicts import Verdict
from harness.planning.plan import Plan
from harness.planning.setting import address_of, key_of
from harness.records.seals import late_test

#: Up to so many claims are all the answer of a suite that names none.
FEW = 3


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What a suite's records have come to."""

    plan: Plan
    #: By cell id, for every cell in the plan's scope that has one.
    records: Mapping[str, Record]
    verdicts: tuple[Verdict, ...]
    #: Of the checks that its claims rest on.
    checks: tuple[Verdict, ...] = ()
    #: What was judged: the plan's cells that have begun, and those of further seeds.
    cells: tuple[Cell, ...] = ()
    interrupted: bool = False
    #: Wall time, and the cells that were run in it.
    seconds: float = 0.0
    ran: int = 0

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """What each method measured under each setting of the cells that were judged; worked out when asked for."""
        return summarise(self.cells, self.records)

    @property
    def scope(self) -> list[Cell]:
        """The plan's cells, begun or not, and those of further seeds."""
        return list({cell.id: cell for cell in (*self.plan.scope, *self.cells)}.values())

    @property
    def answers(self) -> list[Verdict]:
        """On the claims that the suite's readers came for, in the order of its file; on all where it has only few."""
        names = self.plan.suite.answer
        if not names and len(self.verdicts) <= FEW:
            return list(self.verdicts)
        return [v for name in names for v in self.verdicts if v.claim == name]

    @property
    def sourced(self) -> list[Verdict]:
        """On what the sources claim: all that counts as reproduced or contradicted."""
        return [v for v in self.verdicts if self.plan.suite.claims[v.claim].origin != "ours"]

    @property
    def questions(self) -> list[Verdict]:
        """On questions of our own."""
        return [v for v in self.verdicts if self.plan.suite.claims[v.claim].origin == "ours"]

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
    """Estimates and verdicts from the records, by cell id, of a plan's cells and of further seeds of theirs."""
    suite, tasks = plan.suite, plan.registry.tasks
    cells = _begun([*plan.scope, *_further_seeds(plan, records)], records)
    own = {cell.id: records[cell.id] for cell in cells if cell.id in records}
    judged = judge_each(suite.claims, cells, own, tasks, suite.looks)
    checks = tuple(looks[0] for looks in judge_each(suite.checks, cells, own, tasks, suite.looks))
    verdicts = informative(holm_corrected(judged, suite.claims), checks, suite.rests_on)
    other_items = OtherItems(cells, own, tasks, plan.results)
    verdicts = tuple(
        replace(v, changed=_changed(v, plan, cells, own), items=other_items.of(suite.claims[v.claim], v))
        for v in verdicts
    )
    return SuiteResult(
        plan=plan,
        records=own,
        verdicts=verdicts,
        checks=checks,
        cells=tuple(cells),
    )


def _changed(verdict: Verdict, plan: Plan, cells: Sequence[Cell], records: Mapping[str, Record]) -> str:
    """What a reader must know where a claim's test came after records it rests on; "" otherwise."""
    late = partial(late_test, plan.seals, plan.suite, verdict.claim)
    # Pairing takes long; mostly no record of the suite is older than the seal.
    if verdict.verdict == "not-run" or not late(records.values()):
        return ""
    return late(records[i] for i in needed_cells(plan.suite.claims[verdict.claim], cells) if i in records)


def _further_seeds(plan: Plan, records: Mapping[str, Record]) -> list[Cell]:
    """Cells of more seeds than were planned that have a record: whoever asks judges all seeds there are."""
    ids = {cell.id for cell in plan.scope}
    pairs = {(cell.method, cell.task) for cell in plan.scope}
    others = [r for i, r in records.items() if i not in ids and (r.method, r.task) in pairs and not r.lost]
    if not others:
        return []
    templates = {key_of(cell): cell for cell in plan.scope}
    planned = {address_of(cell) for cell in plan.scope}
    further = [
        cell
        for record in others
        if (template := templates.get(key_of(record))) and address_of(record) not in planned
        for cell in [template.with_seed(record.seed)]
        if cell.id == record.id
    ]
    return sorted(further, key=lambda cell: cell.seed)


def _begun(cells: Sequence[Cell], records: Mapping[str, Record]) -> Sequence[Cell]:
    """The cells but for those without a record in settings that have some: they were planned, and say nothing yet.

    So a verdict depends on what is recorded, and not on how many seeds a command planned.
    """
    begun = {key_of(cell) for cell in cells if cell.id in records}
    return [cell for cell in cells if cell.id in records or key_of(cell) not in begun]


def check_claims(plan: Plan) -> Plan:
    """The plan, if its claims and checks need nothing that its cells do not have. Raises UsageError otherwise."""
    judge_each({**plan.suite.claims, **plan.suite.checks}, plan.scope, {}, plan.registry.tasks)
    return plan


def undecided_cells(result: SuiteResult) -> set[str]:
    """Ids of the cells that undecided claims, and the undecided checks of claims, rest on, on the device concerned.

    Without those of counts of violations: where chance has a part, no number of seeds shows that there are none.
    """
    suite, scope = result.plan.suite, result.plan.scope
    statements: dict[str, Statement] = {**suite.claims, **suite.checks}
    return {
        cell.id
        for verdict in (*result.verdicts, *result.checks)
        if verdict.verdict == "inconclusive" and verdict.scale != "count"
        for needed in [needed_cells(statements[verdict.claim], scope)]
        for cell in scope
        if cell.id in needed and cell.device == verdict.device
    }
