"""What the records of a plan come to: estimates, verdicts, failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from harness.cell import Cell, Record
from harness.errors import ExitCode, UsageError
from harness.judge.decide import judge_each
from harness.judge.family import holm_corrected, informative
from harness.judge.other_items import OtherItems
from harness.judge.pairing import Statement, needed_cells
from harness.judge.power import with_smallest
from harness.judge.studies import Search, Study, judged_cells, outcomes_of, searches, studies_of, with_trials
from harness.judge.summary import Summary, summarise
from harness.judge.verdicts import Verdict
from harness.planning.plan import Plan
from harness.planning.setting import address_of, key_of, label, varying_axes
from harness.records.seals import late_test

#: Up to so many claims are all the answer of a suite that names none.
FEW = 3


@dataclass(frozen=True)
class LeftOut:
    """A claim or check that is undecided and got no further seeds, though there are looks left."""

    claim: str
    device: str
    #: "20 seeds would take about 14 min 0 s, 3 min 0 s are left".
    why: str


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What a suite's records have come to."""

    plan: Plan
    #: By cell id, for every cell in the plan's scope that has one.
    records: Mapping[str, Record]
    verdicts: tuple[Verdict, ...]
    #: Of the checks that its claims rest on.
    checks: tuple[Verdict, ...] = ()
    #: What was judged: the plan's cells that have begun, and those of further seeds; a study in place of its trials.
    cells: tuple[Cell, ...] = ()
    #: Of tuned methods, by setting and seed.
    studies: tuple[Study, ...] = ()
    interrupted: bool = False
    #: Wall time, and the cells that were run in it.
    seconds: float = 0.0
    ran: int = 0
    #: What a budget left out.
    left_out: tuple[LeftOut, ...] = ()

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """What each method measured under each setting of the cells that were judged; worked out when asked for."""
        return summarise(self.cells, self.outcomes)

    @cached_property
    def outcomes(self) -> Mapping[str, Record]:
        """By id the records of the cells that were judged: those of studies too, which are written nowhere."""
        return outcomes_of(self.studies, self.records)

    def label_of(self, search: Search) -> str:
        """The setting of a search, by the axes that vary among those of its task: "batch_size=8"."""
        task = search.tuning.setting.task
        names = varying_axes(study.cell for study in self.studies if study.cell.task == task)
        return label(search.tuning.setting.axes, names)

    @cached_property
    def edges(self) -> list[tuple[Search, str]]:
        """Each optimum at the edge of a grid, where a wider one might do better, in a sentence."""
        return [
            (search, f"{', '.join(filter(None, (search.where, self.label_of(search))))}: {text}")
            for search in self.searches
            for text in search.edges
        ]

    @property
    def measured(self) -> list[Record]:
        """The records of what was judged that end well; of a study that of the trial it chose, with all its options."""
        chosen = (choice[1] for study in self.studies if (choice := study.chosen(self.records)) is not None)
        alone = (self.records[cell.id] for cell in self.cells if cell.id in self.records)
        return list({record.id: record for record in (*alone, *chosen) if record.good}.values())

    @cached_property
    def searches(self) -> list[Search]:
        """What tuning came to in each setting."""
        return searches(self.studies, self.records)

    @property
    def scope(self) -> list[Cell]:
        """The plan's cells, begun or not, and those of further seeds; of studies the trials."""
        trials = (trial for study in self.studies for trial in study.trials)
        further = (cell for cell in (*trials, *self.cells) if not cell.tuned)
        return list({cell.id: cell for cell in (*self.plan.scope, *further)}.values())

    def records_behind(self, ids: Iterable[str]) -> dict[str, Record]:
        """The records, by id, of these judged cells; those of all its trials for a study."""
        behind = with_trials(self.studies, ids)
        return {i: record for i, record in self.records.items() if i in behind}

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
    every = [*plan.scope, *_further_seeds(plan, records)]
    own = {cell.id: records[cell.id] for cell in every if cell.id in records}
    studies = studies_of(plan.tunings, every)
    outcomes = outcomes_of(studies, own)
    cells = _begun(judged_cells(plan.tunings, every, studies), outcomes)
    judged = judge_each(suite.claims, cells, outcomes, tasks, suite.looks)
    checks = tuple(looks[0] for looks in judge_each(suite.checks, cells, outcomes, tasks, suite.looks))
    checks = with_smallest(checks, suite.checks, suite.looks)
    verdicts = informative(holm_corrected(judged, suite.claims), checks, suite.rests_on)
    verdicts = with_smallest(verdicts, suite.claims, suite.looks)
    other_items = OtherItems(cells, outcomes, tasks, plan.results)
    verdicts = tuple(replace(v, items=other_items.of(suite.claims[v.claim], v)) for v in verdicts)
    result = SuiteResult(
        plan=plan, records=own, verdicts=verdicts, checks=checks, cells=tuple(cells), studies=tuple(studies)
    )
    return replace(result, verdicts=tuple(replace(v, changed=_changed(v, result)) for v in verdicts))


def _changed(verdict: Verdict, result: SuiteResult) -> str:
    """What a reader must know where a claim's test came after records it rests on; "" otherwise."""
    suite = result.plan.suite
    late = partial(late_test, result.plan.seals, suite, verdict.claim)
    # Pairing takes long; mostly no record of the suite is older than the seal.
    if verdict.verdict == "not-run" or not late(result.records.values()):
        return ""
    return late(result.records_behind(needed_cells(suite.claims[verdict.claim], result.cells)).values())


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
    """The plan, if its claims and checks need nothing that its cells do not have. Raises UsageError otherwise.

    The metric that chooses among trials decides no claim: the best of several is no estimate of the chosen one.
    """
    statements: dict[str, Statement] = {**plan.suite.claims, **plan.suite.checks}
    studies = studies_of(plan.tunings, plan.scope)
    cells = judged_cells(plan.tunings, plan.scope, studies)
    judge_each(statements, cells, {}, plan.registry.tasks)
    by_metric: dict[str, set[str]] = {}
    for study in studies:
        by_metric.setdefault(study.tuning.by, set()).add(study.cell.id)
    for statement in statements.values():
        metric = statement.test.metric if statement.test is not None else ""
        if metric in by_metric and by_metric[metric] & needed_cells(statement, cells):
            raise UsageError(
                f"{type(statement).__name__.lower()} {statement.id}: its test is on {metric}, by which "
                f"{plan.suite.path} tunes; a test needs a metric that chose nothing"
            )
    return plan


def undecided_cells(result: SuiteResult) -> set[str]:
    """Ids of the cells that undecided claims, and the undecided checks of claims, rest on, on the device concerned."""
    return {cell for _, cells in undecided_statements(result) for cell in cells}


def undecided_statements(result: SuiteResult) -> list[tuple[Verdict, set[str]]]:
    """Verdicts on undecided claims and on undecided checks of claims, with the ids of the planned cells they rest on.

    Without those of counts of violations: where chance has a part, no number of seeds shows that there are none.
    """
    plan = result.plan
    studies = studies_of(plan.tunings, plan.scope)
    scope = judged_cells(plan.tunings, plan.scope, studies)
    statements: dict[str, Statement] = {**plan.suite.claims, **plan.suite.checks}
    undecided = []
    for verdict in (*result.verdicts, *result.checks):
        if verdict.verdict == "inconclusive" and verdict.scale != "count":
            needed = needed_cells(statements[verdict.claim], scope)
            own = {cell.id for cell in scope if cell.id in needed and cell.device == verdict.device}
            undecided.append((verdict, with_trials(studies, own)))
    return undecided
