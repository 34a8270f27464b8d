"""The runs of one suite: one for each setting, for each seed in it, for each claim and each check."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.judge import needed_cells, summarise
from harness.judge.studies import judged_cells, with_trials
from harness.numbers import with_interval
from harness.records.anonymous import Anonymiser
from harness.running.execute import now
from harness_plugins.tracking.claim_runs import check_run, claim_run
from harness_plugins.tracking.names import RunNames, setting_digest, state_digest
from harness_plugins.tracking.runs import (
    STATE,
    DataInput,
    DesiredRun,
    Point,
    Status,
    param_text,
    split_finite,
    tally,
    without_empty,
)

if TYPE_CHECKING:
    from harness.cell import Cell, Record, SuiteRun
    from harness.judge import SuiteResult, Summary, Verdict
    from harness.spec import Dataset

#: MLflow's status of a record; of the statuses that are not here it is FAILED.
_STATUSES: Mapping[str, Status] = {"done": "FINISHED", "skipped": "KILLED"}


#: Suites of fewer cells show each as a run: writing one takes MLflow 20 ms.
SEEDS_SHOWN_BELOW = 200
_SEEDS = "HARNESS_TRACKING_SEEDS"


def seeds_become_runs(cells: int) -> bool:
    """Whether the seeds of a suite with so many cells become runs, by $HARNESS_TRACKING_SEEDS or by their number.

    Raises UsageError where the variable is neither "on" nor "off".
    """
    choice = os.environ.get(_SEEDS, "")
    if choice not in ("", "on", "off"):
        raise UsageError(f"{_SEEDS}={choice}: on or off is allowed")
    return choice == "on" if choice else cells < SEEDS_SHOWN_BELOW


def seeds_note(cells: int) -> str:
    """That the seeds of a suite have no runs of their own, and how they get them; "" where they have."""
    if seeds_become_runs(cells):
        return ""
    return f"its {cells} cells are in MLflow as one run for each setting; with {_SEEDS}=on each seed is a run too"


class RunBuilder:
    """Makes the runs of a suite. Names and order come from its cells, content from records and verdicts."""

    def __init__(self, run: SuiteRun) -> None:
        #: Whether each seed becomes a run too, beside its setting.
        self.seeds = seeds_become_runs(len(run.cells))
        self._cells = run.cells
        self._datasets = run.datasets
        self._names = RunNames(run.cells)
        # A store is often shared: it shows no paths and no names of this machine.
        self._text = Anonymiser().text
        settings = dict.fromkeys(setting_digest(cell) for cell in run.cells)
        starts = [run.records[cell.id].started for cell in run.cells if cell.id in run.records]
        latest = _milliseconds(min(filter(None, starts), default=now()))
        # MLflow lists the latest run first: a millisecond between two of them keeps the order of the suite.
        self._starts = {name: latest - place for place, name in enumerate([*settings, *run.claims])}
        #: The start of a run that is listed after all others.
        self.last_start = latest - len(self._starts)

    def all_runs(self, result: SuiteResult) -> Iterator[DesiredRun]:
        """Every run of the suite: each setting before its seeds, claims and checks last."""
        claims, records = result.plan.suite.claims, result.records
        # Trials are settings like any other here; what judges a tuned method stands in the runs of claims.
        measured = summarise(result.scope, records) if result.studies else result.summaries
        summaries = {setting_digest(summary): summary for summary in measured}
        by_setting: dict[str, list[Record]] = {}
        for cell in result.scope:
            if cell.id in records:
                by_setting.setdefault(setting_digest(cell), []).append(records[cell.id])
        sourced = self._verdicts_by_setting(result.sourced, result)
        questions = self._verdicts_by_setting(result.questions, result)
        for setting, own in by_setting.items():
            yield self._setting_run(summaries.get(setting), own, sourced.get(setting, {}), questions.get(setting, {}))
            yield from map(self.seed_run, own if self.seeds else ())
        judged = {verdict.claim for verdict in result.verdicts}
        for verdict in result.verdicts:
            rests_on = result.plan.suite.rests_on.get(verdict.claim, ())
            yield claim_run(claims[verdict.claim], verdict, self._starts[verdict.claim], rests_on)
        for place, verdict in enumerate(result.checks, start=1):
            yield check_run(result.plan.suite.checks[verdict.claim], verdict, self.last_start - place)
        yield from (claim_run(c, None, self._starts[c.id]) for c in claims.values() if c.id not in judged)

    def running_setting(self, record: Record) -> DesiredRun:
        """The run of a setting that has begun and has no estimate yet; ``record`` is its first."""
        return replace(self._setting_run(None, [record], {}, {}), status="RUNNING", duration=0)

    def seed_run(self, record: Record) -> DesiredRun:
        """The run of one cell: its metrics and curves, or why it has none."""
        points = [(name, value, 0) for name, value in record.metrics.items()]
        points += _cost(record.seconds, record.peak_bytes)
        points += [(f"curve/{name}", v, step) for name, curve in record.curves.items() for step, v in curve]
        finite, not_finite = split_finite(points)
        cause, output = self._text(record.cause or ""), self._text(record.output)
        note = f"`{cause}`" if cause else ""
        if output:
            note += f"\n\n```\n{output}\n```"
        tags = {
            "harness.record": record.id,
            "harness.environment": record.environment or "",
            STATE: state_digest(record),
            **not_finite,
            "cause": cause,
            "mlflow.note.content": note,
        }
        return DesiredRun(
            kind="seed",
            key=f"seed {setting_digest(record)} {record.seed}",
            # The seed comes first: MLflow cuts the end of a long name that is nested under its setting.
            name=f"seed {record.seed} · {self._names.of(record)}",
            status=_STATUSES.get(record.status, "FAILED"),
            params={**_params(record), "seed": str(record.seed)},
            points=finite,
            tags=without_empty(tags),
            data=self._data(record),
            start=_milliseconds(record.started),
            duration=round(1000 * record.seconds),
            parent=f"summary {setting_digest(record)}",
        )

    def _setting_run(
        self,
        summary: Summary | None,
        records: Sequence[Record],
        sourced: Mapping[str, str],
        questions: Mapping[str, str],
    ) -> DesiredRun:
        """The run of a setting: its estimates, and by claim the verdicts that rest on it, our own questions apart."""
        first, bad = records[0], [record for record in records if not record.good]
        points, intervals = _estimates(summary) if summary is not None else ([], {})
        finite, not_finite = split_finite(points)
        tags = {
            STATE: state_digest(first),
            **{f"claim.{claim}": verdict for claim, verdict in {**sourced, **questions}.items()},
            **intervals,
            **not_finite,
            "verdicts": tally(sourced.values()),
            "questions": tally(questions.values()),
            "cause": self._text(f"{len(bad)} of {len(records)} seeds: {bad[0].cause}") if bad else "",
        }
        return DesiredRun(
            kind="summary",
            key=f"summary {setting_digest(first)}",
            name=self._names.of(first),
            status="FINISHED" if len(bad) < len(records) else _STATUSES.get(bad[-1].status, "FAILED"),
            params=_params(first),
            points=finite,
            tags=without_empty(tags),
            data=self._data(first),
            start=self._starts[setting_digest(first)],
            duration=round(1000 * sum(record.seconds for record in records)),
        )

    def _verdicts_by_setting(self, verdicts: Iterable[Verdict], result: SuiteResult) -> dict[str, dict[str, str]]:
        """For each setting the verdicts that rest on its cells, by claim; for a trial those that rest on its study."""
        by_id = {cell.id: cell for cell in self._cells}
        judged = judged_cells(result.plan.tunings, self._cells, result.studies)
        by_setting: dict[str, dict[str, str]] = {}
        for verdict in verdicts:
            needed = needed_cells(result.plan.suite.claims[verdict.claim], judged)
            for cell in (by_id[i] for i in with_trials(result.studies, needed)):
                if cell.device == verdict.device:
                    by_setting.setdefault(setting_digest(cell), {})[verdict.claim] = verdict.verdict
        return by_setting

    def _data(self, record: Record) -> tuple[DataInput, ...]:
        return tuple(
            _data_input(name, digest, self._datasets.get(name)) for name, digest in record.data.items() if digest
        )


def _estimates(summary: Summary) -> tuple[list[Point], dict[str, str]]:
    """Estimates and cost of a setting as metrics, and the estimates with their intervals as tags."""
    points: list[Point] = []
    intervals = {}
    for name, estimate in summary.estimates.items():
        values = {name: estimate.mean, f"{name}.low": estimate.low, f"{name}.high": estimate.high}
        points += [(metric, value, 0) for metric, value in values.items() if value is not None]
        intervals[f"interval.{name}"] = with_interval(estimate.mean, estimate.low, estimate.high)
    points += _cost(summary.seconds, summary.peak_bytes)
    return [*points, ("n", summary.n, 0), ("failures", summary.failures, 0)], intervals


def _cost(seconds: float | None, peak_bytes: int | None) -> list[Point]:
    cost = {"seconds": seconds, "peak_mb": None if peak_bytes is None else peak_bytes / 1e6}
    return [(name, value, 0) for name, value in cost.items() if value is not None]


def _params(item: Cell | Record) -> dict[str, str]:
    options = {name: param_text(value) for name, value in item.options.items()}
    return {"method": item.method, "task": item.task, "device": item.device, "dtype": item.dtype, **options}


def _data_input(name: str, digest: str, dataset: Dataset | None) -> DataInput:
    url = next((place.url for place in dataset.places if place.url), "") if dataset else ""
    profile = {"licence": dataset.licence, "files": len(dataset.files)} if dataset else {}
    source_type, source = ("http", {"url": url}) if url else ("local", {"uri": name})
    return DataInput(name, digest[:36], source_type, json.dumps(source), json.dumps(profile))


def _milliseconds(time: str) -> int:
    return round(1000 * datetime.fromisoformat(time).timestamp()) if time else 0
