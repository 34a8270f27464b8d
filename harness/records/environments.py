"""Environments on disk: a file each, named by the digest of its content, which says whether it is still what it was."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from harness.records.provenance import environment_digest

#: A file of this size would be no environment.
_MOST_BYTES = 4_000_000
_Entries = dict[str, bool | int | float | str | None]


class _Gpu(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    name: str | None = None
    memory_bytes: int | None = None


class _Plugin(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    version: str | None = None
    code: str | None = None


class _Environment(BaseModel):
    """The types of the entries that views look at. Each may be missing: an older harness may not have recorded it."""

    model_config = ConfigDict(strict=True, extra="allow")

    python: str | None = None
    platform: str | None = None
    machine: str | None = None
    cpu: str | None = None
    cpus: int | None = None
    device: str | None = None
    threads: int | None = None
    source: dict[str, str | bool | None] | None = None
    packages: dict[str, str] | None = None
    plugins: dict[str, _Plugin] | None = None
    blas: list[_Entries] | None = None
    torch: _Entries | None = None
    switches: dict[str, str | None] | None = None
    gpu: _Gpu | None = None


def is_digest(name: str) -> bool:
    """Whether a name is that of an environment: 16 hexadecimal digits, which lead to no other folder.

    >>> is_digest("55b7d539b424ff23"), is_digest("../seals")
    (True, False)
    """
    return re.fullmatch("[0-9a-f]{16}", name) is not None


def environment_files(folder: Path) -> Iterator[Path]:
    """The files of a results folder's environments, damaged ones too."""
    with suppress(OSError):
        yield from sorted(path for path in (folder / "environments").iterdir() if path.suffix == ".json")


def read_environment(path: Path) -> dict[str, Any] | Literal["missing", "damaged"]:
    """An environment, or why there is none. One whose content does not have the digest that names it is damaged."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "damaged"
    if len(text) > _MOST_BYTES:
        return "damaged"
    try:
        content: dict[str, Any] = from_json(text, allow_inf_nan=False)
        _Environment.model_validate(content)
    except ValueError:
        return "damaged"
    return content if environment_digest(content) == path.stem else "damaged"


def write_environment(folder: Path, digest: str, environment: Mapping[str, Any]) -> None:
    """Write an environment under its digest, unless it is there already."""
    target = folder / "environments" / f"{digest}.json"
    if isinstance(read_environment(target), dict):
        return
    draft = target.with_name(f".{digest}.{os.getpid()}.tmp")
    draft.unlink(missing_ok=True)
    # A new file takes the place of what has this name: through no link is anything written.
    with draft.open("x", encoding="utf-8") as stream:
        stream.write(json.dumps(environment, indent=1, sort_keys=True))
    draft.replace(target)
