"""Compare a cell's second run with its record: bit-equal, within tolerance, or different, and why."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.cell import Record
from harness.judge import MIN_SEEDS, t_interval
from harness.planning.setting import key_of
from harness_plugins.rerun.changes import is_possible_cause

Word = Literal["bit-equal", "within tolerance", "different", "not-run"]
#: Spacing of numbers at 1, by the cell's dtype.
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
#: A repeated seed may be off by this share of the half-width of its setting's interval.
SHARE = 0.1


@dataclass(frozen=True)
class MetricChange:
    """A metric in the record and in the second run."""

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
    """The second run of one record's cell, compared with the record."""

    record: Record
    word: Word
    #: Why the cell did not run, or how its end differs.
    cause: str = ""
    #: Every metric that both runs have.
    metrics: Sequence[MetricChange] = ()
    #: Names of the curves that differ.
    curves: Sequence[str] = ()
    #: Metrics that both runs have outcomes of items for, with others in each.
    items: Sequence[str] = ()
    #: What had changed before anything ran.
    changed: Sequence[str] = ()
    #: What differs in the environments.
    differs: Sequence[str] = ()
    #: Whether a third run here gave the bits of the second; None where there was none.
    repeatable: bool | None = None
    again: Record | None = field(default=None, repr=False)

    @property
    def explanation(self) -> str:
        """Why the results differ, as far as that is known, in one sentence."""
        causes = [*self.changed, *(d for d in self.differs if is_possible_cause(d) and d not in self.changed)]
        if self.repeatable is False:
            causes.insert(0, "two runs here differ from each other too: the method or the task is not deterministic")
        if causes:
            return "; ".join(causes)
        if self.repeatable:
            return "two runs here agree bit for bit, and no recorded entry of the environment differs"
        return "no recorded entry of the environment differs"

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
            "items_that_differ": list(self.items),
            "changed_before": list(self.changed),
            "environment_differs": list(self.differs),
            "repeatable_here": self.repeatable,
            "rerun_id": self.again.id if self.again else None,
        }


def compare(
    record: Record, again: Record, tolerances: Mapping[str, float], timed: Container[str] = frozenset()
) -> Outcome:
    """Compare a record with a second run of its cell.

    ``timed`` names the metrics and curves that measure time or memory: they never repeat, and do not count.
    """
    if record.status != again.status:
        reason = again.cause or record.cause
        cause = f"status was {record.status}, is {again.status}" + (f": {reason}" if reason else "")
        return Outcome(record=record, word="different", cause=cause, again=again)
    if not record.good:
        word: Word = "bit-equal" if _failed_alike(record, again) else "different"
        return Outcome(record=record, word=word, cause=f"{again.status} again: {again.cause}", again=again)
    names = [name for name in record.metrics if name in again.metrics and name not in timed]
    metrics = [MetricChange(n, record.metrics[n], again.metrics[n], tolerances.get(n, 0.0)) for n in names]
    drawn = {name for name in {*record.curves, *again.curves} if name not in timed}
    curves = [name for name in drawn if _points(record, name) != _points(again, name)]
    # A record from before the task handed over outcomes has none to compare.
    items = sorted(name for name in record.items.keys() & again.items.keys() if record.items[name] != again.items[name])
    missing = sorted(set(record.metrics) ^ set(again.metrics))
    cause = f"metrics that only one run has: {', '.join(missing)}" if missing else ""
    word = "different"
    if not missing and not curves and not items and all(m.before == m.after for m in metrics):
        word = "bit-equal"
    elif not missing and all(m.within for m in metrics):
        word = "within tolerance"
    return Outcome(
        record=record, word=word, cause=cause, metrics=metrics, curves=sorted(curves), items=items, again=again
    )


def _failed_alike(record: Record, again: Record) -> bool:
    """Whether two runs of the same status failed for the same reason.

    What a limit was, and how much memory was held, differs from run to run and does not count.
    """
    out_of_memory = all((r.cause or "").startswith("out of memory") for r in (record, again))
    return record.cause == again.cause or record.status == "timeout" or out_of_memory


def tolerances(record: Record, others: Sequence[Record]) -> dict[str, float]:
    """By metric, how far a second run may be off and still count as the same result.

    The larger of two: half of the digits that the cell's dtype has, sqrt(epsilon) times the value, which is what
    another order of additions may cost a computation that does not amplify it; and a tenth of the half-width of the
    interval over the seeds of the same setting: no verdict moves noticeably, even if every seed is off by as much.
    ``others`` are all records of the folder.
    """
    same_task = [r for r in others if r.good and r.task == record.task and r.method == record.method]
    peers = [r for r in same_task if _setting(r) == _setting(record)]
    tolerance = {}
    for name, value in record.metrics.items():
        rounding = math.sqrt(EPSILON.get(record.dtype, EPSILON["float32"])) * abs(value)
        values = [r.metrics[name] for r in peers if name in r.metrics]
        noise = 0.0
        if len(values) >= MIN_SEEDS:
            interval = t_interval(values)
            noise = SHARE * (interval.high - interval.low) / 2
        tolerance[name] = max(rounding, noise)
    return tolerance


def same_bits(first: Record, second: Record, timed: Container[str] = frozenset()) -> bool:
    """Whether two runs of a cell left the same results, ``timed`` metrics and curves aside."""
    return compare(first, second, {}, timed).word == "bit-equal"


def _points(record: Record, name: str) -> list[tuple[int, float]]:
    return [(int(step), float(value)) for step, value in record.curves.get(name, ())]


def _setting(record: Record) -> object:
    """The setting, and the code and data: a seed's spread is measured only where all three are the same."""
    return key_of(record), record.code, tuple(record.data.items())
