"""For scripts and notebooks: run a suite, the records as a table, the verdicts that the command line prints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cell import Record
from harness.errors import UsageError
from harness.records import RecordsFile

if TYPE_CHECKING:
    import pandas

    from harness.judge import SuiteResult, Verdict
    from harness.planning.request import Request
    from harness.registry import Registry

_log = logging.getLogger(__name__)


def run_suite(request: Request | str, registry: Registry | None = None, progress: bool = False) -> SuiteResult:
    """Run a suite's cells that have no good record yet, and judge its claims.

    ``request`` may be just the suite's name or file. ``progress`` shows a bar in a notebook or on a terminal.

    Raises UsageError before anything runs where the request is wrong. Ctrl-C once ends after the running cells,
    twice at once; the result then says ``interrupted``. What has finished is recorded either way.
    """
    from harness.running import runner

    if not progress:
        return runner.run_suite(request, registry)
    from rich.console import Console

    return runner.run_suite(request, registry, Console(stderr=True))


def load_results(path: Path | str = "results") -> pandas.DataFrame:
    """The records of a results folder as a table, one row a record; of a cell that ran twice the one that counts.

    Options stand in the columns ``options.NAME``, metrics in ``metrics.NAME``; what a record lacks is missing there.
    ``curves`` holds each record's curves by name, ``started`` and ``finished`` are times in UTC. Raises
    UsageError where there is no such folder.
    """
    import pandas

    loaded = _folder(path).load()
    for warning in loaded.warnings:
        _log.warning("%s", warning)
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


def verdicts(path: Path | str = "results", *names: str, plugins: Sequence[str] = ()) -> list[Verdict]:
    """What a results folder's records make of the claims: the objects behind ``harness claims``.

    ``names`` are suites, files of suites, or claims (globs allowed); without any, every registered suite that has
    records. ``plugins`` are modules or paths of plugins that are not installed. Raises UsageError for unknown names
    and where there is no such folder.
    """
    from harness.judge import judged_suites
    from harness.planning.request import Request
    from harness.registry import load_registry

    request = Request(suite="", results=_folder(path).folder)
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
