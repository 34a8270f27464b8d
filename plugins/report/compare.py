"""Two results folders side by side: for each suite the verdicts, the differences with their intervals, the times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from harness.errors import UsageError
from harness.judge import CHECKED, SuiteResult, Verdict, Word, judged_suites
from harness.judge.pairing import Statement, tested
from harness.planning.request import Request
from harness.records.anonymous import path_shown
from harness.registry import Registry
from harness_plugins.report import forest
from harness_plugins.report.anonymous import anonymiser, anonymous
from harness_plugins.report.claims import estimate_text
from harness_plugins.report.differences import Difference, differences, shared_settings, time_ratios
from harness_plugins.report.elements import anchor
from harness_plugins.report.environments import differing_entries, environments, reduced


@dataclass(frozen=True)
class ClaimRow:
    """One claim or check with its verdict in both folders."""

    says: str
    id: str
    first: Verdict
    second: Verdict
    #: As they are shown: of a check "holds" or "fails".
    words: tuple[str, str]
    strip: Markup
    estimates: tuple[str, str]

    @property
    def changed(self) -> bool:
        """Whether the verdicts are not the same."""
        return self.first.verdict != self.second.verdict


@dataclass(frozen=True)
class SuitePair:
    """One suite in both folders."""

    anchor: str
    name: str
    title: str
    #: What the sources claim.
    claims: Sequence[ClaimRow]
    #: Our own questions, and what claims rest on.
    questions: Sequence[ClaimRow]
    checks: Sequence[ClaimRow]
    #: By task.
    differences: Mapping[str, Sequence[Difference]]
    costs: Sequence[tuple[str, ...]]
    #: Names of settings that only one folder has.
    alone: Sequence[str]

    @property
    def groups(self) -> list[tuple[str, Sequence[ClaimRow]]]:
        """The rows under their headings; a heading without rows is left out."""
        groups = [
            ("What the sources claim", self.claims),
            ("Our own questions", self.questions),
            ("Checks", self.checks),
        ]
        return [(heading, rows) for heading, rows in groups if rows]

    @property
    def counts(self) -> dict[str, int]:
        """How many differences there are of each kind."""
        words = [d.word for rows in self.differences.values() for d in rows]
        return {word: words.count(word) for word in dict.fromkeys(words)}


@dataclass(frozen=True)
class Comparison:
    """Everything that the page of a comparison shows."""

    names: tuple[str, str]
    folders: tuple[str, str]
    #: Name and both values of each entry of the environments that differs.
    environment: Sequence[tuple[str, str, str]]
    suites: Sequence[SuitePair]
    #: Names of suites that only one folder has.
    only: Sequence[str]


def compare(
    registry: Registry, requests: tuple[Request, Request], suites: Sequence[str] = (), full: bool = False
) -> Comparison:
    """Put two folders side by side; see ``report`` for ``full``. Raises UsageError where they share no suite."""
    first, second = ({r.plan.suite.name: r for r in judged_suites(registry, suites, request)} for request in requests)
    shared = [name for name in first if name in second and first[name].records and second[name].records]
    if not shared:
        raise UsageError(f"{requests[0].folder} and {requests[1].folder} have no records of the same suite")
    folders = requests[0].folder, requests[1].folder
    names = _names(*folders)
    sources = [
        environments(folder, [record for result in results.values() for record in result.records.values()])
        for folder, results in zip(folders, (first, second), strict=True)
    ]
    if not full:
        judged = [*first.values(), *second.values()]
        rewrite = anonymiser([source for of_folder in sources for source in of_folder], judged, registry)
        first, second = ({name: anonymous(r, rewrite) for name, r in of.items()} for of in (first, second))
        sources = [reduced(of_folder, rewrite) for of_folder in sources]
        folders = path_shown(folders[0]), path_shown(folders[1])
    return Comparison(
        names=names,
        folders=(str(folders[0]), str(folders[1])),
        environment=differing_entries(*sources),
        suites=[_suite_pair(first[name], second[name]) for name in shared],
        only=sorted((first.keys() | second.keys()) - set(shared)),
    )


def _suite_pair(first: SuiteResult, second: SuiteResult) -> SuitePair:
    suite = first.plan.suite
    settings, alone = shared_settings(first, second)
    by_task: dict[str, list[Difference]] = {}
    for row in differences(settings):
        by_task.setdefault(row.task, []).append(row)
    return SuitePair(
        anchor=anchor("suite", suite.name),
        name=suite.name,
        title=suite.title,
        claims=_rows(first.sourced, second.sourced, suite.claims),
        questions=_rows(first.questions, second.questions, suite.claims),
        checks=_rows(first.checks, second.checks, suite.checks, CHECKED),
        differences=by_task,
        costs=time_ratios(settings),
        alone=alone,
    )


def _rows(
    first: Sequence[Verdict],
    second: Sequence[Verdict],
    statements: Mapping[str, Statement],
    words: Mapping[Word, str] = {},
) -> list[ClaimRow]:
    """Claims or checks with a verdict in both folders, those whose word changed first.

    Verdicts of one claim on several devices are compared in their order: cpu with cuda where each folder has one.
    """
    verdicts: dict[tuple[str, int], list[Verdict]] = {}
    for of_folder in (first, second):
        seen: dict[str, int] = {}
        for verdict in of_folder:
            place = seen.get(verdict.claim, 0)
            seen[verdict.claim] = place + 1
            verdicts.setdefault((verdict.claim, place), []).append(verdict)
    rows = []
    for (name, _), both in verdicts.items():
        if len(both) == 2:
            statement = statements[name]
            test = tested(statement)
            shown = words.get(both[0].verdict, both[0].verdict), words.get(both[1].verdict, both[1].verdict)
            strip = Markup(forest.strip(test, both, f"{shown[0]}, then {shown[1]}"))
            estimates = estimate_text(test, both[0]), estimate_text(test, both[1])
            rows.append(ClaimRow(statement.says, name, both[0], both[1], shown, strip, estimates))
    return sorted(rows, key=lambda row: not row.changed)


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The last parts of both paths, from the last part that differs on.

    >>> _names(Path("/a/mine/results"), Path("/a/theirs/results"))
    ('mine/results', 'theirs/results')
    """
    one, other = first.resolve().parts, second.resolve().parts
    for count in range(1, max(len(one), len(other)) + 1):
        if one[-count:] != other[-count:]:
            return "/".join(one[-count:]), "/".join(other[-count:])
    return str(first), str(second)
