"""Decides each claim from its records: reproduced, contradicted or inconclusive, or why it was not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.cell import Cell, Record
from harness.errors import UnknownName, UsageError
from harness.files.claims import Claim, Holds, has_chance
from harness.files.suite import LOOKS
from harness.judge.contrast import Contrast, Series, contrast, lacking
from harness.judge.family import corrected_like, holm_corrected
from harness.judge.intervals import (
    MIN_SEEDS,
    Interval,
    Position,
    Region,
    has_two_bounds,
    p_values,
    point,
    position,
    share_not_excluded,
    t_interval,
)
from harness.judge.looks import ALPHA, Look, planned, seeds_that_would_do
from harness.judge.outlier import far_from_the_others
from harness.judge.pairing import AnyTest, Statement, device_kinds, members, pair, sides, tested
from harness.judge.scales import Scale, printed_runs, scale_of
from harness.judge.verdicts import Verdict, Word
from harness.numbers import plural
from harness.spec import Metric, Task, TestSet

_WORDS: dict[Position, Word] = {"inside": "reproduced", "outside": "contradicted", "across": "inconclusive"}
_COVERS: dict[TestSet | None, str] = {
    "fixed": "seeds, on one fixed test set",
    "redrawn": "seeds and test sets",
    None: "seeds",
}


def judge(
    claims: Mapping[str, Claim],
    cells: Iterable[Cell],
    records: Mapping[str, Record],
    tasks: Mapping[str, Task],
    looks: Sequence[int] = LOOKS,
) -> tuple[Verdict, ...]:
    """A verdict for each claim that has a test and each device kind to judge it on, in the order of claims.

    ``records`` are by cell id; ``looks`` are the numbers of seeds at which a claim is judged: the verdict is that of
    the first look that decides. Holm's correction is over each family of claims (`holm_corrected`), those that have
    not run included. Raises UsageError where a claim names a metric or an option that its task and methods do not have;
    with no records at all this checks the claims against a plan.
    """
    return holm_corrected(judge_each(claims, cells, records, tasks, looks), claims)


def judge_each(
    statements: Mapping[str, Statement],
    cells: Iterable[Cell],
    records: Mapping[str, Record],
    tasks: Mapping[str, Task],
    looks: Sequence[int] = LOOKS,
) -> list[tuple[Verdict, ...]]:
    """For each claim or check its verdict, as if it were the only one, at every look from the first that decides on.

    The one before the first decision where there is none. The parts are those of `judge`.
    """
    by_method: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        by_method.setdefault((cell.task, cell.method), []).append(cell)
    # Which tasks and devices there are can be seen from one cell of each setting.
    examples = list({cell.setting: cell for own in by_method.values() for cell in own}.values())
    judged: list[tuple[Verdict, ...]] = []
    for statement in statements.values():
        if statement.test is None:
            continue
        compared = {(task, method) for task in statement.test.tasks for method in statement.test.names}
        own = [cell for key, of_method in by_method.items() if key in compared for cell in of_method]
        for device in device_kinds(statement, examples):
            case = _case(statement, device, examples, tasks, looks)
            if isinstance(statement.test, Holds):
                judged.append((_count_violations(case, own, records),))
            else:
                # Seeds after the last look decide nothing, unless every single value must be as claimed.
                most = None if case.deterministic else case.looks[-1].seeds
                sides = contrast(statement, own, records, case.metric.sign, device, case.deterministic, most)
                judged.append(_compare(case, sides))
    return judged


def judge_settings(
    claim: Claim,
    verdict: Verdict,
    cells: Iterable[Cell],
    records: Mapping[str, Record],
    tasks: Mapping[str, Task],
    looks: Sequence[int] = LOOKS,
) -> list[Verdict]:
    """For a claim that must hold in each of several settings the verdict of each setting, by the rule for the claim.

    They are at the look of the claim's ``verdict`` and corrected as it is, for the number of settings and by Holm; that
    of the weakest setting is the claim's own. Empty for any other claim.
    """
    if isinstance(claim.test, Holds) or verdict.estimate is None:
        return []
    cells = list(cells)
    case = _case(claim, verdict.device, cells, tasks, looks)
    sides = contrast(claim, cells, records, case.metric.sign, verdict.device, apart=case.deterministic)
    if case.deterministic or len(sides.series) < 2:
        return []
    look = next((look for look in case.looks if look.seeds == verdict.n), None)
    every = [series.first(verdict.n) for series in sides.series]
    settings = [
        _before_looks(case, sides, series, verdict.n) if look is None else _of_series(case, sides, series, look)
        for series in every
    ]
    return corrected_like(verdict, settings)


@dataclass(frozen=True)
class _Case:
    """What is asked of the records of one device kind."""

    statement: Statement
    device: str
    metric: Metric
    covers: str
    looks: tuple[Look, ...]
    #: Whether every single value must be as claimed: no chance, or a statement on every draw.
    deterministic: bool

    @cached_property
    def scale(self) -> Scale:
        return scale_of(tested(self.statement), self.metric.sign)

    @property
    def region(self) -> Region:
        return self.scale.region

    @property
    def runs(self) -> float:
        """Of how many runs the printed number is the mean."""
        return printed_runs(tested(self.statement))

    def verdict(self, word: Word, cause: str = "", n: int = 0) -> Verdict:
        """A verdict before its numbers."""
        return Verdict(
            claim=self.statement.id,
            device=self.device,
            verdict=word,
            alone=word,
            cause=cause,
            n=n,
            region=self.scale.between(*self.region),
            scale=self.scale.kind,
            better=self.metric.better,
            unit=self.metric.unit,
            covers="" if self.deterministic else self.covers,
            deterministic=self.deterministic,
        )


def _case(
    statement: Statement, device: str, cells: Iterable[Cell], tasks: Mapping[str, Task], looks: Sequence[int]
) -> _Case:
    """What a claim or check asks on one device kind. Raises UsageError where its tasks do not have the metric."""
    test, where = tested(statement), f"claim {statement.id}"
    known = [tasks[name] for name in test.tasks if name in tasks]
    if missing := [name for name in test.tasks if name not in tasks and any(c.task == name for c in cells)]:
        raise UnknownName("task", missing[0], tasks, where)
    for task in known:
        if test.metric not in task.metrics:
            raise UnknownName(f"metric of {task.name}", test.metric, task.metrics, where)
    metrics = [task.metrics[test.metric] for task in known] or [Metric()]
    if len({metric.better for metric in metrics}) > 1:
        raise UsageError(f"{where}: {test.metric} is better higher on one of its tasks and not on another")
    kinds = _test_sets(test, device, cells, known)
    covers = _COVERS[kinds.pop()] if len(kinds) == 1 else "seeds"
    return _Case(statement, device, metrics[0], covers, planned(looks), not has_chance(statement, tasks))


def _test_sets(test: AnyTest, device: str, cells: Iterable[Cell], known: Sequence[Task]) -> set[TestSet | None]:
    """The kinds of test sets on which the compared cells are scored; those of the tasks where there are none."""
    tasks, every = {task.name: task for task in known}, sides(test)
    compared = [c for c in cells if c.task in tasks and c.device == device and any(side.allows(c) for side in every)]
    kinds = {tasks[cell.task].test_set_of(cell.options) for cell in compared}
    return kinds or {task.test_set_of({}) for task in known}


def _compare(case: _Case, sides: Contrast) -> tuple[Verdict, ...]:
    not_run = case.verdict("not-run", sides.cause)
    if case.deterministic:
        return (not_run if sides.cause else _at_every_value(case, sides),)
    n = len(sides.series[0].values) if sides.series else 0
    made = [look for look in case.looks if look.seeds <= n]
    verdicts = [_at_look(case, sides, look) for look in made]
    first = next((i for i, verdict in enumerate(verdicts) if verdict.verdict != "inconclusive"), None)
    if first is None:
        # What was decided before a cell failed stands; what was not waits for that cell.
        return (not_run if sides.cause else verdicts[-1] if verdicts else _too_few(case, sides, n),)
    return tuple(verdict for verdict in verdicts[first:] if verdict.verdict == verdicts[first].verdict)


def _at_every_value(case: _Case, sides: Contrast) -> Verdict:
    """Nothing depends on chance: every single value must lie inside, and the worst for the claim is shown."""
    every = [(point(value, series.scale), series) for series in sides.series for value in series.values]
    low, high = case.region
    worst, series = max(every, key=lambda pair: max(low - pair[0].mean, pair[0].mean - high))
    word: Word = "reproduced" if all(position(p, case.region) == "inside" for p, _ in every) else "contradicted"
    return _with_numbers(case, sides, series, worst, case.verdict(word, n=len(series.values)))


def _too_few(case: _Case, sides: Contrast, n: int) -> Verdict:
    """Fewer seeds than the first look needs decide nothing."""
    if n < MIN_SEEDS:
        return case.verdict("inconclusive", _before_first_look(case, n), n)
    return _before_looks(case, sides, _weakest(case, sides.series, ALPHA), n)


def _before_first_look(case: _Case, n: int) -> str:
    return f"{plural(n, 'seed')}, and the first look is at {case.looks[0].seeds}"


def _before_looks(case: _Case, sides: Contrast, series: Series, n: int) -> Verdict:
    """The numbers of one series with too few seeds for a look."""
    verdict = replace(case.verdict("inconclusive", _before_first_look(case, n), n), alpha=ALPHA)
    return _with_numbers(case, sides, series, t_interval(series.values, ALPHA, series.scale, case.runs), verdict)


def _at_look(case: _Case, sides: Contrast, look: Look) -> Verdict:
    """Judge a comparison at one look; of several settings that must each hold the weakest stands for all.

    The weakest has the largest p-value of lying inside, which tests them all (Berger 1982, Technometrics 24, 295-300).
    As it was picked from several, it contradicts the claim only with a p-value for so many comparisons (Bonferroni).
    P-values are multiplied by 0.05 over the level of the look, so that 0.05 is the border of all looks together.
    """
    series = _weakest(case, [series.first(look.seeds) for series in sides.series], look.level)
    return _of_series(case, sides, series, look)


def _of_series(case: _Case, sides: Contrast, series: Series, look: Look) -> Verdict:
    """The verdict of one series, picked from all of them, at a look."""
    count = len(sides.series)
    interval = t_interval(series.values, look.level, series.scale, case.runs)
    word, p_inside, p_outside = _word(case, interval, count, look.level)
    verdict = case.verdict(word, n=look.seeds)
    if not interval.sd:
        share = share_not_excluded(interval.n)
        cause = f"all {interval.n} seeds give the same, which leaves room for {_percent(share)} of seeds that do not"
        return _with_numbers(case, sides, series, interval, replace(verdict, cause=cause, alpha=look.level))
    alpha = look.level
    comparisons = count * (2 if has_two_bounds(case.region) else 1)
    if word != "reproduced" and comparisons > 1:
        alpha /= comparisons
        interval = t_interval(series.values, alpha, series.scale, case.runs)
    p = {"reproduced": p_inside, "contradicted": p_outside}.get(word, min(p_inside, p_outside))
    outlier = _outlier(case, series, count, look)
    verdict = replace(verdict, alpha=alpha, p=min(1.0, p * ALPHA / look.level), outlier=outlier)
    if word == "inconclusive":
        later = [other for other in case.looks if other.seeds > look.seeds]
        verdict = replace(verdict, would_take=seeds_that_would_do(interval, case.region, later, case.runs))
    spreads = tuple(_spread(other.first(look.seeds)) for other in sides.series)
    return _with_numbers(case, sides, series, interval, replace(verdict, spreads=spreads))


def _spread(series: Series) -> float:
    """The standard deviation of the values of a series."""
    return t_interval(series.values, scale=series.scale).sd


def _word(case: _Case, interval: Interval, comparisons: int, level: float) -> tuple[Word, float, float]:
    """The word at a level, and the p-values of lying inside and outside."""
    inside, outside = p_values(interval, case.region)
    outside = min(1.0, outside * comparisons)
    where: Position = "inside" if inside <= level else "outside" if outside <= level else "across"
    return _WORDS[where], inside, outside


def _weakest(case: _Case, every: Sequence[Series], alpha: float) -> Series:
    """The series that speaks least for the claim."""

    def weakness(series: Series) -> tuple[float, float]:
        # By what speaks against the claim first: a setting without any spread, where both are 1, hides no other.
        inside, outside = p_values(t_interval(series.values, alpha, series.scale, case.runs), case.region)
        return -min(outside, 0.5), inside

    return max(every, key=weakness)


def _outlier(case: _Case, series: Series, comparisons: int, look: Look) -> str:
    """One seed that is far from the others, and the word without it; "" where there is none."""
    place = far_from_the_others(series.values)
    if place is None:
        return ""
    rest = series.without(place)
    interval = t_interval(rest.values, look.level, rest.scale, case.runs)
    word, *_ = _word(case, interval, comparisons, look.level)
    value = case.scale.shown(series.values[place])
    return f"seed {series.seeds[place]} ({value:.3g}) is far from the others; without it: {word}"


def _with_numbers(case: _Case, sides: Contrast, series: Series, interval: Interval, verdict: Verdict) -> Verdict:
    """The verdict with what it rests on, in the claim's own unit and direction."""
    low = high = None
    if not case.deterministic:
        low, high = case.scale.between(interval.low, interval.high)
    means = series.means
    one_series = len(sides.series) == 1
    return replace(
        verdict,
        estimate=case.scale.shown(interval.mean),
        low=low,
        high=high,
        settings=len(sides.settings),
        averaged=sides.settings if one_series and len(sides.settings) > 1 else (),
        weakest=series.label,
        values=tuple(map(case.scale.shown, series.values)),
        a=means[0],
        b=means[1] if len(means) > 1 else None,
    )


def _count_violations(case: _Case, cells: Iterable[Cell], records: Mapping[str, Record]) -> Verdict:
    """Judge `Holds`: contradicted by a single violation; reproduced by none where chance has no part in it."""
    metric = tested(case.statement).metric
    groups, cause = pair(case.statement, cells, case.device)
    cause = cause or lacking(groups, records, metric)
    if cause:
        return case.verdict("not-run", cause)
    every = members(groups)
    counts = [records[cell.id].metrics[metric] for cell in every]
    violations = [f"{cell} with {count:g}" for cell, count in zip(every, counts, strict=True) if count]
    seeds = len({cell.seed for cell in every})
    word: Word = "reproduced" if case.deterministic else "inconclusive"
    if violations:
        word, cause = "contradicted", f"{len(violations)} of {len(every)} cells have violations; first: {violations[0]}"
    elif not case.deterministic:
        share = share_not_excluded(seeds)
        cause = (
            f"no violation in {plural(len(every), 'cell')}, which leaves room for {_percent(share)} of seeds with one"
        )
    return replace(
        case.verdict(word, cause, seeds),
        estimate=max(counts, key=abs),
        settings=len({setting for group in groups for setting in group}),
        values=tuple(counts),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
