"""Claims: what a paper says, what it printed, and how that is tested here. Read from TOML, checked by pydantic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.errors import FileError
from harness.files.toml import StrictScalar, read_toml
from harness.registry import Registry
from harness.registry.registry import Names
from harness.spec import Scalar, Task

#: Option or axis name to the value, or the values, it must have.
Where = dict[str, StrictScalar | list[StrictScalar]]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Source(_Frozen):
    """Where the statement stands."""

    article: str
    """The paper or article, as an address without its scheme or as an arXiv number. Claims that share it are
    one family for Holm's correction."""
    id: str = ""
    """Its number in our notes on the article."""
    also: list[str] = []
    """Further places that state the same or give the figures."""


class _Test(_Frozen):
    metric: str
    """The task's metric that decides. Where the task declares it deterministic there is no interval, and every
    setting must hold; on any other metric the verdict is over seeds."""
    task: str | Annotated[list[str], Field(min_length=2)]
    """The task, or several whose average is judged, seed by seed."""
    where: Where = {}
    """Restricts the cells: options, or ``device``, ``dtype``. What is not named is averaged over, seed by seed.
    A key does not restrict a method that has no such option."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task, or each of several."""
        return (self.task,) if isinstance(self.task, str) else tuple(self.task)


class _Contrast(_Test):
    method: str
    than: str | None = None
    """The other method; the same one when only ``than_where`` is given."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every method it speaks of."""
        return (self.method, self.than) if self.than else (self.method,)

    each: bool = False
    """True: it must hold in each setting, and the verdict is that of the weakest. False: of the average."""


class Greater(_Contrast):
    """``method`` is better than ``than`` (or than the number ``value``) by more than ``by``."""

    kind: Literal["greater"]
    than_where: Where | None = None
    """The other side's settings, where they are not the same as ``where``. What only one of them names holds for
    both: equal settings are compared, but for the options that both name."""
    value: Finite | None = None
    by: Finite = 0.0
    """Margin, in the metric's unit, in the direction that is better."""
    gap_than_where: Where | None = None
    """Tests a difference of differences: how much larger the gap between ``method`` and ``than`` is under
    ``where`` than under these settings."""

    @model_validator(mode="after")
    def _sides(self) -> Greater:
        if (self.value is None) == (self.than is None and self.than_where is None):
            raise ValueError("give either value, or than and/or than_where")
        if self.gap_than_where is not None and self.than is None:
            raise ValueError("gap_than_where compares two gaps between method and than: than is missing")
        if self.gap_than_where is not None and self.than_where is not None:
            raise ValueError("give gap_than_where or than_where, not both")
        return self


class Equal(_Contrast):
    """``method`` and ``than`` differ by less than ``tol`` (two one-sided tests)."""

    kind: Literal["equal"]
    than_where: Where | None = None
    tol: Positive

    @model_validator(mode="after")
    def _sides(self) -> Equal:
        if self.than is None and self.than_where is None:
            raise ValueError("give than, than_where or both")
        return self


class Reaches(_Contrast):
    """``method`` comes within ``tol`` of a printed ``value``."""

    kind: Literal["reaches"]
    than: None = None
    value: Finite
    tol: Positive
    value_runs: Literal["exact"] | Annotated[int, Field(ge=1, strict=True)] = 1
    """Of how many runs the printed value is the mean: it is a draw of chance itself, and so the interval is wider.
    "exact" for a number without chance: a constant, a closed form, a count of parameters."""


class Ratio(_Contrast):
    """``method`` is more than ``by`` times as good as ``than``, judged on the log scale; the metric is positive.

    "As good" is method / than where higher is better and than / method where lower is.
    """

    kind: Literal["ratio"]
    than_where: Where | None = None
    by: Positive

    @model_validator(mode="after")
    def _sides(self) -> Ratio:
        if self.than is None and self.than_where is None:
            raise ValueError("give than, than_where or both")
        return self


class Holds(_Test):
    """A count of violations, ``metric``, is zero in every cell of every ``method`` named."""

    kind: Literal["holds"]
    method: str | list[str]

    @property
    def names(self) -> tuple[str, ...]:
        """Every method it speaks of."""
        return (self.method,) if isinstance(self.method, str) else tuple(self.method)


Test = Annotated[Greater | Equal | Reaches | Ratio | Holds, Field(discriminator="kind")]


Id = Annotated[str, Field(pattern=r"^[a-z0-9_]+/[a-z0-9][a-z0-9._-]*$")]
Sentence = Annotated[str, Field(min_length=8)]


class Check(_Frozen):
    """What must hold before claims on a task can be judged there at all."""

    id: Id
    """``plugin/short-name``."""
    says: Sentence
    """What must hold, in one sentence."""
    kind: Literal["precondition", "control"] = "precondition"
    """``precondition``: the experiment is one in which the claim could show. ``control``: an effect of known direction
    is seen, or the same thing twice is not told apart."""
    inherited: bool = False
    """True: every claim with chance in it on the same task rests on it. False: those that name it."""
    test: Test


class Claim(_Frozen):
    """One statement and its test."""

    id: Id
    """``plugin/short-name``."""
    says: Sentence
    """What is claimed, in one sentence of our own."""
    source: Source
    origin: Literal["article", "paper", "peer", "ours"] = "ours"
    """Who said it: the article, the authors of the technique, somebody else's replication; or ``ours``, a question
    that we ask ourselves, which is counted and corrected apart from what the sources claim."""
    primary: bool = False
    """True for the one or two claims that the article stands for: each is judged alone, the other claims of the
    article are corrected for their number."""
    paper: dict[str, Scalar] = {}
    """The printed figures, as data. Empty where only a statement was published."""
    confirmed: bool = True
    """False where the figures could not be checked against the source."""
    fidelity: Literal["identity", "recomputed", "exact", "near", "proxy"] = "proxy"
    """``identity``: algebra or arithmetic, no chance. ``recomputed``: the source's own printed numbers, computed again.
    ``exact``: its data, model and protocol. ``near``: its data; another model or a shorter budget. ``proxy``: other
    data."""
    checks: list[Id] = []
    """Checks that it rests on beside those it inherits."""
    note: str = ""
    """Why our figure and the printed one may not be comparable, or what to mind when reading the verdict."""
    test: Test | None = None
    untestable: str = ""
    """Why it has no test, where it has none."""

    @field_validator("paper")
    @classmethod
    def _finite(cls, paper: dict[str, Scalar]) -> dict[str, Scalar]:
        for name, value in paper.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} = {value}: a finite number is needed")
        return paper

    @model_validator(mode="after")
    def _testable(self) -> Claim:
        if (self.test is None) == (not self.untestable):
            raise ValueError("give either test, or untestable with the reason")
        if self.primary and self.origin == "ours":
            raise ValueError('primary = true is for what a source stands for; with origin = "ours" leave it out')
        return self

    @property
    def without_chance(self) -> bool:
        """Whether it states what holds in every draw, or recomputes printed numbers."""
        return self.fidelity in ("identity", "recomputed")


class ClaimFile(_Frozen):
    """A file of claims."""

    claim: list[Claim] = []
    check: list[Check] = []


@dataclass(frozen=True)
class Claims:
    """The claims and checks of a file, or of all plugins, by id."""

    by_id: Mapping[str, Claim]
    checks: Mapping[str, Check]
    #: Why files could not be read, one sentence each; the claims of the other files are there all the same.
    problems: tuple[str, ...] = ()


def read_claims(path: Path) -> Claims:
    """Read one file of claims. Raises FileError naming the file, the key, what was found and is allowed."""
    content = read_toml(path, ClaimFile)
    for noun, items in (("claims", content.claim), ("checks", content.check)):
        ids = Counter(item.id for item in items)
        if twice := [name for name, count in ids.items() if count > 1]:
            raise FileError(f"{path}: two {noun} have the id {twice[0]!r}; give one of them another")
    return Claims({claim.id: claim for claim in content.claim}, {check.id: check for check in content.check})


@lru_cache(maxsize=8)
def claims_of(registry: Registry) -> Claims:
    """Read the claim files of every plugin."""
    by_id: Names[Claim] = Names("claim")
    checks: Names[Check] = Names("check")
    problems = []
    for path in registry.claim_files:
        try:
            content = read_claims(path)
        except FileError as error:
            problems.append(str(error))
            continue
        for noun, taken in (("claims", by_id.keys() & content.by_id), ("checks", checks.keys() & content.checks)):
            if taken:
                problems.append(f"{path}: {noun} that another plugin has too are left out: {', '.join(sorted(taken))}")
        by_id.update({name: claim for name, claim in content.by_id.items() if name not in by_id})
        checks.update({name: check for name, check in content.checks.items() if name not in checks})
    return Claims(by_id, checks, tuple(problems))


def has_chance(claim: Claim | Check, tasks: Mapping[str, Task]) -> bool:
    """Whether chance has a part in what is tested.

    It has none in an identity, in printed numbers computed again, and in a metric that every task of the test declares
    deterministic.
    """
    if claim.test is None or (isinstance(claim, Claim) and claim.without_chance):
        return False
    metrics = [tasks[name].metrics.get(claim.test.metric) for name in claim.test.tasks if name in tasks]
    return not metrics or not all(metric is not None and metric.deterministic for metric in metrics)


def checks_of(claim: Claim, registry: Registry) -> tuple[str, ...]:
    """Ids of the checks that a claim rests on: those it names, and those that its tasks hand on to it."""
    if claim.test is None:
        return ()
    tasks, chance = set(claim.test.tasks), has_chance(claim, registry.tasks)
    inherited = [
        check.id
        for check in claims_of(registry).checks.values()
        if chance and check.inherited and tasks & set(check.test.tasks)
    ]
    return tuple(dict.fromkeys([*claim.checks, *inherited]))
