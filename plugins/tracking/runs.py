"""One MLflow run as it should be, as plain data. ``experiment`` writes it into a tracking store."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

from harness.judge import Word

#: Tag with the kind of a run, for the search box: tags."harness.kind" = 'claim'.
KIND = "harness.kind"
#: Tag with the key of a run: the setting, seed or claim that it stands for.
KEY = "harness.key"
#: Tag with the digest of everything that a run shows.
CONTENT = "harness.content"
#: Tag with the digest of the code and data that a run's results come from.
STATE = "harness.state"
#: Beginnings of tags that are deleted where the desired run does not have them any more.
TRANSIENT = (
    "claim.",
    "interval",
    "covers",
    "items",
    "cause",
    "would_take",
    "could_have_seen",
    "outlier",
    "averaged",
    "changed",
    "primary",
    "checks",
    "questions",
    "needs",
    "not_finite",
    "verdict",
)
#: MLflow's tag for the colour of a run, which its table and charts show beside the name; and the colour of each word,
#: as the report has them.
COLOUR = "mlflow.runColor"
COLOURS: Mapping[Word | Literal["untestable"], str] = {
    "reproduced": "#1b7a46",
    "contradicted": "#b8322a",
    "inconclusive": "#d69a1c",
    "not-informative": "#7a3e9d",
    "not-run": "#9aa3ad",
    "untestable": "#c9ced6",
}

Kind = Literal["summary", "seed", "claim", "check", "report"]
#: MLflow's own words.
Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
#: Name, value and step of a metric.
Point = tuple[str, float, int]


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
class DesiredRun:
    """One MLflow run as it should be. Equal content gives an equal digest."""

    kind: Kind
    key: str
    name: str
    status: Status
    params: Mapping[str, str] = field(default_factory=dict)
    #: Every value is finite.
    points: tuple[Point, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    data: tuple[DataInput, ...] = ()
    #: Milliseconds since 1970.
    start: int = 0
    #: Milliseconds between start and end.
    duration: int = 0
    #: The key of the run that it is nested under, or "".
    parent: str = ""
    #: Content of each artifact, by path.
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


def split_finite(points: Iterable[Point]) -> tuple[tuple[Point, ...], dict[str, str]]:
    """The points that MLflow can show, and a tag that names the others.

    NaN breaks MLflow's page of a run, and infinity is stored as 1.8e308.

    >>> split_finite([("loss", 0.5, 0), ("norm", math.inf, 0)])
    ((('loss', 0.5, 0),), {'not_finite': 'norm = inf'})
    """
    finite, others = [], []
    for name, value, step in points:
        if math.isfinite(value):
            finite.append((name, float(value), step))
        else:
            others.append(f"{name} = {value}")
    return tuple(finite), {"not_finite": ", ".join(others)}


def tally(verdicts: Iterable[str]) -> str:
    """How many verdicts there are of each kind, decided ones first.

    >>> tally(["not-run", "reproduced", "inconclusive", "reproduced"])
    '2 reproduced, 1 inconclusive, 1 not-run'
    """
    counts = Counter(verdicts)
    return ", ".join(f"{counts[word]} {word}" for word in get_args(Word) if counts[word])


def param_text(value: object) -> str:
    """A value as an MLflow parameter: a string as it is, anything else as JSON.

    >>> param_text("all"), param_text(True), param_text([8, 32])
    ('all', 'true', '8, 32')
    """
    if isinstance(value, list):
        return ", ".join(map(param_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def without_empty(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that have a value."""
    return {name: value for name, value in tags.items() if value}
