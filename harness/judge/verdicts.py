"""What a verdict is made of, and how it reads in one sentence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from harness.files.claims import Holds, Reaches, Where
from harness.judge.intervals import Region
from harness.judge.items import ItemIntervals
from harness.judge.pairing import AnyTest, Side, Statement, sides, tested
from harness.judge.scales import Kind
from harness.numbers import form_of_width, number, plural

Word = Literal["reproduced", "contradicted", "inconclusive", "not-informative", "not-run"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the records say about one claim on one device kind, and the numbers that say it.

    Estimate, interval, region and values are in the claim's own unit and direction: of a comparison A - B where higher
    is better and B - A where lower is, so that a positive number speaks for the claim; of a ratio how many times;
    beside a printed number the metric itself. Every view shows these numbers and this word.
    """

    #: The id of the claim, or of the check.
    claim: str
    #: Device kind, "" where the plan has no cell that the claim could be judged on.
    device: str
    #: After Holm's correction within the claim's family, and not-informative where a check does not hold.
    verdict: Word
    #: What it would be if it were the only claim and rested on no check.
    alone: Word
    #: A sentence on why there is no decision, or on the first violation of `Holds`; "" otherwise.
    cause: str = ""
    #: The mean over seeds; where nothing depends on chance, the value that is worst for the claim.
    estimate: float | None = None
    #: The interval at ``alpha`` one-sided; None where nothing depends on chance.
    low: float | None = None
    high: float | None = None
    #: One-sided level of the interval; None where there is none.
    alpha: float | None = None
    #: The open interval that the claim speaks of; (0, 0) for `Holds`: exactly none.
    region: Region
    scale: Kind
    #: Which direction of the metric is better, and its unit.
    better: Literal["higher", "lower"] | None = None
    unit: str = ""
    #: What the interval covers, "seeds, on one fixed test set"; "" where there is none.
    covers: str = ""
    #: Seeds of the look that the numbers are from; for `Holds` as many as its cells have.
    n: int = 0
    #: How many settings were averaged, or had to hold each; and which, where they were averaged.
    settings: int = 0
    averaged: tuple[str, ...] = ()
    #: For a claim that must hold in each setting: the one whose numbers these are; "" otherwise.
    weakest: str = ""
    #: Per-seed values behind estimate and interval; for `Holds` the count in every cell.
    values: tuple[float, ...] = ()
    #: Mean metric of the method and of what it is compared with; on the scale "gap" both gaps.
    a: float | None = None
    b: float | None = None
    #: One-sided p-value of the direction decided, or of the nearer one, for all looks together: 0.05 is its border.
    #: None where nothing depends on chance, or with fewer seeds than the first look needs.
    p: float | None = None
    #: The same after Holm's correction, and over how many claims that was.
    p_holm: float | None = None
    family: int = 0
    #: Standard deviation of the per-seed values; of a claim that must hold in each setting that of every one. Of a
    #: ratio it is that of the logarithms. Empty where no look was reached, or nothing depends on chance.
    spreads: tuple[float, ...] = ()
    #: How far from the border, in the claim's unit, the truth must lie for these seeds to show it with a probability of
    #: 80 %, after Holm; infinite where none between two borders is. None where the claim is decided.
    could_have_seen: float | None = None
    #: About how many seeds would decide with a probability of 80 %, in words; "" where it is decided.
    would_take: str = ""
    #: One seed far from the others, and the word without it; "" where there is none.
    outlier: str = ""
    #: Whether nothing depends on chance, so that every single value must be as claimed.
    deterministic: bool = False
    #: "test changed after 40 records"; "" where the claim's test is as it was before the first of them.
    changed: str = ""
    #: What other test items would give; None where the test set is not fixed, or no outcomes of items are recorded.
    items: ItemIntervals | None = None

    @property
    def level(self) -> str:
        """What the interval covers of chance, "93 %"; "" where there is none."""
        return "" if self.alpha is None else f"{100 * (1 - 2 * self.alpha):.3g} %"

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON types; an infinite number, as one end of most regions is, is null."""
        fields = {name: _plain(value) for name, value in asdict(self).items()}
        return {name: [*map(_plain, value)] if isinstance(value, tuple) else value for name, value in fields.items()}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sentence(verdict: Verdict, claim: Statement) -> str:
    """The word, the number with its interval, what the claim needs, and what else must be known to read it.

    "reproduced: flatnce - infonce = +0.021 [+0.012, +0.030] (93 %), claim needs > 0"
    """
    parts = [numbers_of(verdict, claim)]
    if verdict.cause:
        parts.insert(0 if verdict.verdict in ("not-run", "not-informative") else 1, verdict.cause)
    parts += [would_take_text(verdict), seen_text(verdict), verdict.outlier, verdict.changed]
    if verdict.items is not None:
        parts.append(f"over seeds on one fixed test set; {verdict.items}")
    return f"{verdict.verdict.replace('-', ' ')}: {'; '.join(part for part in parts if part)}"


def would_take_text(verdict: Verdict) -> str:
    """How many seeds would decide: "would take about 20 seeds", "too near the border to be worth more seeds"."""
    text = verdict.would_take
    return f"would take {text}" if text.startswith(("about", "more")) else text


def seen_text(verdict: Verdict) -> str:
    """What an inconclusive verdict's seeds could have shown: "could have seen 0.009"; "" where it does not apply."""
    distance = verdict.could_have_seen
    if distance is None:
        return ""
    if math.isinf(distance):
        return "could have seen none, wherever between its borders the truth lies"
    return f"could have seen {distance_text(distance, verdict)}"


def distance_text(distance: float, verdict: Verdict) -> str:
    """A distance from the border of the verdict's region: "0.009", "0.009 beyond +0.5", "0.2 inside its borders"."""
    text = number(distance, significant=2) + _unit(verdict)
    low, high = verdict.region
    if all(map(math.isfinite, verdict.region)):
        return f"{text} inside its borders"
    border = low if math.isfinite(low) else high
    sign = "+" if verdict.scale in _SIGNED else ""
    return f"{text} beyond {border:{sign}.12g}" if border else text


def numbers_of(verdict: Verdict, claim: Statement) -> str:
    """The number with its interval and what the claim needs: "a - b = +0.021 [+0.012, +0.030], claim needs > 0"."""
    test = tested(claim)
    if verdict.estimate is None:
        return ""
    if isinstance(test, Holds):
        count = len(verdict.values)
        return "" if verdict.cause else f"no violation in {plural(count, 'cell')}"
    text = f"{_quantity(verdict, test)} = {shown(verdict, test)}, claim needs {needed(verdict)}"
    if verdict.weakest and verdict.settings > 1:
        text += f", at the weakest of {verdict.settings} settings: {verdict.weakest}"
    if verdict.averaged:
        text += f", averaged over {', '.join(verdict.averaged)}"
    return text + ("; nothing depends on chance" if verdict.deterministic else "")


def needed(verdict: Verdict) -> str:
    """What the claim needs, in the unit of the estimate: "> 0.5", "< 3", "> 2 times", "between -0.1 and +0.1"."""
    if verdict.scale == "count":
        return "no violation"
    low, high = (
        f"{bound:+.12g}" if verdict.scale in _SIGNED and bound else f"{bound:.12g}" for bound in verdict.region
    )
    if all(map(math.isfinite, verdict.region)):
        return f"between {low} and {high}"
    return (f"> {low}" if math.isfinite(verdict.region[0]) else f"< {high}") + _unit(verdict)


def shown(verdict: Verdict, test: AnyTest | None = None) -> str:
    """The estimate with its interval, to as many digits as the interval gives meaning to, and the level unless 90 %."""
    assert verdict.estimate is not None
    if verdict.scale == "count":
        return f"{verdict.estimate:g} violations in a cell" if verdict.estimate else "no violation"
    sign = "+" if verdict.scale in _SIGNED else ""
    if verdict.low is None or verdict.high is None:
        resolution = test.tol if isinstance(test, Reaches) else 0.0
        size = abs(verdict.estimate) / resolution if resolution else 0.0
        significant = max(4, 2 + math.ceil(math.log10(size)) if size else 0)
        return f"{verdict.estimate:{sign}.{significant}g}{_unit(verdict)}"
    form = sign + interval_form(verdict)
    numbers = [f"{x:{form}}" for x in (verdict.estimate, verdict.low, verdict.high)]
    level = "" if verdict.level == "90 %" else f" ({verdict.level})"
    return f"{numbers[0]}{_unit(verdict)} [{numbers[1]}, {numbers[2]}]{level}"


def interval_form(verdict: Verdict) -> str:
    """The format of numbers to as many digits as the verdict's interval gives meaning to."""
    width = math.inf if verdict.low is None or verdict.high is None else verdict.high - verdict.low
    return form_of_width(width)


_SIGNED = ("difference", "gap")


def _unit(verdict: Verdict) -> str:
    return " times" if verdict.scale == "times" else ""


def _quantity(verdict: Verdict, test: AnyTest) -> str:
    """What was estimated, "flatnce - infonce": names stand in the order in which a positive number speaks for it."""
    every = sides(test)
    if len(every) == 1:
        return f"{test.metric} of {side_names(test)[0]}"
    if len(every) == 4:
        first, second = (every[1], every[0]) if verdict.better == "lower" else (every[0], every[1])
        here, there = (" ".join(f"{k}={_text(v)}" for k, v in side.where.items()) for side in (every[0], every[2]))
        lead = f"{first.method} - {second.method}"
        return f"({lead} with {here}) - ({lead} with {there})"
    names = side_names(test)
    this, other = reversed(names) if verdict.better == "lower" else names
    return f"{this} {'/' if verdict.scale == 'times' else '-'} {other}"


def side_names(test: AnyTest) -> tuple[str, str]:
    """What is compared with what. Of restrictions only those are named that tell the sides apart."""
    first, *others = sides(test)
    if not others:
        return first.method, ""
    other = others[0]
    return str(replace(first, where=_own(first, other))), str(replace(other, where=_own(other, first)))


def _own(side: Side, other: Side) -> Where:
    return {key: value for key, value in side.where.items() if other.where.get(key) != value}


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
