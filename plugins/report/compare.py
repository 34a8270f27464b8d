"""Two results folders side by side: what changed between them, with an interval, and whether it is noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from harness.cell import Record
from harness.errors import UsageError
from harness.judge import MIN_SEEDS, Interval, SuiteResult, Verdict, holm, judged_suites, p_values, t_interval
from harness.judge.pairing import tested
from harness.numbers import number, with_half, with_interval
from harness.planning.request import Request
from harness.registry import Registry
from harness.spec import Scalar
from harness_plugins.report import forest
from harness_plugins.report.page import environments, finding, slug

Word = Literal["same bits", "noise", "differs", "too few seeds"]
#: Two-sided: both directions are looked for.
ALPHA = 0.05


@dataclass(frozen=True)
class ClaimRow:
    """One claim with its verdict in both folders."""

    says: str
    id: str
    first: Verdict
    second: Verdict
    strip: Markup
    findings: tuple[str, str]

    @property
    def changed(self) -> bool:
        """Whether the verdicts are not the same."""
        return self.first.verdict != self.second.verdict


@dataclass(frozen=True)
class Difference:
    """One metric of one setting in both folders; the difference is the second minus the first."""

    task: str
    setting: str
    metric: str
    means: tuple[float, float]
    n: int
    interval: Interval | None
    word: Word
    p: float | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """Its row in the table."""
        found = self.interval
        middle = self.means[1] - self.means[0]
        ends = (found.low, found.high) if found is not None and found.sd else (None, None)
        return (
            self.setting,
            self.metric,
            number(self.means[0]),
            number(self.means[1]),
            with_interval(middle, *ends),
            str(self.n),
            self.word,
        )


@dataclass(frozen=True)
class SuitePair:
    """One suite in both folders."""

    anchor: str
    name: str
    title: str
    claims: Sequence[ClaimRow]
    differences: Mapping[str, Sequence[Difference]]
    costs: Sequence[tuple[str, ...]]
    alone: Sequence[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many differences there are of each kind."""
        words = [d.word for rows in self.differences.values() for d in rows]
        return {word: words.count(word) for word in dict.fromkeys(words)}


@dataclass(frozen=True)
class Comparison:
    """Everything the template shows."""

    names: tuple[str, str]
    folders: tuple[str, str]
    environment: Sequence[tuple[str, str, str]]
    suites: Sequence[SuitePair]
    only: Sequence[str]


def compare(registry: Registry, requests: tuple[Request, Request], suites: Sequence[str] = ()) -> Comparison:
    """Put two folders side by side. Raises UsageError where they share no suite."""
    first, second = ({r.plan.suite.name: r for r in judged_suites(registry, suites, one)} for one in requests)
    shared = [name for name in first if name in second and first[name].records and second[name].records]
    if not shared:
        raise UsageError(f"{requests[0].folder} and {requests[1].folder} have no records of the same suite")
    folders = requests[0].folder, requests[1].folder
    return Comparison(
        names=_names(*folders),
        folders=(str(folders[0]), str(folders[1])),
        environment=_environments(folders, first, second),
        suites=[_pair(first[name], second[name]) for name in shared],
        only=sorted((first.keys() | second.keys()) - set(shared)),
    )


def _pair(one: SuiteResult, other: SuiteResult) -> SuitePair:
    suite = one.plan.suite
    judged: dict[tuple[str, int], list[Verdict]] = {}
    for result in (one, other):
        seen: dict[str, int] = {}
        for verdict in result.verdicts:
            # Two devices of one claim are compared in order: cpu with cuda where each folder has one of them.
            place = seen.get(verdict.claim, 0)
            seen[verdict.claim] = place + 1
            judged.setdefault((verdict.claim, place), []).append(verdict)
    claims = []
    for (name, _), both in judged.items():
        if len(both) == 2:
            claim = suite.claims[name]
            test = tested(claim)
            strip = Markup(forest.strip(test, both, f"{both[0].verdict}, then {both[1].verdict}"))
            found = finding(test, both[0]), finding(test, both[1])
            claims.append(ClaimRow(claim.says, name, both[0], both[1], strip, found))
    rows, alone = differences(list(one.records.values()), list(other.records.values()))
    by_task: dict[str, list[Difference]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
    return SuitePair(
        anchor=slug("suite", suite.name),
        name=suite.name,
        title=suite.title,
        claims=sorted(claims, key=lambda row: not row.changed),
        differences=by_task,
        costs=_costs(list(one.records.values()), list(other.records.values())),
        alone=alone,
    )


def differences(one: Sequence[Record], other: Sequence[Record]) -> tuple[list[Difference], list[str]]:
    """The differences of every metric in every setting that both have, and the settings that only one has.

    Differences are taken seed by seed: one seed draws the same numbers everywhere. Settings are matched without the
    device where each side has a single one. Holm's correction goes over all rows that rest on chance.
    """
    before, after = _by_setting(one), _by_setting(other)
    every = [dict(setting[1]) for setting in {**before, **after}]
    rows = []
    for setting in before:
        if setting not in after:
            continue
        shared = sorted(before[setting].keys() & after[setting].keys())
        metrics = dict.fromkeys(m for seed in shared for m in before[setting][seed].metrics)
        for metric in metrics:
            pairs = [
                (before[setting][s].metrics[metric], after[setting][s].metrics[metric])
                for s in shared
                if metric in before[setting][s].metrics and metric in after[setting][s].metrics
            ]
            if pairs:
                rows.append(_difference(setting[0], _label(dict(setting[1]), every), metric, pairs))
    tested_rows = [i for i, row in enumerate(rows) if row.p is not None]
    adjusted = holm([rows[i].p or 0.0 for i in tested_rows])
    for i, p in zip(tested_rows, adjusted, strict=True):
        rows[i] = replace(rows[i], word="differs" if p <= ALPHA else "noise", p=p)
    alone = [
        f"{task} {_label(dict(s), every)}"
        for task, s in {**before, **after}
        if (task, s) not in before or (task, s) not in after
    ]
    return rows, alone


def _difference(task: str, setting: str, metric: str, pairs: Sequence[tuple[float, float]]) -> Difference:
    n = len(pairs)
    means = math.fsum(a for a, _ in pairs) / n, math.fsum(b for _, b in pairs) / n
    if all(a == b for a, b in pairs):
        return Difference(task, setting, metric, means, n, None, "same bits")
    if n < MIN_SEEDS:
        return Difference(task, setting, metric, means, n, None, "too few seeds")
    interval = t_interval([b - a for a, b in pairs], scale=max(max(abs(a), abs(b)) for a, b in pairs))
    # Above zero or below it: twice the smaller one-sided p-value.
    p = min(1.0, 2 * min(p_values(interval, (0.0, math.inf))))
    return Difference(task, setting, metric, means, n, interval, "noise", p)


Setting = tuple[str, tuple[tuple[str, Scalar], ...]]


def _by_setting(records: Sequence[Record]) -> dict[Setting, dict[int, Record]]:
    """Good records by task and setting, then by seed."""
    good = [record for record in records if record.good]
    devices = {record.device for record in good}
    found: dict[Setting, dict[int, Record]] = {}
    for record in good:
        axes: dict[str, Any] = {"method": record.method, **record.options, "dtype": record.dtype}
        if len(devices) > 1:
            axes["device"] = record.device
        found.setdefault((record.task, tuple(axes.items())), {})[record.seed] = record
    return found


def _label(setting: Mapping[str, Scalar], every: Sequence[Mapping[str, Scalar]]) -> str:
    """The method, and the options that take more than one value under it."""
    own = [one for one in every if one["method"] == setting["method"]]
    varying = [name for name in setting if len({repr(one.get(name)) for one in own}) > 1]
    return " ".join([str(setting["method"]), *(f"{name}={setting[name]}" for name in varying)])


def _costs(one: Sequence[Record], other: Sequence[Record]) -> list[tuple[str, ...]]:
    """Seconds by task and setting: both means, and how many times as long the second took."""
    before, after = _by_setting(one), _by_setting(other)
    every = [dict(setting[1]) for setting in {**before, **after}]
    rows = []
    for setting in before:
        shared = sorted(before[setting].keys() & after.get(setting, {}).keys())
        pairs = [(before[setting][s].seconds, after[setting][s].seconds) for s in shared]
        if not pairs or min(x for pair in pairs for x in pair) <= 0:
            continue
        logs = [math.log(b / a) for a, b in pairs]
        middle = math.exp(math.fsum(logs) / len(logs))
        told = number(middle)
        if len(logs) >= 3:
            interval = t_interval(logs, scale=1.0)
            ends = (math.exp(interval.low), math.exp(interval.high)) if interval.sd else (None, None)
            told = with_interval(middle, *ends)
        seconds = [with_half(math.fsum(column) / len(pairs), None, None) for column in zip(*pairs, strict=True)]
        rows.append((setting[0], _label(dict(setting[1]), every), *seconds, f"{told} ×"))
    return rows


def _names(one: Path, other: Path) -> tuple[str, str]:
    """What the folders are called: the last parts of their paths that differ."""
    a, b = one.resolve().parts, other.resolve().parts
    for count in range(1, max(len(a), len(b)) + 1):
        if a[-count:] != b[-count:]:
            return "/".join(a[-count:]), "/".join(b[-count:])
    return str(one), str(other)


def _environments(
    folders: tuple[Path, Path], one: Mapping[str, SuiteResult], other: Mapping[str, SuiteResult]
) -> list[tuple[str, str, str]]:
    """Entries of both environments that are not the same."""
    both = []
    for folder, results in zip(folders, (one, other), strict=True):
        found = environments(folder, [r for result in results.values() for r in result.records.values()])
        entries: dict[str, list[str]] = {}
        for environment in found:
            for name, value in _flat(environment):
                entries.setdefault(name, []).append(value)
        both.append({name: ", ".join(dict.fromkeys(values)) for name, values in entries.items()})
    names = [name for name in {**both[0], **both[1]} if name not in ("digest", "records")]
    return [(n, both[0].get(n, "–"), both[1].get(n, "–")) for n in names if both[0].get(n) != both[1].get(n)]


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in content.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            found += [pair for i, one in enumerate(value) for pair in _flat({str(i): one}, f"{prefix}{name}.")]
        else:
            found.append((f"{prefix}{name}", str(value)))
    return found
