"""What a suite came to, on one screen: a line for each claim with its interval drawn, and the answer below."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.judge import CHECKED, Answer, SuiteResult, Verdict, Word, answers_of, needed, shown
from harness.numbers import plural
from harness_plugins.terminal.strips import text_strip

if TYPE_CHECKING:
    from rich.text import Text

    from harness.judge.pairing import Statement

COLOURS: Mapping[Word, str] = {
    "reproduced": "green",
    "contradicted": "red",
    "inconclusive": "yellow",
    "not-informative": "magenta",
    "not-run": "dim",
}
#: Widths of a strip: the least in each layout from the widest to the narrowest, and the most.
_LEAST, _MOST = (25, 15, 9), 61


@dataclass(frozen=True)
class Row:
    """One claim or check."""

    verdict: Verdict
    word: str
    name: str
    #: The estimate with its interval, and alone.
    number: str
    estimate: str
    needs: str

    @classmethod
    def of(cls, verdict: Verdict, statement: Statement, name: str, word: str) -> Row:
        """What the line of a verdict shows."""
        number = "" if verdict.estimate is None else shown(verdict, statement.test)
        needs = "" if verdict.estimate is None or verdict.scale == "count" else f"needs {needed(verdict)}"
        estimate = number.partition(" [")[0]
        if verdict.scale == "count" and number:
            estimate = f"{verdict.estimate:g} violations" if verdict.estimate else "none"
        return cls(verdict, word, name, number, estimate, needs)


@dataclass(frozen=True)
class Layout:
    """Widths of the columns; 0 leaves a column out."""

    word: int
    name: int
    strip: int
    number: int
    needs: int
    #: Whether numbers have their intervals.
    intervals: bool

    def line(self, row: Row) -> Text:
        """The line of a row."""
        from rich.text import Text

        colour = COLOURS[row.verdict.verdict]
        line = Text(" ")
        if self.word:
            line.append(f"{row.word:<{self.word}} ", colour)
        line.append(f"{row.name:<{self.name}} ")
        if row.verdict.estimate is None:
            # A cause that would be cut is left to the sentences of "harness claims".
            room = self.strip + self.number + self.needs
            line.append(row.verdict.cause if len(row.verdict.cause) <= room else "", "dim")
        else:
            line.append(text_strip(row.verdict, self.strip) + " ", colour)
            line.append(f"{row.number if self.intervals else row.estimate:<{self.number}} ")
            line.append(row.needs if self.needs else "", "dim")
        line.rstrip()
        return line


def layout_of(rows: Sequence[Row], width: int) -> Layout:
    """The richest layout that fits: what the claim needs goes first, then the intervals, then the column of words.

    The interval stays visible as a drawing. Without a column of words they stand above the lines.
    """
    word, name, number, estimate, needs = (
        max((len(getattr(row, column)) for row in rows), default=0)
        for column in ("word", "name", "number", "estimate", "needs")
    )
    for columns, least in zip(
        ((word, name, number, needs, True), (word, name, number, 0, True), (word, name, estimate, 0, False)),
        _LEAST,
        strict=True,
    ):
        # A space before each column.
        strip = width - 1 - sum(size + 1 for size in columns[:4] if size)
        if strip >= least:
            return _layout(columns, strip)
    columns = (0, name, estimate, 0, False)
    return _layout(columns, max(_LEAST[-1], width - 3 - name - estimate))


def _layout(columns: tuple[int, int, int, int, bool], strip: int) -> Layout:
    word, name, number, needs, intervals = columns
    # An odd width has a middle.
    strip = min(strip, _MOST)
    return Layout(word, name, strip - (strip + 1) % 2, number, needs, intervals)


def overview(result: SuiteResult, width: int) -> list[Text]:
    """The claims by who made them, decided ones first, then the checks that do not hold, then the answer."""
    from rich.text import Text

    if not result.verdicts:
        return []
    rows = _rows(result)
    unmet = _unmet(result)
    layout = layout_of([*rows.values(), *unmet], width)
    lines: list[Text] = []
    for heading, verdicts in (("What the sources claim", result.sourced), ("Our own questions", result.questions)):
        further = [rows[id(v)] for v in verdicts if v not in result.answers]
        if verdicts:
            lines += [Text(), Text.assemble((f"{heading}: ", "bold"), counted(verdicts))]
        lines += _lines(further, layout)
    if result.checks:
        lines += [Text(), Text.assemble(("Checks: ", "bold"), _counted_checks(result.checks))]
        lines += _lines(unmet, layout)
    lines += [*_wrapped(_footnote(result), width, "dim"), Text()]
    return [*lines, *answer_lines(result, width)]


def _rows(result: SuiteResult) -> dict[int, Row]:
    """The row of each claim by the identity of its verdict."""
    claims = result.plan.suite.claims
    return {id(v): Row.of(v, claims[v.claim], _name(v, result), v.verdict) for v in result.verdicts}


def _unmet(result: SuiteResult) -> list[Row]:
    """The checks that do not hold."""
    checks = result.plan.suite.checks
    unmet = [verdict for verdict in result.checks if verdict.verdict != "reproduced"]
    return [Row.of(v, checks[v.claim], _name(v, result), CHECKED[v.verdict]) for v in unmet]


def _lines(rows: Sequence[Row], layout: Layout) -> list[Text]:
    """The lines of claims or checks, decided ones first; in a narrow layout below their words."""
    from rich.text import Text

    order = list(COLOURS)
    ordered = sorted(rows, key=lambda row: order.index(row.verdict.verdict))
    lines: list[Text] = []
    for i, row in enumerate(ordered):
        if not layout.word and (i == 0 or ordered[i - 1].word != row.word):
            lines.append(Text(row.word, COLOURS[row.verdict.verdict]))
        lines.append(layout.line(row))
    return lines


def counted(verdicts: Iterable[Verdict]) -> Text:
    """How many verdicts there are of each word, in its colour."""
    from rich.text import Text

    words = [verdict.verdict for verdict in verdicts]
    parts = [Text(f"{words.count(word)} {word}", colour) for word, colour in COLOURS.items() if word in words]
    return Text(", ").join(parts)


def _counted_checks(checks: Iterable[Verdict]) -> Text:
    from rich.text import Text

    words = [verdict.verdict for verdict in checks]
    return Text(", ").join(
        Text(f"{words.count(word)} {text}", COLOURS[word]) for word, text in CHECKED.items() if word in words
    )


def _name(verdict: Verdict, result: SuiteResult) -> str:
    """The id, without the plugin where the suite's claims and checks are all of one; and the device if it varies."""
    suite = result.plan.suite
    plugin, _, short = verdict.claim.partition("/")
    name = short if {i.partition("/")[0] for i in (*suite.claims, *suite.checks)} == {plugin} else verdict.claim
    several = len({v.device for v in (*result.verdicts, *result.checks)} - {""}) > 1
    return f"{name} on {verdict.device}" if several and verdict.device else name


def _footnote(result: SuiteResult) -> str:
    suite = result.plan.suite
    untestable = [i for i, claim in suite.claims.items() if claim.test is None]
    text = f"Shaded: where a claim is right. In full: harness claims {suite.name}. Estimates: --tables."
    if untestable:
        text += f" {plural(len(untestable), 'claim')} cannot be tested: harness show {untestable[0]}."
    return text


def answer_lines(result: SuiteResult, width: int) -> list[Text]:
    """The title and what came of it, in words. What holds for all answers is said once, at the end."""
    from rich.text import Text

    answers, rows = answers_of(result), _rows(result)
    layout = layout_of([*rows.values(), *_unmet(result)], width)
    title = _wrapped(result.plan.suite.title, width, "bold")
    if not answers:
        return [*title, Text("The suite names no claim as its answer; its claims: ") + counted(result.verdicts)]
    # What is the same for all answers is said once.
    tuned = {answer.tuned for answer in answers} - {""}
    covers = {answer.verdict.covers for answer in answers} - {""}
    shared = ["covers", *["tuned"] * (len(tuned) == 1)] if len(covers) <= 1 else ["tuned"] * (len(tuned) == 1)
    lines = list(title)
    for answer in answers:
        heading = _wrapped(f"{answer.word.upper()}: {answer.claim.says}", width, "")
        heading[0].stylize(f"bold {COLOURS[answer.verdict.verdict]}", 0, len(answer.word) + 1)
        lines += [*heading, layout.line(rows[id(answer.verdict)])]
        lines += _wrapped(sentences(answer, shared), width, "", indent=2)
    closing = [*tuned, *(f"the intervals are over {text}" for text in covers if "covers" in shared)]
    return [*lines, *_wrapped(" ".join(map(_sentence, closing)) if len(tuned) <= 1 else "", width, "")]


def sentences(answer: Answer, without: Sequence[str] = ()) -> str:
    """What must be known with an answer's word, in a paragraph."""
    lead = {"possible": "still possible: "}
    return " ".join(_sentence(lead.get(name, "") + text) for name, text in answer.facts.items() if name not in without)


def _sentence(text: str) -> str:
    """Names begin as they are spelled; everything else with a capital."""
    first = text.partition(" ")[0]
    return (text[:1].upper() + text[1:] if first.isalpha() and first in _WORDS else text) + "."


#: First words of sentences that are no names.
_WORDS = {"still", "the", "neither", "none", "nothing", "all", "no", "other", "part", "too", "would"}


def _wrapped(text: str, width: int, style: str, indent: int = 0) -> list[Text]:
    from rich.text import Text

    margin = " " * indent
    lines = textwrap.wrap(
        text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False, break_long_words=False
    )
    return [Text(line, style) for line in lines]
