"""Claims: what a paper says, what it printed, and how that is tested here. Read from TOML, checked by pydantic."""

from __future__ import annotations

import math
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
from harness.spec import Scalar

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
    """The task's metric that decides."""
    task: str
    where: Where = {}
    """Restricts the cells: options, or ``device``, ``dtype``. What is not named is averaged over, seed by seed.
    A key does not restrict a method that has no such option."""
    seeds: Literal[1] | None = None
    """1 says that the result does not depend on chance: one seed decides, every setting must hold, and there is no
    interval."""


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


class Claim(_Frozen):
    """One published statement and its test."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+/[a-z0-9][a-z0-9._-]*$")]
    """``plugin/short-name``."""
    says: Annotated[str, Field(min_length=8)]
    """What is claimed, in one sentence of our own."""
    source: Source
    paper: dict[str, Scalar] = {}
    """The printed figures, as data. Empty where only a statement was published."""
    confirmed: bool = True
    """False where the figures could not be checked against the source."""
    fidelity: Literal["exact", "proxy"] = "proxy"
    """``exact``: the paper's data and model. ``proxy``: scaled down or replaced."""
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
        return self


class ClaimFile(_Frozen):
    """A file of claims."""

    claim: list[Claim]


def read_claims(path: Path) -> dict[str, Claim]:
    """Read one file of claims, by id. Raises FileError naming the file, the key, what was found and is allowed."""
    claims: dict[str, Claim] = {}
    for claim in read_toml(path, ClaimFile).claim:
        if claim.id in claims:
            raise FileError(f"{path}: two claims have the id {claim.id!r}; give one of them another")
        claims[claim.id] = claim
    return claims


@dataclass(frozen=True)
class Claims:
    """The claims of all plugins."""

    by_id: Mapping[str, Claim]
    #: Why files could not be read, one sentence each; the claims of the other files are there all the same.
    problems: tuple[str, ...] = ()


@lru_cache(maxsize=8)
def claims_of(registry: Registry) -> Claims:
    """Read the claim files of every plugin."""
    by_id: Names[Claim] = Names("claim")
    problems = []
    for path in registry.claim_files:
        try:
            claims = read_claims(path)
        except FileError as error:
            problems.append(str(error))
            continue
        if taken := [i for i in claims if i in by_id]:
            problems.append(f"{path}: claims that another plugin has too are left out: {', '.join(taken)}")
        by_id.update({i: claim for i, claim in claims.items() if i not in by_id})
    return Claims(by_id, tuple(problems))
