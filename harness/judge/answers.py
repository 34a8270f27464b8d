"""The answer of a suite: for each claim that its readers came for, a word and what must be known with it.

All faces show these sentences: the terminal, the report, MLflow and JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal

from harness.cell import Cell, Record
from harness.files.claims import Claim, Reaches
from harness.judge.pairing import Group, members, pair, sides, tested
from harness.judge.result import SuiteResult
from harness.judge.verdicts import Verdict, interval_form, needed, numbers_of, side_names, would_take_text
from harness.numbers import duration, memory
from harness.planning.setting import typed

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
        cost="" if metric is None or metric.timed else _cost(claim, groups, result.records),
        tuned=_tuned(claim, groups, result),
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
    return "; ".join(filter(None, (reason, would_take_text(verdict), verdict.outlier, verdict.changed)))


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


def _cost(claim: Claim, groups: Sequence[Group], records: Mapping[str, Record]) -> str:
    """Time and memory of a cell: of the method against what it is compared with."""
    names = side_names(tested(claim))
    seconds = [_typical(group, records, lambda r: r.seconds) for group in groups[:2]]
    peaks = [_typical(group, records, lambda r: r.peak_bytes) for group in groups[:2]]
    if not all(seconds) or max(seconds, default=0.0) < _MEASURABLE:
        return ""
    if len(groups) == 1:
        return f"{names[0]} takes {duration(seconds[0])}{f', {memory(peaks[0])}' if peaks[0] else ''} a cell"
    spent = f"{duration(seconds[0])} against {duration(seconds[1])} a cell"
    text = f"{names[0]} takes {_times(seconds)} times as long as {names[1]} ({spent})"
    return f"{text}, {_times(peaks)} times the memory" if all(peaks) else text


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


# Tuning -----------------------------------------------------------------------------------------------------


def _tuned(claim: Claim, groups: Sequence[Group], result: SuiteResult) -> str:
    """Whether the methods of a comparison were tuned, and where they ran with options of their own.

    No suite tunes: a cell has the settings of its suite, and what these leave open is at its default.
    """
    cells = members(groups)
    methods = list(dict.fromkeys(cell.method for cell in cells))
    if not methods or all(side.method == methods[0] for side in sides(tested(claim))[1:]):
        return ""
    who = {1: f"{methods[0]} was not tuned here", 2: "neither was tuned here"}.get(len(methods), "none was tuned here")
    own = {method: _own_settings(method, cells, result) for method in methods}
    # What the suite sets alike for all of them is no advantage of one.
    apart = {
        m: [text for text in texts if not all(text in other for other in own.values())] for m, texts in own.items()
    }
    named = [f"{method} with {' '.join(texts)}" for method, texts in apart.items() if texts]
    if not any(own.values()) and any(cell.own for cell in cells):
        named.append("with their own options at the defaults")
    return ", ".join([f"{who}: all ran at the suite's settings", *named])


def _own_settings(method: str, cells: Sequence[Cell], result: SuiteResult) -> list[str]:
    """A method's own options where they are not at the default: "alpha=1,2"."""
    registered = result.plan.registry.methods.get(method)
    declared = registered.options if registered else {}
    values: dict[str, dict[object, str]] = {}
    for cell in cells:
        for name in (n for n in cell.own if cell.method == method and n in declared):
            values.setdefault(name, {})[typed(cell.options[name])] = f"{cell.options[name]}"
    return [
        f"{name}={','.join(texts.values())}"
        for name, texts in values.items()
        if list(texts) != [typed(declared[name].default)]
    ]
