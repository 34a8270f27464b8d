"""One claim of the report, from its statement to its last seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from harness.files.claims import Claim
from harness.judge import SuiteResult, Verdict, sentence
from harness.judge.pairing import AnyTest, tested
from harness.numbers import number, with_interval
from harness_plugins.report import charts, forest
from harness_plugins.report.elements import Picture, Table, anchor, article_url, command_line
from harness_plugins.report.evidence import Evidence, evidence

#: Significant digits of the numbers in the table behind the charts.
_DIGITS = 6


@dataclass(frozen=True)
class ClaimSection:
    """One claim on one device kind."""

    anchor: str
    claim: Claim
    verdict: Verdict
    #: The device kind, where the suite was judged on several.
    device: str
    strip: Markup
    #: The estimate with its interval, and what the claim needs, on one scale.
    estimate: str
    needs: str
    sentence: str
    evidence: Evidence
    pairs: Sequence[Picture]
    #: Label, estimate and strip of each setting, for a claim that must hold in each.
    settings: Sequence[tuple[str, str, Markup]]
    table: Table | None
    #: The figures of the paper, and what each side measured here.
    printed: Sequence[tuple[str, str]]
    measured: Sequence[tuple[str, str]]
    source_url: str
    #: The command that runs its cells again.
    rerun: str


@dataclass(frozen=True)
class UntestableSection:
    """A claim without a test."""

    anchor: str
    claim: Claim
    source_url: str


def claim_section(
    result: SuiteResult, verdict: Verdict, device: str, folder: Path, plugins: Sequence[str]
) -> ClaimSection:
    """All that the report shows of one verdict. ``device`` is "" where the suite was judged on a single one."""
    claim = result.plan.suite.claims[verdict.claim]
    test = tested(claim)
    numbers = evidence(claim, verdict, result)
    text = sentence(verdict, claim).partition(": ")[2]
    each = forest.of_settings(verdict, numbers) if len(numbers.panels) > 1 else []
    return ClaimSection(
        anchor=anchor("claim", claim.id, device),
        claim=claim,
        verdict=verdict,
        device=device,
        strip=Markup(forest.strip(test, [verdict], f"{verdict.verdict}: {text}")),
        estimate=estimate_text(test, verdict),
        needs=_needs(test, verdict),
        sentence=text,
        evidence=numbers,
        pairs=[Picture(Markup(drawing), caption) for caption, drawing in charts.seed_pairs(numbers)],
        settings=[
            (v.weakest, estimate_text(test, v), Markup(forest.strip(test, [v], v.weakest, same_scale=each)))
            for v in each
        ],
        table=_table(numbers, verdict),
        printed=[(name, str(value)) for name, value in claim.paper.items()],
        measured=_measured(numbers, verdict),
        source_url=article_url(claim.source.article),
        rerun="" if verdict.verdict == "not-run" else command_line(folder, plugins, "rerun", f"--claim={claim.id}"),
    )


def untestable_section(claim: Claim) -> UntestableSection:
    """What the report shows of a claim without a test."""
    return UntestableSection(anchor("claim", claim.id), claim, article_url(claim.source.article))


def estimate_text(test: AnyTest, verdict: Verdict) -> str:
    """The estimate and its interval on the scale that a reader thinks in; "" where there is none.

    The estimate of a ratio is a ratio, and that of a comparison with a number is the metric itself.
    """
    if verdict.estimate is None:
        return ""
    low, high = verdict.low, verdict.high
    if verdict.scale == "log ratio":
        numbers = [None if x is None else math.exp(x) for x in (verdict.estimate, low, high)]
        return with_interval(*numbers) + " ×"
    if verdict.scale == "count":
        return f"{number(verdict.estimate)} violations" if verdict.estimate else "none"
    value = getattr(test, "value", None)
    if value is None:
        return with_interval(verdict.estimate, low, high)
    sign = -1 if verdict.better == "lower" else 1
    ends = sorted(value + sign * x for x in (low, high) if x is not None) or [None, None]
    return with_interval(value + sign * verdict.estimate, *ends)


def _needs(test: AnyTest, verdict: Verdict) -> str:
    """What the claim needs, on the scale of ``estimate_text``."""
    low, high = verdict.region
    value = getattr(test, "value", None)
    if verdict.scale == "count":
        return "no violation"
    if verdict.scale == "log ratio":
        return f"> {number(math.exp(low))} ×"
    if math.isfinite(high):
        return f"within {number(value) + ' ' if value is not None else ''}±{number(high)}"
    if value is None:
        return f"> {number(low)}"
    return f"< {number(value - low)}" if verdict.better == "lower" else f"> {number(value + low)}"


def _measured(numbers: Evidence, verdict: Verdict) -> list[tuple[str, str]]:
    """The mean of each side over the seeds; where the weakest setting decides, in that one."""
    panels = numbers.panels
    if verdict.weakest:
        panels = tuple(panel for panel in panels if panel.label == verdict.weakest) or panels
    if len(panels) != 1 or (verdict.deterministic and len(panels[0].lines) > 1):
        return []
    lines = panels[0].lines
    return [(side, number(sum(line.values[i] for line in lines) / len(lines))) for i, side in enumerate(numbers.sides)]


def _table(numbers: Evidence, verdict: Verdict) -> Table | None:
    """Every number behind the charts."""
    if numbers.counts:
        return Table.of(("cell", numbers.metric), [(name, number(count)) for name, count in numbers.counts])
    if not numbers.panels:
        return None
    judged = "log ratio" if numbers.log else "judged difference"
    several = len(numbers.panels) > 1
    columns = [*(["setting"] if several else []), "" if verdict.deterministic else "seed", *numbers.sides, judged]
    rows = [
        [
            *([panel.label] if several else []),
            line.name,
            *(number(value, significant=_DIGITS) for value in (*line.values, line.judged)),
        ]
        for panel in numbers.panels
        for line in panel.lines
    ]
    return Table.of(columns, rows)
