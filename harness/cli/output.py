"""Output of the commands: tables and sentences for people, one JSON document for machines, the log on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from harness.cli.streams import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Columns where output goes neither to a terminal nor to a program that says $COLUMNS: nothing is wrapped.
PLAIN_WIDTH = 200


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
    from rich.text import Text

    class PrintableConsole(Console):
        """Lays out the characters that its stream prints: where "±" becomes "+/-", a table's columns stay straight."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text, self.encoding), **options)

    fits_screen = stream.isatty() or _columns_given()
    width = None if fits_screen else PLAIN_WIDTH
    return PrintableConsole(stderr=stderr, highlight=False, emoji=False, width=width, soft_wrap=not fits_screen)


def _columns_given() -> bool:
    columns = os.environ.get("COLUMNS", "")
    return columns.isdecimal() and int(columns) > 0


def print_json(document: Any) -> None:
    """The one JSON document of a command."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=2, allow_nan=False)
    sys.stdout.write(text + "\n")
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
