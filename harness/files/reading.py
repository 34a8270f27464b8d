"""Reading the text of files that a person hands in, whatever is in them. Needs no pydantic: lists are quick."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import FileError

#: TOML promises integers of 64 bits and no more.
LARGEST_INTEGER = 2**63 - 1
#: A file that a person writes is smaller, and less deeply nested.
_MOST_BYTES = 4_000_000
_DEEPEST = 32
_MOST_PARTS = 1000


def load_toml(path: Path) -> dict[str, Any]:
    """Read ``path`` whatever its keys are. Raises FileError with one sentence where it is not TOML."""
    text = read_text(path, _MOST_BYTES)
    # tomllib takes a time that grows with the square of a key's parts.
    if any(part.count(".") > _MOST_PARTS for part in re.split(r"[,=\[\]{}\"']", text)):
        raise FileError(f"{path}: a key of more than {_MOST_PARTS} parts")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{path}: not valid TOML: {error}") from None
    except ValueError:
        # Python refuses to read an integer of more than 4,300 digits.
        raise FileError(f"{path}: not valid TOML: an integer has thousands of digits; 64 bits are allowed") from None
    except RecursionError:
        raise FileError(f"{path}: nested more than {_DEEPEST} levels deep") from None
    _check_values(path, content)
    return content


def read_text(path: Path, most_bytes: int) -> str:
    """The text of a file that a person handed in. Raises FileError where it is too large or no UTF-8 text."""
    try:
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the name.
        raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > most_bytes:
        raise FileError(f"{path}: larger than {most_bytes / 1e6:g} MB, which is the most that is read")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def _check_values(path: Path, content: Mapping[str, Any]) -> None:
    """Raise FileError for an integer of more than 64 bits and for a value that is nested too deeply."""
    level: list[tuple[str, Any]] = list(content.items())
    for _ in range(_DEEPEST):
        for key, value in level:
            if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
                raise FileError(f"{path}: {key}: an integer of {value.bit_length()} bits; 64 bits are allowed")
        level = [
            (str(key), inner)
            for key, value in level
            if isinstance(value, (dict, list))
            for key, inner in (value.items() if isinstance(value, dict) else ((key, item) for item in value))
        ]
    if level:
        raise FileError(f"{path}: {level[0][0]}: nested more than {_DEEPEST} levels deep")
