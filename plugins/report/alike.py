"""Claims that look alike share a card: their sections are the same but for a line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from harness.files.claims import Holds
from harness.judge.pairing import tested
from harness.numbers import plural
from harness_plugins.report.claims import ClaimSection

#: What claims on one card have in common.
Likeness = tuple[object, ...]


@dataclass(frozen=True)
class Card:
    """One claim in full, or several that look alike, each of which opens."""

    #: "3 claims on probe_accuracy of flatnce and infonce"; "" for one claim.
    heading: str
    sections: Sequence[ClaimSection]


def cards(sections: Iterable[ClaimSection], apart: Collection[str]) -> list[Card]:
    """The cards of claims, in the order of the first of each. Claims whose ids are in ``apart`` have their own."""
    by_likeness: dict[Likeness, list[ClaimSection]] = {}
    for section in sections:
        own = section.claim.id in apart
        by_likeness.setdefault((section.anchor,) if own else _likeness(section), []).append(section)
    return [Card(_heading(alike) if len(alike) > 1 else "", alike) for alike in by_likeness.values()]


def _likeness(section: ClaimSection) -> Likeness:
    """Claims of one kind on the same metric of the same methods; claims that were not run for the same reason."""
    claim, verdict, test = section.claim, section.verdict, tested(section.claim)
    ours = claim.origin == "ours"
    if verdict.verdict == "not-run":
        return ours, "not-run", verdict.cause
    if isinstance(test, Holds):
        return ours, "holds", verdict.verdict
    return ours, test.kind, test.metric, frozenset(test.names), verdict.scale


def _heading(alike: Sequence[ClaimSection]) -> str:
    first = alike[0]
    test, count = tested(first.claim), plural(len(alike), "claim")
    if first.verdict.verdict == "not-run":
        return f"{count} that were not run: {first.verdict.cause}"
    if isinstance(test, Holds):
        return f"{count} that something never happens: {first.verdict.verdict}"
    return f"{count} on {test.metric} of {' and '.join(dict.fromkeys(test.names))}"
