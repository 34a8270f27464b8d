"""Decides each claim from its records: reproduced, contradicted or inconclusive, or why it was not run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.cell import Cell, Record
from harness.errors import UnknownName
from harness.files.claims import Claim, Equal, Greater, Holds, Ratio, Reaches
from harness.judge.contrast import Contrast, contrast, lacking
from harness.judge.intervals import (
    MIN_SEEDS,
    Interval,
    Position,
    Region,
    holm,
    p_values,
    point,
    position,
    seeds_to_decide,
    t_interval,
)
from harness.judge.pairing import AnyTest, device_kinds, members, pair, tested
from harness.judge.verdicts import Scale, Verdict, Word
from harness.spec import Metric, Task

_WORDS: dict[Position, Word] = {"inside": "reproduced", "outside": "contradicted", "across": "inconclusive"}


def judge(
    claims: Mapping[str, Claim],
    cells: Iterable[Cell],
    records: Mapping[str, Record],
    tasks: Mapping[str, Task],
    alpha: float = 0.05,
) -> tuple[Verdict, ...]:
    """A verdict for each claim that has a test and each device kind to judge it on, in the order of claims.

    ``records`` are by cell id. Raises UsageError where a claim names a metric or an option that its task and
    methods do not have; with no records at all this checks the claims against a plan.
    """
    cells = list(cells)
    verdicts = []
    for claim in claims.values():
        if claim.test is None:
            continue
        metric = _metric(claim, cells, tasks)
        for device in device_kinds(claim, cells):
            verdict = _blank(claim, device, metric, alpha)
            if isinstance(claim.test, Holds):
                verdict = _count_violations(verdict, claim, cells, records)
            else:
                verdict = _compare(verdict, contrast(claim, cells, records, metric.sign, device))
            verdicts.append(verdict)
    return holm_corrected(verdicts, claims)


def _metric(claim: Claim, cells: Iterable[Cell], tasks: Mapping[str, Task]) -> Metric:
    test = tested(claim)
    if test.task not in tasks:
        if any(cell.task == test.task for cell in cells):
            raise UnknownName("task", test.task, tasks, f"claim {claim.id}")
        return Metric()
    metrics = tasks[test.task].metrics
    if test.metric not in metrics:
        raise UnknownName(f"metric of {test.task}", test.metric, metrics, f"claim {claim.id}")
    return metrics[test.metric]


def _blank(claim: Claim, device: str, metric: Metric, alpha: float) -> Verdict:
    """A verdict before its numbers."""
    test = tested(claim)
    scale, region = _question(test)
    return Verdict(
        claim=claim.id,
        device=device,
        verdict="not-run",
        region=region,
        scale=scale,
        better=metric.better,
        holm_verdict="not-run",
        deterministic=test.seeds == 1 or scale == "count",
        alpha=alpha,
    )


def _question(test: AnyTest) -> tuple[Scale, Region]:
    """On which scale a test is judged, and which values there are as claimed."""
    match test:
        case Greater():
            printed: Scale = "value" if test.value is not None else "difference"
            return printed if test.gap_than_where is None else "gap", (test.by, math.inf)
        case Ratio():
            return "log ratio", (math.log(test.by), math.inf)
        case Equal():
            return "difference", (-test.tol, test.tol)
        case Reaches():
            return "value", (-test.tol, test.tol)
        case Holds():
            return "count", (0.0, 0.0)


def _compare(blank: Verdict, contrasted: Contrast) -> Verdict:
    """Judge a comparison by its interval, or without chance by every single value; the weakest stands for all.

    The weakest has the largest p-value of lying inside. As a p-value and its interval agree, all are inside
    exactly if the weakest is. It was picked from several, though, so to contradict the claim it must lie outside
    with an interval for so many comparisons (Bonferroni), which is the one shown unless all are inside.
    """
    if contrasted.cause:
        return replace(blank, cause=contrasted.cause)
    n = len(contrasted.series[0].values)
    if blank.deterministic:
        intervals = [(point(value, series.scale), series) for series in contrasted.series for value in series.values]
    elif n < MIN_SEEDS:
        return replace(blank, cause=f"{n} seed{'s' * (n != 1)}; a verdict needs at least {MIN_SEEDS}", n=n)
    else:
        intervals = [(t_interval(s.values, blank.alpha, s.scale), s) for s in contrasted.series]
    interval, series = max(intervals, key=lambda pair: _weakness(pair[0], blank.region))
    alpha = blank.alpha
    if len(intervals) > 1 and not blank.deterministic and position(interval, blank.region) != "inside":
        alpha /= len(intervals)
        interval = t_interval(series.values, alpha, series.scale)
    word = _WORDS[position(interval, blank.region)]
    verdict = replace(
        blank,
        verdict=word,
        estimate=interval.mean,
        n=n,
        settings=contrasted.settings,
        weakest=series.label,
        values=series.values,
        a=series.a,
        b=series.b,
        holm_verdict=word,
    )
    if blank.deterministic:
        return verdict
    inside, outside = p_values(interval, blank.region)
    # All settings inside: the largest p-value tests them all (Berger 1982, Technometrics 24, 295-300).
    # Some setting outside: the smallest one was picked from so many, hence Bonferroni's factor.
    outside = min(1.0, outside * len(intervals))
    p = {"reproduced": inside, "contradicted": outside}.get(word, min(inside, outside))
    needed = seeds_to_decide(interval, blank.region, alpha) if word == "inconclusive" else None
    return replace(verdict, low=interval.low, high=interval.high, p=p, seeds_needed=needed)


def _weakness(interval: Interval, region: Region) -> tuple[float, float, float]:
    """Larger for what speaks less for the claim: by p-value, and among points by the distance to a bound."""
    inside, outside = p_values(interval, region)
    return inside, -outside, max(region[0] - interval.mean, interval.mean - region[1])


def _count_violations(blank: Verdict, claim: Claim, cells: Iterable[Cell], records: Mapping[str, Record]) -> Verdict:
    """Judge `Holds`: reproduced if the count is zero in every cell, contradicted by a single one."""
    metric = tested(claim).metric
    groups, cause = pair(claim, cells, blank.device)
    cause = cause or lacking(groups, records, metric)
    if cause:
        return replace(blank, cause=cause)
    every = members(groups)
    counts = [records[cell.id].metrics[metric] for cell in every]
    violations = [f"{cell} with {count:g}" for cell, count in zip(every, counts, strict=True) if count]
    if violations:
        cause = f"{len(violations)} of {len(every)} cells have violations; first: {violations[0]}"
    word: Word = "contradicted" if violations else "reproduced"
    return replace(
        blank,
        verdict=word,
        cause=cause,
        estimate=max(counts, key=abs),
        n=len({cell.seed for cell in every}),
        settings=len({setting for group in groups for setting in group}),
        values=tuple(counts),
        holm_verdict=word,
    )


def holm_corrected(verdicts: Sequence[Verdict], claims: Mapping[str, Claim]) -> tuple[Verdict, ...]:
    """Holm's correction within each article and device kind, over the verdicts that rest on a p-value."""
    families: dict[tuple[str, str], list[int]] = {}
    for index, verdict in enumerate(verdicts):
        if verdict.p is not None:
            families.setdefault((claims[verdict.claim].source.article, verdict.device), []).append(index)
    corrected = list(verdicts)
    for family in families.values():
        for index, p_holm in zip(family, holm([verdicts[i].p or 0.0 for i in family]), strict=True):
            verdict = verdicts[index]
            word = verdict.verdict if p_holm <= verdict.alpha else "inconclusive"
            corrected[index] = replace(verdict, p_holm=p_holm, holm_verdict=word)
    return tuple(corrected)
