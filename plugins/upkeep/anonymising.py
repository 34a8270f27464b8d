"""Write a copy of a results folder that can be shared: see ``harness/records/anonymous.py`` for what it leaves out."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.cell import Record
from harness.errors import UsageError
from harness.records import RecordsFile, parse_record
from harness.records.anonymous import Anonymiser
from harness.records.environments import read_environment, write_environment
from harness.records.lines import damaged_lines
from harness.records.provenance import environment_digest
from harness.records.seals import NAME as SEALS
from harness.records.seals import read_seals
from harness.registry import Registry
from harness_plugins.upkeep.folders import check_has_records
from harness_plugins.upkeep.merging import copy_items

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Copied:
    """What a copy holds."""

    records: int
    #: Records of which more than the name of the environment was rewritten.
    rewritten: int
    environments: int


def anonymise(folder: Path, target: Path, registry: Registry) -> Copied:
    """Write the records, environments and seals of a folder into a new one, without what tells whose machine it was.

    Raises UsageError for a folder without records, for a target that exists, and where it cannot be written.
    """
    check_has_records(folder)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} exists; name a folder that does not")
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        copied = _copy(folder, draft, registry)
        draft.replace(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return copied


def _copy(folder: Path, target: Path, registry: Registry) -> Copied:
    copy = RecordsFile(target)
    copy.prepare()
    environments = _environments(folder, {record.environment for record in _records(folder)})
    anonymiser = Anonymiser.of(environments.values(), _records(folder), registry)
    new: dict[str | None, str] = {}
    for digest, environment in environments.items():
        reduced = anonymiser.environment(environment)
        new[digest] = environment_digest(reduced)
        write_environment(target, new[digest], reduced)
    copy_items(folder, copy, {digest for record in _records(folder) for digest in record.items.values()})
    count = rewritten = 0
    with copy.path.open("wb") as stream:
        for record in _records(folder, warn=True):
            shown = anonymiser.record(record)
            count, rewritten = count + 1, rewritten + (shown is not record)
            line = replace(shown, environment=new.get(record.environment)).to_line()
            stream.write(line.encode(errors="replace") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    if seals := read_seals(folder):
        (target / SEALS).write_text("".join(json.dumps(asdict(seal)) + "\n" for seal in seals), encoding="utf-8")
    return Copied(count, rewritten, len(set(new.values())))


def _records(folder: Path, warn: bool = False) -> Iterator[Record]:
    """Every record of a folder in the order in which they stand."""
    file = RecordsFile(folder)
    damaged = []
    for number, line in file.lines():
        record = parse_record(line)
        if isinstance(record, Record):
            yield record
        elif line.strip():
            damaged.append(number)
    if damaged and warn:
        _log.warning("%s", damaged_lines(file.path, damaged))


def _environments(folder: Path, digests: Iterable[str | None]) -> dict[str, dict[str, Any]]:
    """These environments by digest. One that is missing or damaged is left out."""
    read = {}
    for digest in sorted(filter(None, digests)):
        content = read_environment(folder / "environments" / f"{digest}.json")
        if isinstance(content, dict):
            read[digest] = content
        else:
            _log.warning("environment %s is %s; its records name none in the copy", digest, content)
    return read
