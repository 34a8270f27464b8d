"""Outcomes of scored items on disk: a file each, one byte an item, named by the digest of its content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from harness.records.environments import is_digest

#: Items that one cell may hand over, over all its metrics.
MOST_ITEMS = 10_000_000
#: How far a metric may be from the mean of its outcomes: what float32 rounds away.
MEAN_TOLERANCE = 1e-6
#: The folder beside ``records.jsonl``.
NAME = "items"


def item_digest(content: bytes) -> str:
    """The name of a file with this content, 16 hexadecimal digits.

    >>> item_digest(b"\\x00\\x01")
    'b413f47d13ee2fe6'
    """
    return hashlib.sha256(content).hexdigest()[:16]


def are_outcomes(content: bytes) -> bool:
    """Whether these bytes are outcomes of items: at least one, not too many, each 0 or 1.

    >>> are_outcomes(b"\\x00\\x01"), are_outcomes(b"01"), are_outcomes(b"")
    (True, False, False)
    """
    return 0 < len(content) <= MOST_ITEMS and not content.translate(None, b"\x00\x01")


def items_path(folder: Path, digest: str) -> Path:
    """The file with this digest in a results folder. Raises ValueError for what is no digest, and could lead elsewhere.

    >>> items_path(Path("results"), "b413f47d13ee2fe6").name
    'b413f47d13ee2fe6.bin'
    """
    if not is_digest(digest):
        raise ValueError(f"{digest!r} is no digest of items: 16 hexadecimal digits are needed")
    return folder / NAME / f"{digest}.bin"


def items_files(folder: Path) -> Iterator[Path]:
    """The files of items in a results folder, damaged ones too."""
    with suppress(OSError):
        yield from sorted(path for path in (folder / NAME).iterdir() if path.suffix == ".bin")


def read_items(path: Path) -> bytes | Literal["missing", "damaged"]:
    """The outcomes in a file, or why there are none. Content without the digest that names the file is damaged."""
    try:
        # A pipe would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return "damaged"
            content = stream.read(MOST_ITEMS + 1)
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "damaged"
    return content if are_outcomes(content) and item_digest(content) == path.stem else "damaged"


def write_items(folder: Path, content: bytes) -> str:
    """Write outcomes under their digest, unless they are there already, and give the digest."""
    digest = item_digest(content)
    target = items_path(folder, digest)
    if isinstance(read_items(target), bytes):
        return digest
    target.parent.mkdir(exist_ok=True)
    draft = target.with_name(f".{digest}.{os.getpid()}.tmp")
    draft.unlink(missing_ok=True)
    # A new file takes the place of what has this name: through no link is anything written.
    with draft.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(target)
    return digest
