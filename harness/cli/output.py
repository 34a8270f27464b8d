"""Output of the commands: tables and sentences for people, one JSON document for machines, the log on stderr."""

from __future__ import annotations

import codecs
import io
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Columns where output does not go to a terminal: nothing is wrapped for a screen that is not there.
PLAIN_WIDTH = 200


#: What stands for a character where the terminal's encoding lacks it, as long as the character itself where columns
#: depend on it.
_PLAIN = str.maketrans(
    dict(zip("−·│┼├┤─░●■◆▲×╶╴━–…", "-*||[]-.o#?!x--=-.", strict=True))
    | dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
    | {"±": "+-", "µ": "u"}
)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Write plain characters for those that an encoding lacks, "?" for any other."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(c if c.isascii() else "?" for c in text), error.end


codecs.register_error("harness-plain", _plain)


@cache
def people() -> Console:
    """Standard output for people."""
    return _console(sys.stdout)


@cache
def errors() -> Console:
    """Standard error for people: progress, notes, errors."""
    return _console(sys.stderr, stderr=True)


def _console(stream: TextIO, stderr: bool = False) -> Console:
    from rich.console import Console

    terminal = stream.isatty()
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="harness-plain")

    class PipeConsole(Console):
        """Lets ``main`` handle a closed pipe: rich itself would exit with 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return PipeConsole(
        stderr=stderr, highlight=False, emoji=False, width=None if terminal else PLAIN_WIDTH, soft_wrap=not terminal
    )


def print_json(document: Any) -> None:
    """The one JSON document of a command."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def table(*columns: str, title: str = "", right: Sequence[str] = (), no_wrap: bool = False) -> Table:
    """An empty table; columns named in ``right`` are aligned to the right; ``no_wrap`` keeps cells whole."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=no_wrap)
    return made


class LogHandler(logging.Handler):
    """Shows the harness's log on standard error: notes as they are, warnings named as such."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        from rich.markup import escape

        prefix = "[yellow]warning:[/] " if record.levelno >= logging.WARNING else ""
        errors().print(prefix + escape(record.getMessage()), soft_wrap=True)


@contextmanager
def log_shown() -> Iterator[None]:
    """Send notes and warnings of the harness and its plugins to standard error, as long as a command runs."""
    handler, loggers = LogHandler(), [logging.getLogger(name) for name in ("harness", "harness_plugins")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, logger.propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
