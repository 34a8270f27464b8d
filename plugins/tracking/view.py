"""What a suite looks like in MLflow: one run for each setting, each seed in it and each claim, as plain data.

Nothing here imports MLflow; `harness_plugins.tracking.writer` writes these views into a tracking store.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from harness.judge import needed_cells, sentence
from harness.judge.verdicts import Word
from harness.running.execute import now

if TYPE_CHECKING:
    from harness.cell import Cell, Record, SuiteRun
    from harness.files.claims import Claim
    from harness.judge import SuiteResult, Summary, Verdict
    from harness.spec import Dataset

#: Tag that holds a run's kind, for the search box: tags."harness.kind" = 'claim'.
KIND = "harness.kind"
#: Tag that says which setting, seed or claim a run stands for, whatever it shows of it.
KEY = "harness.key"
#: Tag that holds the digest of all that a run shows.
CONTENT = "harness.content"
#: Tag that tells results of today's plugin code and data from those of another state.
STATE = "harness.state"
#: Tags that come and go with what is known; one that starts so and that the view no longer has is taken away.
TRANSIENT = ("claim.", "interval", "cause", "not_finite", "verdicts")

Kind = Literal["summary", "seed", "claim", "report"]
#: MLflow's own words.
Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
_OF_RECORD: Mapping[str, Status] = {"done": "FINISHED", "skipped": "KILLED"}


@dataclass(frozen=True)
class DataInput:
    """A data set as MLflow lists it beside a run."""

    name: str
    #: At most 36 characters.
    digest: str
    source_type: str
    #: JSON.
    source: str
    profile: str


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One MLflow run as it should stand. Equal content gives an equal digest."""

    kind: Kind
    key: str
    name: str
    status: Status
    params: Mapping[str, str] = field(default_factory=dict)
    #: Name, value and step; every value is finite.
    points: tuple[tuple[str, float, int], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    data: tuple[DataInput, ...] = ()
    #: Milliseconds since 1970.
    start: int = 0
    #: Milliseconds between start and end.
    duration: int = 0
    #: The key of the run it stands under; "" for one that stands alone.
    parent: str = ""
    #: Files that hang on it, content by path.
    files: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def content(self) -> str:
        """Digest of everything but the start, which only orders the runs."""
        text = json.dumps(asdict(replace(self, start=0)), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def metrics(self) -> set[str]:
        """Names of its metrics."""
        return {name for name, _, _ in self.points}


class SuiteViews:
    """The views of one suite: names and order come from its cells, the content from records and verdicts."""

    def __init__(self, run: SuiteRun) -> None:
        self._cells = run.cells
        self._datasets = run.datasets
        self._varying = varying(run.cells)
        settings = dict.fromkeys(setting(cell) for cell in run.cells)
        started = [run.records[cell.id].started for cell in run.cells if cell.id in run.records]
        base = _milliseconds(min(filter(None, started), default=now()))
        # MLflow lists the latest first: a millisecond between them keeps the order of the suite and its claims.
        self._start = {name: base - place for place, name in enumerate([*settings, *run.claims])}
        #: Before all others: it is listed last.
        self.last_start = base - len(self._start)

    def all(self, result: SuiteResult) -> Iterator[RunView]:
        """Every view of the suite, each setting before its seeds, claims last."""
        claims, records = result.plan.suite.claims, result.records
        estimates = {setting(summary): summary for summary in result.summaries}
        by_setting: dict[str, list[Record]] = {}
        for cell in self._cells:
            if cell.id in records:
                by_setting.setdefault(setting(cell), []).append(records[cell.id])
        decided = self._decided(result.verdicts, claims)
        for name, own in by_setting.items():
            yield self._summary(estimates.get(name), own, decided.get(name, {}))
            yield from (self.seed(record) for record in own)
        judged = {verdict.claim for verdict in result.verdicts}
        yield from (self._claim(claims[verdict.claim], verdict) for verdict in result.verdicts)
        yield from (self._claim(c, None) for c in claims.values() if c.id not in judged)

    def waiting(self, record: Record) -> RunView:
        """A setting that has begun to run and has no estimate yet."""
        return replace(self._summary(None, [record], {}), status="RUNNING", duration=0)

    def seed(self, record: Record) -> RunView:
        """One cell's run: its metrics and curves, or why it has none."""
        points = [(name, value, 0) for name, value in record.metrics.items()]
        points += [(name, value, 0) for name, value in _cost(record.seconds, record.peak_bytes)]
        points += [(f"curve/{name}", v, step) for name, curve in record.curves.items() for step, v in curve]
        finite, left_out = _finite(points)
        tags = {
            "harness.record": record.id,
            "harness.environment": record.environment or "",
            STATE: state(record),
        }
        note = f"`{record.cause}`" if record.cause else ""
        if record.output:
            note += f"\n\n```\n{record.output}\n```"
        return RunView(
            kind="seed",
            key=f"seed {setting(record)} {record.seed}",
            # The seed first: under its setting a long name is cut at its end.
            name=f"seed {record.seed} · {self._name(record)}",
            status=_OF_RECORD.get(record.status, "FAILED"),
            params={**_params(record), "seed": str(record.seed)},
            points=finite,
            tags=_without_empty({**tags, **left_out, "cause": record.cause or "", "mlflow.note.content": note}),
            data=self._data(record),
            start=_milliseconds(record.started),
            duration=round(1000 * record.seconds),
            parent=f"summary {setting(record)}",
        )

    def _summary(self, summary: Summary | None, records: Sequence[Record], decided: Mapping[str, str]) -> RunView:
        bad = [r for r in records if not r.good]
        points: list[tuple[str, float, int]] = []
        intervals: dict[str, str] = {}
        if summary is not None:
            for name, interval in summary.estimates.items():
                bounds = {name: interval.mean, f"{name}.low": interval.low, f"{name}.high": interval.high}
                points += [(bound, value, 0) for bound, value in bounds.items() if value is not None]
                intervals[f"interval.{name}"] = _interval(interval.mean, interval.low, interval.high)
            points += [(name, value, 0) for name, value in _cost(summary.seconds, summary.peak_bytes)]
            points += [("n", summary.n, 0), ("failures", summary.failures, 0)]
        finite, left_out = _finite(points)
        status = "FINISHED" if len(bad) < len(records) else _OF_RECORD.get(bad[-1].status, "FAILED")
        return RunView(
            kind="summary",
            key=f"summary {setting(records[0])}",
            name=self._name(records[0]),
            status=status,
            params=_params(records[0]),
            points=finite,
            tags=_without_empty(
                {
                    STATE: state(records[0]),
                    **{f"claim.{claim}": verdict for claim, verdict in decided.items()},
                    **intervals,
                    **left_out,
                    "verdicts": _count(decided.values()),
                    "cause": f"{len(bad)} of {len(records)} seeds: {bad[0].cause}" if bad else "",
                }
            ),
            data=self._data(records[0]),
            start=self._start[setting(records[0])],
            duration=round(1000 * sum(r.seconds for r in records)),
        )

    def _claim(self, claim: Claim, verdict: Verdict | None) -> RunView:
        """A claim's run; without a verdict where it has no test."""
        figures = {f"paper.{name}": value for name, value in claim.paper.items()}
        points = [(name, float(value), 0) for name, value in figures.items() if not isinstance(value, (str, bool))]
        device, word, cause, said = "", "not-run", claim.untestable, f"not run: {claim.untestable}"
        if verdict is not None:
            device, word, cause, said = verdict.device, verdict.verdict, verdict.cause, sentence(verdict, claim)
            names = ("estimate", "low", "high", "p", "p_holm", "n", "seeds_needed")
            measured = {**{name: getattr(verdict, name) for name in names}, **_sides(claim, verdict)}
            points += [(name, float(value), 0) for name, value in measured.items() if value is not None]
        finite, left_out = _finite(points)
        source = " ".join((claim.source.article, claim.source.id)).strip()
        tags = {
            **{name: str(value) for name, value in figures.items() if isinstance(value, (str, bool))},
            "verdict": word,
            "interval": _interval(verdict.estimate, verdict.low, verdict.high) if verdict else "",
            "verdict.holm": verdict.holm_verdict if verdict else "",
            "scale": verdict.scale if verdict else "",
            "says": claim.says,
            "source": source,
            "fidelity": claim.fidelity,
            "cause": cause,
            "sentence": said,
        }
        note = f"**{claim.says}**\n\n{said}\n\nSource: {source} ({claim.fidelity})\n\n{claim.note}"
        return RunView(
            kind="claim",
            key=f"claim {claim.id} {device}",
            name=claim.id if device in ("", "cpu") else f"{claim.id} · {device}",
            status="SCHEDULED" if word == "not-run" else "FINISHED",
            params=_without_empty({**_test_params(claim), "device": device}),
            points=finite,
            tags=_without_empty({**tags, **left_out, "mlflow.note.content": note.strip()}),
            start=self._start[claim.id],
        )

    def _decided(self, verdicts: Iterable[Verdict], claims: Mapping[str, Claim]) -> dict[str, dict[str, str]]:
        """By setting, the verdicts that rest on its runs."""
        by_id = {cell.id: cell for cell in self._cells}
        found: dict[str, dict[str, str]] = {}
        for verdict in verdicts:
            needed = (by_id[i] for i in needed_cells(claims[verdict.claim], self._cells))
            for cell in needed:
                if cell.device == verdict.device:
                    found.setdefault(setting(cell), {})[verdict.claim] = verdict.verdict
        return found

    def _name(self, item: Cell | Record) -> str:
        """The method, and what tells its runs from others: the options that vary in the suite, then the task.

        MLflow's table cuts a long name at its end, so what differs most often stands first.
        """
        varying = self._varying.get(item.task, set())
        parts = [item.method]
        parts += [f"{name}={_text(value)}" for name, value in item.options.items() if name in varying]
        parts += [item.device] if item.device != "cpu" or "device" in varying else []
        parts += [item.dtype] if item.dtype != "float32" or "dtype" in varying else []
        parts += [item.task] if len(self._varying) > 1 else []
        return " · ".join(parts)

    def _data(self, record: Record) -> tuple[DataInput, ...]:
        return tuple(
            _data_input(name, digest, self._datasets.get(name)) for name, digest in record.data.items() if digest
        )


def setting(item: Cell | Record | Summary) -> str:
    """Digest of what stands still while the seed changes, 16 hexadecimal digits."""
    text = json.dumps([item.method, item.task, dict(item.options), item.device, item.dtype], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def state(record: Record) -> str:
    """Digest of the plugins' code and the data that a record comes from, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps([record.code, dict(record.data)], sort_keys=True).encode()).hexdigest()[:16]


def varying(cells: Iterable[Cell]) -> dict[str, set[str]]:
    """By task, the axes that take more than one value under one method."""
    values: dict[tuple[str, str], dict[str, set[Any]]] = {}
    for cell in cells:
        of_pair = values.setdefault((cell.task, cell.method), {})
        for name, value in (*cell.options.items(), ("device", cell.device), ("dtype", cell.dtype)):
            of_pair.setdefault(name, set()).add(value)
    found: dict[str, set[str]] = {}
    for (task, _), axes in values.items():
        found.setdefault(task, set()).update(name for name, seen in axes.items() if len(seen) > 1)
    return found


def _params(item: Cell | Record) -> dict[str, str]:
    named = {name: _text(value) for name, value in item.options.items()}
    return {"method": item.method, "task": item.task, "device": item.device, "dtype": item.dtype, **named}


def _test_params(claim: Claim) -> dict[str, str]:
    """A claim's test under the keys that the other runs use; a restriction to several values lists them."""
    if claim.test is None:
        return {}
    test = claim.test.model_dump(exclude_defaults=True)
    where = test.pop("where", {})
    return {name: _text(value) for name, value in {**where, **test}.items()}


def _sides(claim: Claim, verdict: Verdict) -> dict[str, float | None]:
    """What was measured here for each side of a comparison, named as the paper's figures are."""
    method, than = getattr(claim.test, "method", None), getattr(claim.test, "than", None)
    if verdict.scale == "gap" or than in (None, method):
        return {"here.a": verdict.a, "here.b": verdict.b} if verdict.b is not None else {f"here.{method}": verdict.a}
    return {f"here.{method}": verdict.a, f"here.{than}": verdict.b}


def _cost(seconds: float | None, peak_bytes: int | None) -> list[tuple[str, float]]:
    known = [] if seconds is None else [("seconds", seconds)]
    return known if peak_bytes is None else [*known, ("peak_mb", peak_bytes / 1e6)]


def _finite(
    points: Iterable[tuple[str, float, int]],
) -> tuple[tuple[tuple[str, float, int], ...], dict[str, str]]:
    """The points that MLflow can show, and a tag that names the others.

    NaN breaks its run page and infinity is stored as 1.8e308.
    """
    kept, left_out = [], []
    for name, value, step in points:
        if math.isfinite(value):
            kept.append((name, float(value), step))
        else:
            left_out.append(f"{name} = {value}")
    return tuple(kept), {"not_finite": ", ".join(left_out)}


def _interval(mean: float | None, low: float | None, high: float | None) -> str:
    """An estimate for the eye, to the digits that its interval's width gives meaning to.

    >>> _interval(0.870841, 0.866256, 0.875426), _interval(2.0, None, None), _interval(None, None, None)
    ('0.8708 [0.8663, 0.8754]', '2', '')
    """
    if mean is None:
        return ""
    if low is None or high is None:
        return f"{mean:.6g}"
    width = high - low
    if not 0 < width < math.inf:
        return f"{mean:.6g} [{low:.6g}, {high:.6g}]"
    digits = min(max(1 - math.floor(math.log10(width)), 0), 9)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _count(verdicts: Iterable[str]) -> str:
    """How often each verdict stands there, decided ones first.

    >>> _count(["not-run", "reproduced", "inconclusive", "reproduced"])
    '2 reproduced, 1 inconclusive, 1 not-run'
    """
    found = Counter(verdicts)
    return ", ".join(f"{found[word]} {word}" for word in get_args(Word) if found[word])


def _data_input(name: str, digest: str, dataset: Dataset | None) -> DataInput:
    url = next((place.url for place in dataset.places if place.url), "") if dataset else ""
    profile = {"licence": dataset.licence, "files": len(dataset.files)} if dataset else {}
    kind, source = ("http", {"url": url}) if url else ("local", {"uri": name})
    return DataInput(name, digest[:36], kind, json.dumps(source), json.dumps(profile))


def _text(value: object) -> str:
    """A value as a parameter: a string as it is, anything else as JSON.

    >>> _text("all"), _text(True), _text([8, 32])
    ('all', 'true', '8, 32')
    """
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    return value if isinstance(value, str) else json.dumps(value)


def _without_empty(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value}


def _milliseconds(time: str) -> int:
    return round(1000 * datetime.fromisoformat(time).timestamp()) if time else 0
