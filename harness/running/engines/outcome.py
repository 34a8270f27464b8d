"""What a worker sends about its cell, read as if nobody could be trusted: the cell's code ran in the same process."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from pydantic_core import from_json

from harness.files.reading import LARGEST_INTEGER

#: Bytes that one message may have.
MESSAGE_LIMIT = 256_000_000


class Outcome(BaseModel):
    """What came of a cell. Every number is finite."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["done", "failed", "skipped"]
    cause: str | None
    metrics: dict[str, FiniteFloat]
    seconds: Annotated[FiniteFloat, Field(ge=0, le=1e12)]
    peak_bytes: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)] | None
    curves: dict[str, list[tuple[int, FiniteFloat]]]


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
