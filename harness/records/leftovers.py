"""What killed runs leave behind, which the next run on the same results folder removes or brings home."""

from __future__ import annotations

import logging
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from harness.cell import Record
from harness.numbers import plural
from harness.records.lines import parse_record
from harness.records.records import RecordsFile
from harness.records.writing import rescued_files

_log = logging.getLogger(__name__)
#: Seconds after which nobody writes on a draft any more.
_DRAFT_SECONDS = 60.0


def remove_leftovers(folder: Path) -> bool:
    """Remove drafts that nobody writes any more, and bring home records that did not fit into the folder.

    Says whether a record has come home.
    """
    patterns = (".*.draft", "environments/*.tmp", "environments/.*.tmp", "items/.*.tmp")
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _DRAFT_SECONDS:
                path.unlink()
    with suppress(OSError):
        return _bring_home(folder)
    return False


def _bring_home(folder: Path) -> bool:
    """Append the rescued records of this folder, and remove their files."""
    files = [path for path in rescued_files(folder) if _own_file(path)]
    if not files:
        return False
    loaded = RecordsFile(folder).load()
    file, count = RecordsFile(folder, loaded.size), 0
    for path in files:
        for line in path.read_bytes().split(b"\n"):
            record = parse_record(line)
            before = loaded.by_id.get(record.id) if isinstance(record, Record) else None
            if isinstance(record, Record) and not (before and before.good):
                count += len(file.append_lines([(record, line)]))
        path.unlink()
    _log.info("%s that did not fit into %s before came home", plural(count, "record"), folder)
    return bool(count)


def _own_file(path: Path) -> os.stat_result | None:
    """The status of a plain file of this user; None for anything else, which others may have put there."""
    with suppress(OSError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            return status
    return None
