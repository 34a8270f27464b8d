"""What a worker sends about its cell, read as if nobody could be trusted: the cell's code ran in the same process."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationError, model_validator
from pydantic_core import from_json

from harness.files.reading import LARGEST_INTEGER
from harness.records.items import MOST_ITEMS, are_outcomes

#: Bytes that one message may have.
MESSAGE_LIMIT = 256_000_000


#: Characters of base64 for the most items that a cell may hand over.
_ITEMS_LIMIT = 4 * (MOST_ITEMS // 3 + 1)


def _decoded(text: object) -> bytes:
    """Outcomes of items from base64. Raises ValueError for what are none."""
    if (
        not isinstance(text, str)
        or len(text) > _ITEMS_LIMIT
        or not are_outcomes(content := b64decode(text, validate=True))
    ):
        raise ValueError("no outcomes of items")
    return content


class Outcome(BaseModel):
    """What came of a cell. Every number is finite."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["done", "failed", "skipped"]
    cause: str | None
    metrics: dict[str, FiniteFloat]
    seconds: Annotated[FiniteFloat, Field(ge=0, le=1e12)]
    peak_bytes: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)] | None
    curves: dict[str, list[tuple[int, FiniteFloat]]]
    #: By metric one byte for each item, 0 or 1.
    items: dict[str, Annotated[bytes, BeforeValidator(_decoded)]] = {}

    @model_validator(mode="after")
    def _check_items(self) -> Self:
        if not self.items.keys() <= self.metrics.keys() or sum(map(len, self.items.values())) > MOST_ITEMS:
            raise ValueError("outcomes of what is no metric, or of too many items")
        return self


class Message(BaseModel):
    """One line that a worker has sent. One of the first four is there."""

    model_config = ConfigDict(extra="forbid")

    progress: Annotated[float, Field(ge=0, le=1)] | None = None
    outcome: Outcome | None = None
    #: Digest of the environment.
    ready: str | None = None
    broken: str | None = None
    environment: dict[str, Any] = {}
    #: Why the worker should run no further cell.
    unfit: str = ""


def parse_message(line: bytes) -> Message | None:
    """A line as a message; None for anything else."""
    try:
        return Message.model_validate(from_json(line, allow_inf_nan=False))
    except (ValueError, ValidationError, RecursionError):
        return None
