"""Copy the records of other folders into a results folder, whatever these folders hold."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cell import Record
from harness.errors import UsageError
from harness.records import RecordsFile, parse_record
from harness.records.environments import read_environment
from harness.records.items import items_path, read_items
from harness.records.lines import damaged_lines
from harness.records.seals import add_seals, read_seals
from harness.records.writing import retry_writing
from harness_plugins.upkeep.folders import check_has_records

_log = logging.getLogger(__name__)
#: Lines that are written at once, with one lock and one sync: a sync takes some ten milliseconds.
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a source the record of a cell stands."""

    good: bool
    environment: str | None
    items: frozenset[str]
    start: int
    length: int


def merge(into: Path, sources: list[Path]) -> dict[Path, tuple[int, int]]:
    """Copy the records of other folders, or of single files, into a folder. No record there is changed.

    A record is copied, as the line that it is, where its cell has no record in ``into``, or no good one and this one is
    good. Lines that are no records are skipped with a warning. Gives, for each source, how many records were copied and
    how many cells were there already. Raises UsageError for a source without records, or one that is ``into`` itself,
    RecordNotKept where ``into`` cannot be written.
    """
    for source in sources:
        if os.path.realpath(source) in (os.path.realpath(into), os.path.realpath(into / "records.jsonl")):
            raise UsageError(f"{source} is the results folder itself; name another one")
        check_has_records(source)
    loaded = RecordsFile(into).load()
    target = RecordsFile(into, loaded.size)
    target.prepare()
    good = {i: record.good for i, record in loaded.by_id.items()}
    counts = {}
    for source in sources:
        places = _places(source)
        new = {i: p for i, p in places.items() if i not in good or (p.good and not good[i])}
        if source.is_dir():
            _copy_environments(source, target, {place.environment for place in new.values()})
            copy_items(source, target, {digest for place in new.values() for digest in place.items})
        copied = sum(
            len(retry_writing(target, target.append_lines, lines)) for lines in _batches(source, list(new.values()))
        )
        good.update({i: place.good for i, place in new.items()})
        if source.is_dir():
            add_seals(into, read_seals(source))
        counts[source] = (copied, len(places) - copied)
    return counts


def _records_path(source: Path) -> Path:
    return source / "records.jsonl" if source.is_dir() else source


def _places(source: Path) -> dict[str, _Place]:
    """By cell id where its latest good record stands, or its latest one where none is good."""
    places: dict[str, _Place] = {}
    damaged: list[int] = []
    newer = start = 0
    with _records_path(source).open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            record = parse_record(line)
            if isinstance(record, Record):
                if record.id not in places or record.good or not places[record.id].good:
                    length, items = len(line.rstrip()), frozenset(record.items.values())
                    places[record.id] = _Place(record.good, record.environment, items, start, length)
            elif record == "newer":
                newer += 1
            elif line.strip():
                damaged.append(number)
            start += len(line)
    if damaged:
        _log.warning("%s", damaged_lines(_records_path(source), damaged))
    if newer:
        _log.warning("%s: %d record(s) of a newer schema left out; update harness", _records_path(source), newer)
    return places


def _batches(source: Path, places: Sequence[_Place]) -> Iterator[list[tuple[Record, bytes]]]:
    """The records at these places with their lines, so many at a time."""
    with _records_path(source).open("rb") as stream:
        for begin in range(0, len(places), _BATCH):
            batch = []
            for place in places[begin : begin + _BATCH]:
                stream.seek(place.start)
                line = stream.read(place.length)
                # Who writes to the source meanwhile may have put anything there.
                if isinstance(record := parse_record(line), Record):
                    batch.append((record, line))
            yield batch


def _copy_environments(source: Path, target: RecordsFile, digests: set[str | None]) -> None:
    for digest in sorted(d for d in digests if d):
        path = source / "environments" / f"{digest}.json"
        content = read_environment(path)
        if isinstance(content, dict):
            retry_writing(target, target.add_environment, digest, content)
        elif content == "damaged":
            _log.warning("%s is damaged: its content does not have the digest that names it; it is left out", path)


def copy_items(source: Path, target: RecordsFile, digests: Iterable[str]) -> None:
    """Copy outcomes of items from one results folder to another. Damaged ones are left out with a warning."""
    for digest in sorted(set(digests)):
        path = items_path(source, digest)
        content = read_items(path)
        if isinstance(content, bytes):
            retry_writing(target, target.add_items, content)
        else:
            _log.warning("%s is %s; without it nothing is known of other test items", path, content)
