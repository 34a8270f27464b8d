"""The report as plain data for its template: what was asked, found, measured and spent, suite by suite."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from markupsafe import Markup

from harness.files.claims import Claim
from harness.judge import Verdict, Word, sentence
from harness.judge.pairing import AnyTest, tested
from harness.numbers import duration, memory, number, with_interval
from harness_plugins.report import charts, forest
from harness_plugins.report.evidence import Evidence, evidence

if TYPE_CHECKING:
    from harness.cell import Record
    from harness.judge import SuiteResult

#: Rows that a table behind a picture holds; what is beyond stands in records.jsonl.
MOST_ROWS = 400


@dataclass(frozen=True)
class Table:
    """A table behind a picture, as text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    #: Rows that were left out.
    more: int = 0

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
        """A table cut to what a page can hold."""
        return cls(columns, rows[:MOST_ROWS], max(0, len(rows) - MOST_ROWS))


@dataclass(frozen=True)
class Picture:
    """A drawing and what stands over it."""

    drawing: Markup
    caption: str = ""


@dataclass(frozen=True)
class ClaimView:
    """One claim on one device kind, from its statement to its last seed."""

    anchor: str
    claim: Claim
    verdict: Verdict
    #: The device, where the suite was judged on several.
    where: str
    strip: Markup
    #: Estimate with its interval, and the region, in words.
    finding: str
    needs: str
    sentence: str
    evidence: Evidence
    pairs: Sequence[Picture]
    settings: Sequence[tuple[str, str, Markup]]
    table: Table | None
    printed: Sequence[tuple[str, str]]
    here: Sequence[tuple[str, str]]
    source_url: str
    rerun: str


@dataclass(frozen=True)
class Untestable:
    """A claim that has no test."""

    anchor: str
    claim: Claim
    source_url: str


@dataclass(frozen=True)
class SuiteView:
    """One suite of a results folder."""

    anchor: str
    name: str
    title: str
    tally: Sequence[tuple[str, int]]
    #: By article, since Holm's correction goes over the claims of one.
    groups: Mapping[str, Sequence[ClaimView]]
    untestable: Sequence[Untestable]
    cells: str
    cost: str
    command: str
    tasks: Sequence[Any] = ()
    failures: Sequence[Record] = ()
    missing: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    figures: Sequence[Any] = ()
    #: Views over all tasks, beside the verdicts.
    aggregates: Sequence[Any] = ()
    #: Percent that the intervals cover.
    coverage: str = "90"

    @property
    def claims(self) -> list[ClaimView]:
        """Every claim that was judged."""
        return [view for group in self.groups.values() for view in group]


def suite_view(result: SuiteResult, folder: Path, plugins: Sequence[str], **parts: Any) -> SuiteView:
    """All that the report shows of one suite but the parts that are given."""
    suite = result.plan.suite
    found = list(result.records.values())
    good = [record for record in found if record.good]
    several = len({v.device for v in result.verdicts}) > 1
    groups: dict[str, list[ClaimView]] = {}
    for verdict in sorted(result.verdicts, key=lambda v: v.verdict == "not-run"):
        view = _claim_view(result, verdict, verdict.device if several else "", folder, plugins)
        groups.setdefault(view.claim.source.article, []).append(view)
    counts = Counter(verdict.verdict for verdict in result.verdicts)
    untestable = [claim for claim in suite.claims.values() if claim.test is None]
    told = [f"{sum(r.status == s for r in found)} {s}" for s in ("failed", "timeout", "crashed", "skipped")]
    left = len(result.plan.scope) - len(found)
    cells = [f"{len(good)} of {len(result.plan.scope)} cells", *(t for t in told if not t.startswith("0 "))]
    peaks = [r.peak_bytes for r in good if r.peak_bytes is not None]
    cost = f"{duration(sum(r.seconds for r in found))} of computing"
    cost += f", at most {memory(max(peaks))} a cell" if peaks else ""
    devices = sorted({r.device for r in found} - {"cpu"})
    name = suite.name if suite.name in result.plan.registry.suites else str(suite.path)
    return SuiteView(
        anchor=slug("suite", suite.name),
        name=suite.name,
        title=suite.title,
        tally=[(word, counts[word]) for word in get_args(Word) if counts[word]]
        + ([("untestable", len(untestable))] if untestable else []),
        groups=groups,
        untestable=[Untestable(slug("claim", c.id), c, address(c.source.article)) for c in untestable],
        cells=", ".join(cells),
        cost=cost,
        coverage=f"{100 * (1 - 2 * max((v.alpha for v in result.verdicts), default=0.05)):.3g}",
        command=command(folder, plugins, "suite", name, *(f"--device={d}" for d in devices)),
        failures=[r for r in found if not r.good and r.status != "skipped"],
        missing=left,
        skipped=Counter(r.cause or "" for r in found if r.status == "skipped"),
        **parts,
    )


def _claim_view(result: SuiteResult, verdict: Verdict, where: str, folder: Path, plugins: Sequence[str]) -> ClaimView:
    claim = result.plan.suite.claims[verdict.claim]
    test = tested(claim)
    found = evidence(claim, verdict, result)
    said = sentence(verdict, claim).partition(": ")[2]
    title = f"{verdict.verdict}: {said}"
    each = forest.of_settings(verdict, found) if len(found.panels) > 1 else []
    return ClaimView(
        anchor=slug("claim", claim.id, where),
        claim=claim,
        verdict=verdict,
        where=where,
        strip=Markup(forest.strip(test, [verdict], title)),
        finding=finding(test, verdict),
        needs=_needs(test, verdict),
        sentence=said,
        evidence=found,
        pairs=[Picture(Markup(drawn), caption) for caption, drawn in charts.seed_pairs(found)],
        settings=[
            (one.weakest, finding(test, one), Markup(forest.strip(test, [one], one.weakest, each))) for one in each
        ],
        table=_evidence_table(found, verdict),
        printed=[(k, str(v)) for k, v in claim.paper.items()],
        here=_here(found, verdict),
        source_url=address(claim.source.article),
        rerun=command(folder, plugins, "rerun", f"--claim={claim.id}") if verdict.verdict != "not-run" else "",
    )


def finding(test: AnyTest, verdict: Verdict) -> str:
    """The estimate and its interval on the scale that a reader thinks in."""
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
    """What the claim needs on the same scale."""
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


def _here(found: Evidence, verdict: Verdict) -> list[tuple[str, str]]:
    """What each side measured here, averaged over what the verdict averages over."""
    panels = found.panels
    if verdict.weakest:
        panels = tuple(p for p in panels if p.label == verdict.weakest) or panels
    if len(panels) != 1 or (verdict.deterministic and len(panels[0].lines) > 1):
        return []
    rows = [line.values for line in panels[0].lines]
    return [(name, number(sum(row[i] for row in rows) / len(rows))) for i, name in enumerate(found.sides)]


def _evidence_table(found: Evidence, verdict: Verdict) -> Table | None:
    if found.counts:
        return Table.of(("cell", found.metric), [(name, number(count)) for name, count in found.counts])
    if not found.panels:
        return None
    judged = "log ratio" if found.log else "judged difference"
    several = len(found.panels) > 1
    columns = [*(["setting"] if several else []), "seed" if not verdict.deterministic else "", *found.sides, judged]
    rows = [
        [*([panel.label] if several else []), line.name, *map(_full, line.values), _full(line.judged)]
        for panel in found.panels
        for line in panel.lines
    ]
    return Table.of(columns, rows)


def _full(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def slug(*parts: str) -> str:
    """An anchor.

    >>> slug("claim", "flatnce/fn1-better", "")
    'claim-flatnce-fn1-better'
    """
    return re.sub(r"[^a-z0-9]+", "-", "-".join(filter(None, parts)).lower()).strip("-")


def address(article: str) -> str:
    """The article's address with its scheme, or "" for what is no address.

    >>> address("arxiv.org/abs/2107.01152"), address("javascript:alert(1)"), address("A book, p. 5")
    ('https://arxiv.org/abs/2107.01152', '', '')
    """
    return f"https://{article}" if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w./%+~?=&#-]*)?", article, re.I) else ""


def command(folder: Path, plugins: Sequence[str], *words: str) -> str:
    """A command line that names the folder and the plugins that were given by hand."""
    given = [part for plugin in plugins for part in ("-p", plugin)]
    return shlex.join(["harness", *given, *words, f"--results={folder}"])


def environments(folder: Path, records: Iterable[Record]) -> list[dict[str, Any]]:
    """What the records' environments say, each with how many records come from it; the most used first."""
    found = []
    for digest, count in Counter(r.environment for r in records if r.environment).most_common():
        path = folder / "environments" / f"{digest}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = {}
        found.append({"digest": digest, "records": count, **(content if isinstance(content, dict) else {})})
    return found
