"""What a verdict is made of, and how it reads in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from harness.files.claims import Claim, Equal, Holds, Reaches, Where
from harness.judge.intervals import Region
from harness.judge.pairing import AnyTest, Side, sides, tested

Word = Literal["reproduced", "contradicted", "inconclusive", "not-run"]
#: What the numbers of a verdict are: A - B; its difference between two settings; A minus a printed number;
#: log(A / B); a count of violations.
Scale = Literal["difference", "gap", "value", "log ratio", "count"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the records say about one claim on one device kind, and the numbers that say it.

    Estimate, interval, region and values are on ``scale``, and positive is in the direction that is better.
    """

    #: The claim's id.
    claim: str
    #: Device kind, "" where the plan has no cell that the claim could be judged on.
    device: str
    verdict: Word
    #: A sentence on why there is no decision, or on the first violation of `Holds`; "" otherwise.
    cause: str = ""
    #: The mean over seeds; where nothing depends on chance, the value that is worst for the claim.
    estimate: float | None = None
    #: The interval at ``alpha`` one-sided; None where nothing depends on chance.
    low: float | None = None
    high: float | None = None
    #: The open interval that the claim speaks of; (0, 0) for `Holds`: exactly none.
    region: Region
    scale: Scale
    #: Which direction of the metric is better.
    better: Literal["higher", "lower"] | None = None
    #: Seeds; for `Holds` as many as its cells have.
    n: int = 0
    #: How many settings were averaged, or had to hold each.
    settings: int = 0
    #: For a claim that must hold in each setting: the one whose numbers these are; "" otherwise.
    weakest: str = ""
    #: Per-seed values behind estimate and interval; for `Holds` the count in every cell.
    values: tuple[float, ...] = ()
    #: Mean metric of the method and of what it is compared with; on the scale "gap" both gaps.
    a: float | None = None
    b: float | None = None
    #: One-sided p-value of the direction decided, or of the nearer one; None where nothing depends on chance.
    p: float | None = None
    #: The same after Holm's correction over the claims of one article on one device kind.
    p_holm: float | None = None
    #: The verdict if decisions with ``p_holm`` above alpha are taken back.
    holm_verdict: Word
    #: About how many seeds would decide an inconclusive claim; None beyond 1000, or where it is decided.
    seeds_needed: int | None = None
    #: Whether nothing depends on chance, so that one seed decides.
    deterministic: bool = False
    alpha: float

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON types; an infinite end of the region is null."""
        region = [bound if math.isfinite(bound) else None for bound in self.region]
        return {**asdict(self), "region": region, "values": list(self.values)}


def sentence(verdict: Verdict, claim: Claim) -> str:
    """Say what was found with its interval, what the claim needs, and how many seeds would decide it.

    "reproduced: flatnce is better than infonce by 0.021 [0.012, 0.030] (needs > 0)"
    """
    if verdict.verdict == "not-run":
        return f"not run: {verdict.cause}"
    test = tested(claim)
    if isinstance(test, Holds):
        return f"{verdict.verdict}: {verdict.cause or f'no violation in {_cells(len(verdict.values))}'}"
    text = f"{verdict.verdict}: {_finding(verdict, test)}"
    if verdict.weakest:
        text += f", at the weakest of {verdict.settings} settings: {verdict.weakest}"
    if verdict.deterministic:
        text += "; nothing depends on chance"
    if verdict.verdict == "inconclusive":
        seeds = f"about {verdict.seeds_needed}" if verdict.seeds_needed else "more than 1000"
        text += f"; would need {seeds} seeds"
    return text


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _finding(verdict: Verdict, test: AnyTest) -> str:
    assert verdict.estimate is not None
    numbers = [verdict.estimate]
    if verdict.low is not None and verdict.high is not None:
        numbers += [verdict.low, verdict.high]
    this, other = _names(test)
    least, most = verdict.region
    value = getattr(test, "value", None)
    if value is not None:
        # Against a number it is the metric itself that a reader wants to see.
        sign = -1 if verdict.better == "lower" else 1
        numbers = [value + x for x in (numbers if sign > 0 else _negated(numbers))]
        shown = _shown(numbers, resolution=test.tol if isinstance(test, Reaches) else 0.0)
        if isinstance(test, Reaches):
            needs = f"within {test.tol:g} of {value:.12g}"
        else:
            needs = f"{'more' if sign > 0 else 'less'} than {value + sign * least:.12g}"
        return f"{this} has {test.metric} {shown} (needs {needs})"
    if isinstance(test, Equal):
        return f"{this} differs from {other} by {_shown(numbers)} (needs to be within {most:g})"
    if verdict.scale == "log ratio":
        times = _shown([math.exp(x) for x in numbers], " times")
        return f"{this} is {times} as good as {other} (needs > {math.exp(least):g} times)"
    up, down = ("better", "worse") if verdict.better and verdict.scale != "gap" else ("larger", "smaller")
    if numbers[0] >= 0:
        return f"{this} is {up} than {other} by {_shown(numbers)} (needs > {least:g})"
    return f"{this} is {down} than {other} by {_shown(_negated(numbers))} (needs {up} by > {least:g})"


def _names(test: AnyTest) -> tuple[str, str]:
    """What is compared with what. Of restrictions only those are named that tell the sides apart."""
    first, *others = sides(test)
    if not others:
        return first.method, ""
    here, there = replace(first, where=_own(first, others[-1])), replace(others[-1], where=_own(others[-1], first))
    if len(others) == 1:
        return str(here), str(there)
    lead = f"the lead of {first.method} over {others[0].method}"
    return str(replace(here, method=lead)), str(replace(there, method="it is"))


def _own(side: Side, other: Side) -> Where:
    return {key: value for key, value in side.where.items() if other.where.get(key) != value}


def _negated(numbers: Sequence[float]) -> list[float]:
    """The estimate and its interval on the opposite scale: the ends change places."""
    return [-numbers[0], *(-x for x in reversed(numbers[1:]))]


def _shown(numbers: Sequence[float], unit: str = "", resolution: float = 0.0) -> str:
    """An estimate with its interval, to as many digits as the interval's width gives meaning to.

    Without an interval: to four, or to what tells numbers that are ``resolution`` apart from each other.
    """
    if len(numbers) == 1:
        size = abs(numbers[0]) / resolution if resolution else 0.0
        significant = 2 + math.ceil(math.log10(size)) if size else 0
        return f"{numbers[0]:.{max(significant, 4)}g}{unit}"
    width = numbers[-1] - numbers[1]
    digits = 1 - math.floor(math.log10(width)) if width > 0 else None
    shown = [f"{x:.{max(digits, 0)}f}" if digits is not None and digits < 7 else f"{x:.4g}" for x in numbers]
    return f"{shown[0]}{unit} [{shown[1]}, {shown[2]}]"
