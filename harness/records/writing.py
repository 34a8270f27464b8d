"""Write to a results folder that may be out of reach for a moment, and rescue a record that does not fit there."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from harness.cell import Record
from harness.errors import RecordNotKept
from harness.records.records import RecordsFile

#: Seconds to wait before what could not be written is tried again: network file systems have hiccups.
WAITS = (0.2, 0.8, 2.0)
_ADVICE = "mend that and run the same command again: it goes on from what is recorded"

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def retry_writing(
    file: RecordsFile, write: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Call a function that writes to the file's folder, again after each of ``WAITS`` while it raises OSError.

    Raises RecordNotKept where the folder stays out of reach.
    """
    for wait in WAITS:
        try:
            return write(*arguments, **named)
        except OSError:
            time.sleep(wait)
    try:
        return write(*arguments, **named)
    except OSError as error:
        raise RecordNotKept(f"{file.folder} cannot be written: {error.strerror}; {_ADVICE}") from error


def append(file: RecordsFile, record: Record) -> bool:
    """Append a record; see ``RecordsFile.append``. Raises RecordNotKept that says where the record is instead."""
    try:
        return retry_writing(file, file.append, record)
    except RecordNotKept as error:
        raise RecordNotKept(f"{error}; {_rescue(file.folder, record)}") from error.__cause__


def rescued_files(folder: Path) -> list[Path]:
    """The temporary files with records of this results folder that did not fit there."""
    return sorted(Path(tempfile.gettempdir()).glob(f"{_rescued(folder)}*.jsonl"))


def _rescue(folder: Path, record: Record) -> str:
    """Write a record into a temporary file; say where it is."""
    try:
        handle, path = tempfile.mkstemp(prefix=_rescued(folder), suffix=".jsonl")
        with os.fdopen(handle, "wb") as stream:
            stream.write(record.to_line().encode(errors="replace") + b"\n")
    except OSError:
        return "the record of the cell that had just ended is lost"
    return f"the record of the cell that had just ended is in {path}; the next run here brings it in"


def _rescued(folder: Path) -> str:
    """What names of files with rescued records of a results folder begin with: a digest of the folder's path."""
    return f"harness-rescued-{hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:12]}-"
