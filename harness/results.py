"""Recorded results for a notebook: the records as a table, and the verdicts that the command line prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.records import Record, RecordsFile
from harness.watchers import tell

if TYPE_CHECKING:
    import pandas

    from harness.judge import Verdict


def load_results(path: Path | str = "results") -> pandas.DataFrame:
    """The records of a results folder as a table, one row a record; of a cell that ran twice the one that counts.

    Options stand in the columns ``options.NAME``, metrics in ``metrics.NAME``; what a record lacks is missing there.
    ``curves`` holds each record's curves by name, ``started`` and ``finished`` are times in UTC. Raises
    UsageError where there is no such folder.
    """
    import pandas

    loaded = _folder(path).load()
    for warning in loaded.warnings:
        tell(f"warning: {warning}")
    rows = [_row(record) for record in loaded.by_id.values()]
    options = dict.fromkeys(name for row in rows for name in row if name.startswith("options."))
    metrics = dict.fromkeys(name for row in rows for name in row if name.startswith("metrics."))
    frame = pandas.DataFrame(rows, columns=[*_PLAIN, *options, *metrics])
    # A whole number stays one in a column where other tasks have none.
    narrowed = ["peak_bytes", *options]
    frame[narrowed] = frame[narrowed].convert_dtypes()
    for name in ("started", "finished"):
        frame[name] = pandas.to_datetime(frame[name], utc=True, format="ISO8601", errors="coerce")
    return frame


def verdicts(
    path: Path | str = "results", *names: str, plugins: Sequence[str] = (), seeds: int | None = None
) -> list[Verdict]:
    """What a results folder's records make of the claims: the objects behind ``harness claims``.

    ``names`` are suites, files of suites, or claims (globs allowed); without any, every registered suite that has
    records. ``plugins`` are modules or paths of plugins that are not installed. Raises UsageError for unknown names
    and where there is no such folder.
    """
    from harness.recorded import judged_suites
    from harness.registry import load_registry
    from harness.request import Request

    request = Request(suite="", seeds=seeds, results=_folder(path).folder)
    return [verdict for result in judged_suites(load_registry(plugins), names, request) for verdict in result.verdicts]


_PLAIN = tuple(name for name in Record.__dataclass_fields__ if name not in ("schema", "options", "metrics"))


def _folder(path: Path | str) -> RecordsFile:
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"there is no results folder {folder}")
    return RecordsFile(folder)


def _row(record: Record) -> dict[str, Any]:
    content = asdict(record)
    row = {name: content[name] for name in _PLAIN}
    row |= {f"options.{name}": value for name, value in record.options.items()}
    return row | {f"metrics.{name}": value for name, value in record.metrics.items()}
