"""Power before the run: the smallest difference that each claim of a plan will show, by earlier records' spread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from harness.cell import Cell, Record
from harness.files.claims import Claim
from harness.judge.contrast import contrast
from harness.judge.decide import judge
from harness.judge.intervals import MIN_SEEDS, t_interval
from harness.judge.looks import planned
from harness.judge.pairing import Group, members, pair, sides, tested
from harness.judge.power import in_unit, scale_of_verdict, smallest_shown, strictest, upper_sd, width_of
from harness.judge.scales import printed_runs
from harness.judge.studies import Study, judged_cells, studies_of
from harness.judge.verdicts import Verdict, distance_text
from harness.numbers import number, plural
from harness.planning.plan import Plan
from harness.planning.setting import key_of


@dataclass(frozen=True, kw_only=True)
class Power:
    """What a claim of a plan will show on one device kind."""

    verdict: Verdict
    #: How far from the border, in the claim's unit, the truth must lie to be shown with a probability of 80 %, after
    #: Holm and if the claim were the only one. Infinite where no truth between two borders is; None where nobody knows.
    smallest: float | None = None
    alone: float | None = None
    #: Planned seeds.
    seeds: int = 0
    #: Where the spread is from, "pairs of 10 seeds"; or why there is no number.
    source: str

    @property
    def text(self) -> str:
        """The line of a claim: "0.012 at 10 seeds (alone 0.009), by pairs of 10 seeds"."""
        if self.smallest is None:
            return self.source
        if math.isinf(self.smallest):
            return f"none between its borders at {plural(self.seeds, 'seed')}, by {self.source}"
        alone = ""
        if self.verdict.family > 1 and self.alone is not None:
            alone = f" (alone {number(self.alone, significant=2)})"
        return f"{distance_text(self.smallest, self.verdict)} at {plural(self.seeds, 'seed')}{alone}, by {self.source}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; an infinite number is null, as an unknown one is, and the text says which."""
        numbers = {"smallest": self.smallest, "alone": self.alone}
        return {
            "claim": self.verdict.claim,
            "device": self.verdict.device,
            **{name: x if x is not None and math.isfinite(x) else None for name, x in numbers.items()},
            "seeds": self.seeds,
            "family": self.verdict.family,
            "from": self.source,
            "text": self.text,
        }


def power_of(plan: Plan, pilot: Mapping[str, Record] | None = None) -> list[Power]:
    """For each claim of a plan that depends on chance the smallest difference that it shows with 80 % probability.

    The suite's answer comes first. ``pilot`` are records, by cell id, to take the spread from in place of those of the
    results folder.
    """
    suite = plan.suite
    past = _Past(plan, plan.records if pilot is None else pilot)
    verdicts = judge(suite.claims, past.cells, {}, plan.registry.tasks, suite.looks)
    powers = [
        _power(suite.claims[verdict.claim], verdict, past)
        for verdict in verdicts
        if not verdict.deterministic and verdict.scale != "count"
    ]
    return sorted(powers, key=lambda power: power.verdict.claim not in suite.answer)


def _power(claim: Claim, verdict: Verdict, past: _Past) -> Power:
    suite = past.plan.suite
    groups, cause = pair(claim, past.scope(claim), verdict.device)
    if cause:
        return Power(verdict=verdict, source=f"not known: {cause}")
    first, last = suite.looks[0], suite.looks[-1]
    seeds = last if past.plan.request.until_decided else len(next(iter(groups[0].values())))
    if seeds < first:
        text = f"none: {plural(seeds, 'seed')}, and the first look is at {first}"
        return Power(verdict=verdict, seeds=seeds, source=text)
    spreads, source = past.spreads(claim, verdict, groups)
    if not any(spreads):
        return Power(verdict=verdict, seeds=seeds, source=f"not known: {source}")
    made = [look for look in planned(suite.looks) if look.seeds <= seeds]
    scale = scale_of_verdict(verdict, claim)
    width, runs = width_of(scale.region), printed_runs(tested(claim))
    smallest, alone = (
        in_unit(smallest_shown(spreads, strictest(made, family), width, runs), scale) for family in (verdict.family, 1)
    )
    return Power(verdict=verdict, smallest=smallest, alone=alone, seeds=seeds, source=source)


@dataclass(frozen=True)
class _Past:
    """Earlier records of the settings of a plan, whatever code and data they ran with."""

    plan: Plan
    records: Mapping[str, Record]

    @cached_property
    def _by_setting(self) -> dict[str, dict[int, Record]]:
        """By setting and seed the latest good record."""
        by_setting: dict[str, dict[int, Record]] = {}
        for record in sorted(self.records.values(), key=lambda record: record.finished):
            if record.good:
                by_setting.setdefault(key_of(record), {})[record.seed] = record
        return by_setting

    @cached_property
    def _studies(self) -> dict[str, Study]:
        """By the id of the cell that stands for it."""
        return {study.cell.id: study for study in studies_of(self.plan.tunings, self.plan.scope)}

    @cached_property
    def cells(self) -> list[Cell]:
        """The planned cells, a study in the place of its trials."""
        return judged_cells(self.plan.tunings, self.plan.scope, self._studies.values())

    @cached_property
    def _by_method(self) -> dict[tuple[str, str], list[Cell]]:
        by_method: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.cells:
            by_method.setdefault((cell.task, cell.method), []).append(cell)
        return by_method

    def scope(self, claim: Claim) -> list[Cell]:
        """The planned cells of the tasks and methods that a claim names."""
        test = tested(claim)
        compared = product(test.tasks, dict.fromkeys(test.names))
        return [cell for key in compared for cell in self._by_method.get(key, ())]

    def spreads(self, claim: Claim, verdict: Verdict, groups: Sequence[Group]) -> tuple[list[float], str]:
        """Standard deviations of the seeds' differences at their upper ends, and from which records they are.

        There is one for each setting that must hold; none, and why, where no records show them. The seeds that both
        sides have come first; else those of the baseline alone.
        """
        templates = list({cell.setting: cell for cell in members(groups)}.values())
        cells, records = self._recorded(templates, tested(claim).metric)
        of_both = pair(claim, cells, verdict.device)[0]
        if of_both and of_both[0].keys() == groups[0].keys():
            spreads, n = _spreads(claim, verdict, cells, records)
            if n >= MIN_SEEDS:
                source = f"pairs of {n} seeds" if len(groups) > 1 else f"{n} seeds"
                return spreads, source if any(spreads) else f"all {n} seeds give the same"
        return _of_baseline(claim, verdict, templates, cells, records)

    def _recorded(self, templates: Iterable[Cell], metric: str) -> tuple[list[Cell], dict[str, Record]]:
        """The cells that have a good record with this metric, and these records by the id of the cell."""
        cells: list[Cell] = []
        records: dict[str, Record] = {}
        for template in templates:
            study = self._studies.get(template.id)
            trials = study.trials if study else (template,)
            recorded = [self._by_setting.get(key_of(trial), {}) for trial in trials]
            for seed in sorted(set.intersection(*map(set, recorded))):
                of_seed = [trial.with_seed(seed) for trial in trials]
                own = {cell.id: self._record(cell) for cell in of_seed}
                again = Study.of(study.tuning, of_seed) if study else None
                cell = again.cell if again else of_seed[0]
                record = again.record(own) if again else own[cell.id]
                if record is not None and metric in record.metrics:
                    cells.append(cell)
                    records[cell.id] = record
        return cells, records

    def _record(self, cell: Cell) -> Record:
        """What a cell's setting measured under its seed; with the code that is here before any other."""
        here = self.records.get(cell.id)
        record = here if here is not None and here.good else self._by_setting[key_of(cell)][cell.seed]
        return replace(record, id=cell.id)


def _of_baseline(
    claim: Claim, verdict: Verdict, templates: Sequence[Cell], cells: Sequence[Cell], records: Mapping[str, Record]
) -> tuple[list[float], str]:
    """The spreads by the records of the baseline alone, or of the method where the claim compares it with a number.

    The difference of two independent runs has the square root of 2 times the spread of one. A constant in place of the
    method's records leaves the contrast with the spread of the baseline's, averages, logarithms and gaps included.
    """
    every = sides(tested(claim))
    baseline = every[1::2] or every

    def is_baseline(cell: Cell) -> bool:
        return any(side.allows(cell) for side in baseline)

    recorded = [{c.seed for c in cells if c.setting == cell.setting} for cell in templates if is_baseline(cell)]
    seeds = sorted(set.intersection(*recorded)) if recorded else []
    name = "the baseline" if len(every) > 1 else every[0].method
    if len(every) == 1 or len(seeds) < MIN_SEEDS:
        few = f"only {plural(len(seeds), 'seed')}" if seeds else "no records"
        return [], f"{few} of {name}; --pilot FOLDER"
    constant = next(records[cell.id] for cell in cells if is_baseline(cell))
    of_method = [cell.with_seed(seed) for cell in templates if not is_baseline(cell) for seed in seeds]
    constants = {cell.id: replace(constant, id=cell.id) for cell in of_method}
    of_baseline = [cell for cell in cells if is_baseline(cell) and cell.seed in seeds]
    spreads, n = _spreads(claim, verdict, [*of_method, *of_baseline], {**records, **constants})
    source = f"{n} seeds of {every[1].method} alone" if any(spreads) else f"all {n} seeds of {name} give the same"
    return [math.sqrt(2) * spread for spread in spreads], source


def _spreads(
    claim: Claim, verdict: Verdict, cells: Sequence[Cell], records: Mapping[str, Record]
) -> tuple[list[float], int]:
    """The upper ends of the standard deviations of a claim's series, and how many seeds these have."""
    series = contrast(claim, cells, records, -1 if verdict.better == "lower" else 1, verdict.device).series
    n = min((len(one.values) for one in series), default=0)
    if n < MIN_SEEDS:
        return [], n
    return [upper_sd(t_interval(one.values, scale=one.scale).sd, n) for one in series], n
