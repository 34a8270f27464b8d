"""Standard streams of the command that may be closed, broken, full, or unable to print every character."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import select
import sys
import unicodedata
from typing import IO

#: Name of the error handler of encodings that puts plain characters where others cannot be printed.
PLAIN = "harness-plain"

_SUBSTITUTES = {
    **dict.fromkeys("−–—‐‑", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    "±": "+/-",
    "·": "*",
    "×": "x",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "µ": "u",
    "•": "*",
    "⁄": "/",
    # Of forest plots.
    "├": "[",
    "┤": "]",
    "░": ".",
    "●": "o",
    "■": "#",
    "◆": "?",
    "▲": "!",
}
_RAISED = re.compile("[⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹]+")


def plain(text: str) -> str:
    r"""Text in ASCII that people can read; a letter without an equivalent becomes its number.

    >>> plain("0.93 ± 0.01, −2·10⁻⁵, André → ½"), plain("─┼█"), plain("打")
    ('0.93 +/- 0.01, -2*10^-5, Andre -> 1/2', '-+#', '\\u6253')
    """
    raised = _RAISED.sub(lambda match: "^" + match[0], text)
    return "".join(map(_substitute, raised))


def _substitute(character: str) -> str:
    if character.isascii():
        return character
    if character in _SUBSTITUTES:
        return _SUBSTITUTES[character]
    name = unicodedata.name(character, "")
    if name.startswith("BOX DRAWINGS"):
        if " AND " in name:
            return "+"
        return "-" if name.endswith(("HORIZONTAL", "LEFT", "RIGHT")) else "|"
    if "BLOCK" in name:
        return "#"
    parts = unicodedata.normalize("NFKD", character)
    if parts != character:
        return "".join(map(_substitute, (part for part in parts if not unicodedata.combining(part))))
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _on_encoding_error(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


codecs.register_error(PLAIN, _on_encoding_error)


def printable(text: str, encoding: str) -> str:
    """The text as a stream of this encoding prints it.

    >>> printable("± 打", "latin-1"), printable("± 打", "utf-8")
    ('± \\\\u6253', '± 打')
    """
    return text.encode(encoding, PLAIN).decode(encoding)


class _Sink(io.BufferedIOBase):
    """A descriptor to print to. What cannot be written is dropped, and the reason is kept.

    A signal's handler may print while the process prints, which io.BufferedWriter forbids.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.failure: OSError | None = None

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        rest = memoryview(data)
        while rest and self.failure is None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Another process has made the pipe a non-blocking one.
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.failure = error
        return len(data)


def open_closed() -> None:
    """Open the null device as each of the descriptors 0 to 2 that is closed.

    Otherwise a file that is opened later would become one of them, and be printed into.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def guard() -> None:
    """Make stdout and stderr streams that a reader that has gone, or a full disk, does not stop."""
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _guarded(sys.stdout, sys.__stdout__, 1)
    sys.stderr = _guarded(sys.stderr, sys.__stderr__, 2)


def _guarded(stream: IO[str] | None, at_start: IO[str] | None, descriptor: int) -> IO[str]:
    """The stream with a sink below it; a stream that was put in its place, by a test or a notebook, stays."""
    if stream is not at_start:
        assert stream is not None
        return stream
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        _Sink(descriptor),  # type: ignore[type-var]
        getattr(stream, "encoding", "utf-8"),
        PLAIN,
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=getattr(stream, "write_through", False),
    )


def failure() -> str:
    """Why not all that was printed to stdout has been written, or "". A reader that has gone is no failure."""
    sink = getattr(sys.stdout, "buffer", None)
    sys.stdout.flush()
    if not isinstance(sink, _Sink) or sink.failure is None or sink.failure.errno == errno.EPIPE:
        return ""
    return os.strerror(sink.failure.errno or errno.EIO)
