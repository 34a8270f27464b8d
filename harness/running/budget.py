"""A budget of wall time: which undecided claims get the seeds of the next look, and which are left out, and why."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.cell import Cell, Record
from harness.errors import ArgumentError
from harness.judge.looks import planned
from harness.judge.pairing import Statement
from harness.judge.power import chance_of_decision
from harness.judge.result import LeftOut, SuiteResult, undecided_statements
from harness.judge.verdicts import Verdict
from harness.numbers import duration, plural
from harness.planning.estimate import PastSeconds
from harness.planning.plan import Plan, with_settings
from harness.planning.setting import key_of

#: A claim gets no more seeds if all looks that fit decide it with a lower probability than this. Of the claims that
#: would be decided in the end fewer than 5 % are lost, wherever the truth lies and at the thirtieth part of the level
#: that Holm may leave too (tests/judge/test_judge_budget.py).
FUTILE = 0.075


@dataclass(frozen=True)
class _Open:
    """One undecided claim or check before a look."""

    verdict: Verdict
    statement: Statement
    #: A planned cell of each setting that it rests on.
    templates: Sequence[Cell]
    #: Whether the suite's answer rests on it.
    answers: bool
    #: How probably the look decides it; None where its seeds have no spread.
    chance: float | None

    @property
    def order(self) -> tuple[bool, float]:
        """What the suite's readers came for goes first, then what is probably decided."""
        return not self.answers, -1.0 if self.chance is None else -self.chance

    @property
    def settings(self) -> set[str]:
        """The keys of its settings."""
        return {key_of(cell) for cell in self.templates}


class Budget:
    """Seconds of wall time from now on, and what did not fit into them; without any limit everything fits."""

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._end = time.monotonic() + self._seconds
        #: Seconds that a cell takes beyond those of its record: loading, building, starting.
        self._overhead = 0.0
        self._left_out: dict[tuple[str, str], LeftOut] = {}

    def check_first_look(self, plan: Plan) -> None:
        """Raise UsageError where past records say that the first look alone takes longer."""
        needed = PastSeconds(plan.records.values()).wall(plan.todo, plan.workers)
        if needed is not None and needed > self._seconds:
            cells = plural(len(plan.todo), "cell")
            problem = f"the first look, {cells}, would take about {duration(needed)} by past records"
            raise ArgumentError("budget", duration(self._seconds), problem)

    def learn(self, plan: Plan, records: Mapping[str, Record], seconds: float) -> None:
        """Learn from a look that took so many seconds how much more a cell takes than its record says."""
        cells = [cell for cell in plan.todo if cell.id in records]
        computed = PastSeconds(records[cell.id] for cell in cells).wall(cells, plan.workers)
        if computed is not None and cells:
            at_once = min(len(cells), sum(plan.workers.values()))
            self._overhead = max(0.0, seconds - computed) * at_once / len(cells)

    def within(self, plan: Plan, result: SuiteResult, look: int, ran: Collection[str]) -> Plan:
        """The plan of a look with the claims that fit into what is left of the budget and may be decided in it."""
        if math.isinf(self._end):
            return plan
        left = self._end - time.monotonic()
        past = PastSeconds(plan.records.values())
        admitted: set[str] = set()
        spent = 0.0
        for case in sorted(_open_cases(result, plan, look), key=lambda case: case.order):
            settings = admitted | case.settings
            todo = [cell for cell in plan.todo if key_of(cell) in settings]
            needed = past.wall(todo, plan.workers, self._overhead)
            verdict, why = case.verdict, ""
            if needed is None:
                why = f"no records say how long {look} seeds would take"
            elif needed > max(left, 0.0):
                own, rest = duration(max(0.0, needed - spent)), duration(max(0.0, left - spent))
                why = f"{look} seeds would take about {own}, {rest} are left"
            else:
                why = self._futile(case, plan, past, left)
            key = verdict.claim, verdict.device
            if why:
                self._left_out.setdefault(key, LeftOut(*key, why))
            elif needed is not None:
                self._left_out.pop(key, None)
                admitted, spent = settings, needed
        return with_settings(plan, admitted, ran)

    def left_out(self, result: SuiteResult) -> tuple[LeftOut, ...]:
        """What was left out and is still undecided."""
        if not self._left_out:
            return ()
        undecided = {(verdict.claim, verdict.device) for verdict, _ in undecided_statements(result)}
        return tuple(out for key, out in self._left_out.items() if key in undecided)

    def _futile(self, case: _Open, plan: Plan, past: PastSeconds, left: float) -> str:
        """Why more seeds would be spent in vain; "" where a look that fits may decide."""
        if case.chance is None:
            return ""
        chances: dict[int, float] = {}
        for look in planned(plan.suite.looks):
            if look.seeds <= case.verdict.n:
                continue
            seeds = range(case.verdict.n, look.seeds)
            further = (template.with_seed(seed) for seed in seeds for template in case.templates)
            needed = past.wall([c for c in further if c.id not in plan.records], plan.workers, self._overhead)
            if needed is None or needed > left:
                break
            chances[look.seeds] = chance_of_decision(case.verdict, case.statement, look) or 0.0
        if not chances or max(chances.values()) >= FUTILE:
            return ""
        best = max(chances, key=chances.__getitem__)
        probability = 100 * chances[best]
        shown = f"{probability:.0f} %" if probability >= 1 else "less than 1 %"
        reach = "" if max(chances) == plan.suite.looks[-1] else f"; the budget ends before {_next(plan, max(chances))}"
        return f"{best} seeds would decide with a probability of {shown}{reach}"


def _next(plan: Plan, look: int) -> str:
    """The look after one of the suite's."""
    return plural(next(seeds for seeds in plan.suite.looks if seeds > look), "seed")


def _open_cases(result: SuiteResult, plan: Plan, look: int) -> list[_Open]:
    """The undecided claims and checks that have not reached a look."""
    suite = plan.suite
    statements: dict[str, Statement] = {**suite.claims, **suite.checks}
    answers = {verdict.claim for verdict in result.answers}
    answers |= {check for claim in answers for check in suite.rests_on.get(claim, ())}
    by_id = {cell.id: cell for cell in result.plan.scope}
    (next_look,) = (planned_look for planned_look in planned(suite.looks) if planned_look.seeds == look)
    return [
        _Open(
            verdict=verdict,
            statement=statements[verdict.claim],
            templates=list({by_id[i].setting: by_id[i] for i in sorted(cells)}.values()),
            answers=verdict.claim in answers,
            chance=chance_of_decision(verdict, statements[verdict.claim], next_look),
        )
        for verdict, cells in undecided_statements(result)
        if verdict.n < look
    ]
