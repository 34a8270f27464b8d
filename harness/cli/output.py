"""How the commands speak: tables and sentences for people, one JSON document for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Columns where output does not go to a terminal: nothing is wrapped for a screen that is not there.
PLAIN_WIDTH = 200


@cache
def people() -> Console:
    """Standard output for people."""
    return _console(sys.stdout.isatty())


@cache
def errors() -> Console:
    """Standard error for people: progress, notes, errors."""
    return _console(sys.stderr.isatty(), stderr=True)


def _console(terminal: bool, stderr: bool = False) -> Console:
    from rich.console import Console

    class Ours(Console):
        """Leaves a pipe that nobody reads any more to ``main``: rich itself would end with 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Ours(
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


def duration(seconds: float) -> str:
    """A length of time for people.

    >>> duration(0.25), duration(75), duration(7500)
    ('0.25 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < 0.1:
        return "less than 0.1 s"
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def memory(count: int | None) -> str:
    """An amount of memory for people.

    >>> memory(3_400_000), memory(None)
    ('3.4 MB', '')
    """
    if count is None:
        return ""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "cell"), plural(3, "cell")
    ('1 cell', '3 cells')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
