"""Comparing a cell's second run with its record: the same bits, within a tolerance, or different."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.cell import Record
from harness.judge import MIN_SEEDS, t_interval

Word = Literal["bit-equal", "within tolerance", "different", "not-run"]
#: Spacing of numbers at 1, by the cell's dtype.
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
#: Share of the half-width of a setting's interval that a repeated seed may be off by.
SHARE = 0.1


@dataclass(frozen=True)
class MetricChange:
    """A metric then and now."""

    name: str
    before: float
    after: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the difference is within the tolerance."""
        return abs(self.after - self.before) <= self.tolerance


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of running one record's cell again."""

    record: Record
    word: Word
    #: Why it was not run, or how it ended where that is the difference.
    cause: str = ""
    #: Every metric that both runs have.
    metrics: Sequence[MetricChange] = ()
    #: Names of the curves that are not the same.
    curves: Sequence[str] = ()
    #: What had changed before anything ran.
    changed: Sequence[str] = ()
    #: What differs in the environments.
    differs: Sequence[str] = ()
    #: Whether a second run here gave the first one's bits; None where there was none.
    repeatable: bool | None = None
    again: Record | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        metrics = {m.name: {**asdict(m), "within": m.within} for m in self.metrics}
        return {
            "record": self.record.id,
            "method": self.record.method,
            "task": self.record.task,
            "options": dict(self.record.options),
            "device": self.record.device,
            "dtype": self.record.dtype,
            "seed": self.record.seed,
            "outcome": self.word,
            "cause": self.cause,
            "metrics": {name: {k: v for k, v in m.items() if k != "name"} for name, m in metrics.items()},
            "curves_that_differ": list(self.curves),
            "changed_before": list(self.changed),
            "environment_differs": list(self.differs),
            "repeatable_here": self.repeatable,
            "rerun_id": self.again.id if self.again else None,
        }


def compare(
    record: Record, again: Record, tolerances: Mapping[str, float], timed: Container[str] = frozenset()
) -> Outcome:
    """Compare a record with a second run of its cell; metrics that are ``timed`` never repeat and are left out."""
    if record.status != again.status:
        cause = f"it was {record.status}, and is {again.status}"
        why = again.cause or record.cause
        return Outcome(record=record, word="different", cause=f"{cause}: {why}" if why else cause, again=again)
    if not record.good:
        same = record.cause == again.cause
        cause = f"it {record.status} again: {again.cause}"
        return Outcome(record=record, word="bit-equal" if same else "different", cause=cause, again=again)
    names = [name for name in record.metrics if name in again.metrics and name not in timed]
    metrics = [MetricChange(n, record.metrics[n], again.metrics[n], tolerances.get(n, 0.0)) for n in names]
    drawn = {name for name in {*record.curves, *again.curves} if name not in timed}
    curves = [name for name in drawn if _points(record, name) != _points(again, name)]
    lost = sorted(set(record.metrics) ^ set(again.metrics))
    cause = f"metrics that only one of both has: {', '.join(lost)}" if lost else ""
    word: Word = "different"
    if not lost and not curves and all(m.before == m.after for m in metrics):
        word = "bit-equal"
    elif not lost and all(m.within for m in metrics):
        word = "within tolerance"
    return Outcome(record=record, word=word, cause=cause, metrics=metrics, curves=sorted(curves), again=again)


def tolerances(record: Record, others: Sequence[Record]) -> dict[str, float]:
    """By metric, how far a second run may be off and still count as the same result.

    The larger of two: half of the digits that the cell's dtype has, sqrt(epsilon) times the value, which is what
    another order of additions may cost a computation that does not amplify it; and a tenth of the half-width of the
    interval over the seeds of the same setting, by which no verdict moves noticeably even if every seed were off by
    as much. ``others`` are all records of the folder.
    """
    peers = [r for r in others if r.good and _setting(r) == _setting(record)]
    found = {}
    for name, value in record.metrics.items():
        rounding = math.sqrt(EPSILON.get(record.dtype, EPSILON["float32"])) * abs(value)
        values = [r.metrics[name] for r in peers if name in r.metrics]
        noise = 0.0
        if len(values) >= MIN_SEEDS:
            interval = t_interval(values)
            noise = SHARE * (interval.high - interval.low) / 2
        found[name] = max(rounding, noise)
    return found


def same_bits(one: Record, other: Record, timed: Container[str] = frozenset()) -> bool:
    """Whether two runs of a cell left the same results, but for metrics that are ``timed``."""
    return compare(one, other, {}, timed).word == "bit-equal"


def _points(record: Record, name: str) -> list[tuple[int, float]]:
    return [(int(step), float(value)) for step, value in record.curves.get(name, ())]


def _setting(record: Record) -> object:
    """What stands still while the seed changes, code and data included."""
    options = tuple(sorted((k, repr(v)) for k, v in record.options.items()))
    return record.method, record.task, options, record.device, record.dtype, record.code, tuple(record.data.items())
