"""One claim or check of the report, from its statement to its last seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from harness.files.claims import Check, Claim
from harness.judge import CHECKED, SuiteResult, Verdict, judge_settings, needed, sentence, shown
from harness.judge.pairing import AnyTest, tested
from harness.numbers import number
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
    #: "p 0.01, after Holm 0.03 as one of 3"; "" where there is none.
    p: str
    evidence: Evidence
    pairs: Sequence[Picture]
    #: Label, estimate and strip of each setting, for a claim that must hold in each.
    settings: Sequence[tuple[str, str, Markup]]
    table: Table | None
    #: Ids of the checks that it rests on.
    checks: Sequence[str]
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


@dataclass(frozen=True)
class CheckSection:
    """One check on one device kind: what must hold before claims can be judged."""

    anchor: str
    check: Check
    verdict: Verdict
    device: str
    #: "holds", "fails", "undecided", "not run".
    word: str
    strip: Markup
    estimate: str
    needs: str
    sentence: str
    #: Ids of the claims that rest on it.
    claims: Sequence[str]


def claim_section(
    result: SuiteResult, verdict: Verdict, device: str, folder: Path, plugins: Sequence[str]
) -> ClaimSection:
    """All that the report shows of one verdict. ``device`` is "" where the suite was judged on a single one."""
    suite = result.plan.suite
    claim = suite.claims[verdict.claim]
    test = tested(claim)
    numbers = evidence(claim, verdict, result)
    text = sentence(verdict, claim).partition(": ")[2]
    each = judge_settings(claim, verdict, result.cells, result.outcomes, result.plan.registry.tasks, suite.looks)
    return ClaimSection(
        anchor=anchor("claim", claim.id, device),
        claim=claim,
        verdict=verdict,
        device=device,
        strip=Markup(forest.strip(test, [verdict], f"{verdict.verdict}: {text}")),
        estimate=estimate_text(test, verdict),
        needs=needed(verdict),
        sentence=text,
        p=_p_text(verdict),
        evidence=numbers,
        pairs=[Picture(Markup(drawing), caption) for caption, drawing in charts.seed_pairs(numbers)],
        settings=[
            (
                v.weakest,
                estimate_text(test, v),
                Markup(forest.strip(test, [v], f"{v.weakest}: {v.verdict}", same_scale=each)),
            )
            for v in each
        ],
        table=_table(numbers, verdict),
        checks=suite.rests_on.get(claim.id, ()),
        printed=[(name, str(value)) for name, value in claim.paper.items()],
        measured=_measured(numbers, verdict),
        source_url=article_url(claim.source.article),
        rerun="" if verdict.verdict == "not-run" else command_line(folder, plugins, "rerun", f"--claim={claim.id}"),
    )


def check_section(result: SuiteResult, verdict: Verdict, device: str) -> CheckSection:
    """All that the report shows of one check."""
    suite = result.plan.suite
    check = suite.checks[verdict.claim]
    text = sentence(verdict, check).partition(": ")[2]
    word = CHECKED[verdict.verdict]
    return CheckSection(
        anchor=anchor("check", check.id, device),
        check=check,
        verdict=verdict,
        device=device,
        word=word,
        strip=Markup(forest.strip(tested(check), [verdict], f"{word}: {text}")),
        estimate=estimate_text(tested(check), verdict),
        needs=needed(verdict),
        sentence=text,
        claims=[claim for claim, checks in suite.rests_on.items() if check.id in checks],
    )


def untestable_section(claim: Claim) -> UntestableSection:
    """What the report shows of a claim without a test."""
    return UntestableSection(anchor("claim", claim.id), claim, article_url(claim.source.article))


def estimate_text(test: AnyTest, verdict: Verdict) -> str:
    """The estimate and its interval as every view shows them; "" where there is none."""
    return "" if verdict.estimate is None else shown(verdict, test)


def _p_text(verdict: Verdict) -> str:
    if verdict.p is None:
        return ""
    corrected = verdict.p_holm is not None and verdict.family > 1
    return f"p {verdict.p:.2g}" + (f", after Holm {verdict.p_holm:.2g} as one of {verdict.family}" if corrected else "")


def _measured(numbers: Evidence, verdict: Verdict) -> list[tuple[str, str]]:
    """The mean of each side; of several settings that must each hold, in the one whose numbers the verdict shows."""
    means = [mean for mean in (verdict.a, verdict.b) if mean is not None]
    return [(side, number(mean)) for side, mean in zip(numbers.sides, means, strict=False)]


def _table(numbers: Evidence, verdict: Verdict) -> Table | None:
    """Every number behind the charts."""
    if numbers.counts:
        return Table.of(("cell", numbers.metric), [(name, number(count)) for name, count in numbers.counts])
    if not numbers.panels:
        return None
    # Beside a printed number the metric itself is judged, which stands there already.
    judged = [] if numbers.reference is not None else ["times as good" if numbers.log else "difference"]
    several = len(numbers.panels) > 1
    columns = [*(["setting"] if several else []), "" if verdict.deterministic else "seed", *numbers.sides, *judged]
    rows = [
        [
            *([panel.label] if several else []),
            line.name,
            *(number(value, significant=_DIGITS) for value in (*line.values, *[line.judged] * len(judged))),
        ]
        for panel in numbers.panels
        for line in panel.lines
    ]
    return Table.of(columns, rows)
