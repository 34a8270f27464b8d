"""The answer of a suite: for each claim that its readers came for, a word and what must be known with it.

All faces show these sentences: the terminal, the report, MLflow and JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal

from harness.cell import Record
from harness.files.claims import Claim, Reaches
from harness.judge.pairing import Group, pair, tested
from harness.judge.result import SuiteResult
from harness.judge.tuned import search_cost, tuned_text
from harness.judge.verdicts import Verdict, interval_form, needed, numbers_of, seen_text, side_names, would_take_text
from harness.numbers import duration, memory

#: A verdict in the words of somebody who asks whether the claim is true.
PlainWord = Literal["shown", "not shown", "contradicted", "cannot be told"]
#: Cells that take less say nothing about the cost of a method: in seconds.
_MEASURABLE = 0.05


@dataclass(frozen=True)
class Answer:
    """One claim that a suite's readers came for, in words. A sentence that does not apply is ""."""

    claim: Claim
    verdict: Verdict
    word: PlainWord
    #: The number with its interval, and what the claim needs.
    measured: str
    #: What the word rests on.
    why: str
    #: The largest difference that the interval leaves open, in both directions.
    possible: str
    #: Time and memory of the method against those of what it is compared with.
    cost: str
    #: Whether the methods were tuned.
    tuned: str
    #: "93 % interval over seeds, on one fixed test set", "nothing depends on chance" where the number does not say it.
    covers: str
    #: What other test items would give, where outcomes of items are recorded.
    items: str

    @property
    def facts(self) -> dict[str, str]:
        """The sentences that apply, by what they are on."""
        names = ("measured", "why", "possible", "cost", "tuned", "covers", "items")
        named = {name: getattr(self, name) for name in names}
        return {name: text for name, text in named.items() if text}


def answers_of(result: SuiteResult) -> list[Answer]:
    """The answers of a suite, in the order of its file."""
    return [answer_of(verdict, result) for verdict in result.answers]


def answer_of(verdict: Verdict, result: SuiteResult) -> Answer:
    """What one verdict means."""
    claim = result.plan.suite.claims[verdict.claim]
    task = result.plan.registry.tasks.get(tested(claim).tasks[0])
    metric = task.metrics.get(tested(claim).metric) if task else None
    groups = pair(claim, result.cells, verdict.device)[0] if verdict.estimate is not None and verdict.covers else []
    return Answer(
        claim=claim,
        verdict=verdict,
        word=plain_word(verdict, result.plan.suite.looks),
        measured=numbers_of(verdict, claim),
        why=_why(verdict),
        possible=_possible(verdict, claim),
        cost="" if metric is None or metric.timed else _cost(claim, groups, result),
        tuned=tuned_text(claim, verdict, groups, result),
        covers="" if verdict.deterministic and verdict.scale != "count" else coverage(verdict),
        items="" if verdict.items is None else str(verdict.items),
    )


def plain_word(verdict: Verdict, looks: Sequence[int]) -> PlainWord:
    """The word for somebody who asks whether the claim is true; before the first look nothing can be told."""
    if verdict.verdict in ("not-informative", "not-run"):
        return "cannot be told"
    if verdict.verdict == "inconclusive":
        return "not shown" if verdict.n >= looks[0] else "cannot be told"
    return "shown" if verdict.verdict == "reproduced" else "contradicted"


def coverage(verdict: Verdict) -> str:
    """What the number of a verdict covers."""
    if verdict.deterministic:
        return "nothing depends on chance"
    return f"{verdict.level} interval over {verdict.covers}" if verdict.level else ""


def _why(verdict: Verdict) -> str:
    if verdict.verdict in ("not-informative", "not-run"):
        return verdict.cause
    reason = verdict.cause
    if verdict.low is not None and not reason:
        reason = {
            "reproduced": f"the whole interval is {needed(verdict)}",
            "contradicted": f"no part of the interval is {needed(verdict)}",
        }.get(verdict.verdict, f"part of the interval is {needed(verdict)}, part is not")
    return "; ".join(
        filter(None, (reason, would_take_text(verdict), seen_text(verdict), verdict.outlier, verdict.changed))
    )


def _possible(verdict: Verdict, claim: Claim) -> str:
    """The largest difference that the interval leaves open; "" where it has no width."""
    test, low, high = tested(claim), verdict.low, verdict.high
    if low is None or high is None or low == high:
        return ""
    form = interval_form(verdict)
    if verdict.scale == "times":
        return f"from {low:{form}} to {high:{form}} times"
    if isinstance(test, Reaches):
        furthest = max(abs(low - test.value), abs(high - test.value))
        return f"{test.metric} up to {furthest:{form}} from the printed {test.value:.12g}"
    if verdict.scale == "value":
        return f"{test.metric} from {low:{form}} to {high:{form}}"
    words = ("smaller", "larger") if verdict.scale == "gap" or verdict.better is None else ("worse", "better")
    subject = "a gap" if verdict.scale == "gap" else side_names(test)[0]
    ends = [f"{abs(end):{form}} {words[end > 0]}" for end in (low, high)]
    if (low > 0) == (high > 0):
        nearer, further = sorted((abs(low), abs(high)))
        return f"{subject} from {nearer:{form}} to {further:{form}} {words[high > 0]} in {test.metric}"
    return f"{subject} from {ends[0]} to {ends[1]} in {test.metric}"


# Cost -------------------------------------------------------------------------------------------------------


def _cost(claim: Claim, groups: Sequence[Group], result: SuiteResult) -> str:
    """Time and memory of a cell: of the method against what it is compared with; of a study its chosen trial's."""
    names, records = side_names(tested(claim)), result.outcomes
    seconds = [_typical(group, records, lambda r: r.seconds) for group in groups[:2]]
    peaks = [_typical(group, records, lambda r: r.peak_bytes) for group in groups[:2]]
    if not all(seconds) or max(seconds, default=0.0) < _MEASURABLE:
        return ""
    if len(groups) == 1:
        return f"{names[0]} takes {duration(seconds[0])}{f', {memory(peaks[0])}' if peaks[0] else ''} a cell"
    spent = f"{duration(seconds[0])} against {duration(seconds[1])} a cell"
    text = f"{names[0]} takes {_times(seconds)} times as long as {names[1]} ({spent})"
    text = f"{text}, {_times(peaks)} times the memory" if all(peaks) else text
    return "; ".join(filter(None, (text, search_cost(groups, result))))


def _typical(group: Group, records: Mapping[str, Record], cost: Callable[[Record], float | None]) -> float:
    """What a cell of one side costs: in each setting the median over seeds, of these the mean; 0 where unknown.

    A seed that ran while the machine was busy moves a median little.
    """
    of_settings = []
    for by_seed in group.values():
        good = [r for cells in by_seed.values() for c in cells if (r := records.get(c.id)) is not None and r.good]
        if known := [spent for record in good if (spent := cost(record)) is not None]:
            of_settings.append(median(known))
    return mean(of_settings) if of_settings else 0.0


def _times(pair_of_costs: Sequence[float]) -> str:
    ratio = pair_of_costs[0] / pair_of_costs[1]
    return f"{ratio:.2f}" if ratio < 9.995 else f"{ratio:.3g}"
