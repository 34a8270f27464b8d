"""What every part of the report is made of: tables, pictures, anchors, links, command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

#: Rows of a table behind a picture; further rows are only in records.jsonl.
MOST_ROWS = 400
#: Pixels of a page's column, of a letter of a table, and of the room between two columns.
_PAGE, _LETTER, _BETWEEN = 830.0, 7.6, 22.4


@dataclass(frozen=True)
class Table:
    """A table of text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    #: How many rows were left out.
    more: int = 0

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
        """A table cut to what a page can hold."""
        return cls(columns, rows[:MOST_ROWS], max(0, len(rows) - MOST_ROWS))

    @property
    def wide(self) -> bool:
        """Whether its columns do not fit beside each other: then each row is a list of names and numbers.

        >>> Table.of(["metric"] * 3, [["0.93"] * 3]).wide, Table.of(["metric"] * 30, [["0.93"] * 30]).wide
        (False, True)
        """
        columns = zip(self.columns, *self.rows, strict=True)
        return sum(_LETTER * _widest_part(column) + _BETWEEN for column in columns) > _PAGE


def _widest_part(column: tuple[str, ...]) -> int:
    """Letters of the longest part of a column that is kept on one line."""
    header, *cells = column
    parts = [*header.split("_"), *(part for cell in cells for part in cell.split(" ± "))]
    return max(map(len, parts))


@dataclass(frozen=True)
class Picture:
    """A drawing and its caption."""

    drawing: Markup
    caption: str = ""


def anchor(*parts: str) -> str:
    """The id of a section, to which links lead.

    >>> anchor("claim", "flatnce/fn1-better", "")
    'claim-flatnce-fn1-better'
    """
    return re.sub(r"[^a-z0-9]+", "-", "-".join(filter(None, parts)).lower()).strip("-")


def article_url(article: str) -> str:
    """The address of an article, or "" where the text is no address.

    >>> article_url("arxiv.org/abs/2107.01152"), article_url("javascript:alert(1)"), article_url("A book, p. 5")
    ('https://arxiv.org/abs/2107.01152', '', '')
    """
    return f"https://{article}" if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w./%+~?=&#-]*)?", article, re.I) else ""


def command_line(folder: Path, plugins: Sequence[str], *words: str) -> str:
    """A command of the harness on a results folder, with the plugins that were named with ``-p``.

    >>> command_line(Path("my results"), ["toy"], "suite", "toy")
    "harness -p toy suite toy '--results=my results'"
    """
    named = [part for plugin in plugins for part in ("-p", plugin)]
    return shlex.join(["harness", *named, *words, f"--results={folder}"])
