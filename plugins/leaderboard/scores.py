"""Tables of scores as people write them: CSV files, rows are systems, columns are tasks, "a/b" is two metrics.

Everything that is wrong with a table is told with its file, line and column.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import DatasetError, UnknownName

Pairs = Literal["mean", "split"]

#: How a missing score may be written.
MISSING = ("", "-", "nan", "n/a", "na")


@dataclass(frozen=True)
class ScoreTable:
    """Systems, tasks and the scores between them."""

    #: What it is called where something is wrong with it: a file.
    name: str
    systems: tuple[str, ...]
    #: Names of the columns of ``scores``: a task, or one of its metrics ("MRPC 1", "MRPC 2").
    columns: tuple[str, ...]
    #: The task that each column belongs to.
    tasks: tuple[str, ...]
    #: float64 [systems, columns], NaN where missing.
    scores: NDArray[np.float64]
    #: Columns that are no scores, by name, one text for each system.
    about: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which systems have any score, bool [systems]."""
        return np.asarray(~np.isnan(self.scores).all(axis=1))

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which systems have every score, bool [systems]."""
        return np.asarray(~np.isnan(self.scores).any(axis=1))

    def row(self, system: str) -> int:
        """The row of a system. Raises UnknownName with the nearest one."""
        if system not in self.systems:
            raise UnknownName("system", system, self.systems, where=self.name)
        return self.systems.index(system)

    def with_columns(self, kept: Iterable[bool | np.bool_]) -> ScoreTable:
        """Only the columns that are marked."""
        marked = np.array([bool(k) for k in kept])
        return replace(
            self,
            columns=tuple(c for c, k in zip(self.columns, marked, strict=True) if k),
            tasks=tuple(t for t, k in zip(self.tasks, marked, strict=True) if k),
            scores=self.scores[:, marked],
        )

    def with_systems(self, kept: Iterable[bool | np.bool_]) -> ScoreTable:
        """Only the systems that are marked."""
        marked = np.array([bool(k) for k in kept])
        about = {
            name: tuple(v for v, k in zip(values, marked, strict=True) if k) for name, values in self.about.items()
        }
        systems = tuple(s for s, k in zip(self.systems, marked, strict=True) if k)
        return replace(self, systems=systems, scores=self.scores[marked], about=about)


def read_table(path: Path, pairs: Pairs = "mean", about: Sequence[str] = ()) -> ScoreTable:
    """Read a CSV file whose first row names the tasks and whose first column names the systems.

    A cell is a number with a decimal point, two of them as "93.9/91.8", or missing: empty, "-", "nan" or "n/a".
    ``pairs`` says whether two metrics are averaged ("mean": one that is missing makes the cell missing) or are
    columns of their own ("split"). ``about`` names columns that are no scores. Raises DatasetError with file, line
    and column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: it is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
    return parse_table(text, str(path), pairs, about)


def parse_table(text: str, name: str, pairs: Pairs = "mean", about: Sequence[str] = ()) -> ScoreTable:
    """Read the text of a CSV file; ``name`` is what errors call it. See ``read_table``.

    >>> table = parse_table("system,CoLA,MRPC\\nA,70.1,90/80\\nB,-,88/78\\n", "t.csv")
    >>> table.systems, table.columns, table.scores.tolist()
    (('A', 'B'), ('CoLA', 'MRPC'), [[70.1, 85.0], [nan, 83.0]])
    >>> parse_table("system,CoLA\\nA,7o.1\\nB,3\\n", "t.csv")
    Traceback (most recent call last):
    harness.errors.DatasetError: t.csv, line 2 (A), column CoLA: '7o.1' is no score; a number such as 91.3 is needed, \
two as 93.9/91.8, or - where it is missing
    """
    header, rows = _rows(text, name)
    columns = [h for h in header[1:] if h not in about]
    parsed: dict[str, list[tuple[float, ...]]] = {column: [] for column in columns}
    for line, row in rows:
        for column, cell in zip(header[1:], row[1:], strict=True):
            if column in parsed:
                parsed[column].append(_scores(cell, f"{name}, line {line} ({row[0]}), column {column}"))
    lines = [line for line, _ in rows]
    made = [_column(name, column, cells, lines, pairs) for column, cells in parsed.items()]
    scores = np.concatenate(made, axis=1)
    tasks = tuple(task for task, part in zip(columns, made, strict=True) for _ in range(part.shape[1]))
    found = ScoreTable(
        name=name,
        systems=tuple(row[0] for _, row in rows),
        columns=tuple(
            f"{task} {n + 1}" if part.shape[1] > 1 else task
            for task, part in zip(columns, made, strict=True)
            for n in range(part.shape[1])
        ),
        tasks=tasks,
        scores=scores,
        about={h: tuple(row[i] for _, row in rows) for i, h in enumerate(header) if h in about},
    )
    for line, system, row_scores in zip(lines, found.systems, scores, strict=True):
        if np.isnan(row_scores).all():
            raise DatasetError(f"{name}, line {line} ({system}): every score is missing; leave the row out")
    return found


def _rows(text: str, name: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and the rows with their line numbers, every cell stripped, checked for their shape and names."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DatasetError(f"{name}, line {reader.line_num}: it is not CSV: {error}") from None
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise DatasetError(f"{name} is empty; a header with the tasks' names is needed, then one row a system")
    (first, header), *body = rows
    for mark, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise DatasetError(f"{name}, line {first}: cells are separated by {word}; commas are needed")
    if len(header) < 2:
        raise DatasetError(f"{name}, line {first}: the header has no task beside {header[0]!r}")
    for number, task in enumerate(header[1:], start=2):
        if not task:
            raise DatasetError(f"{name}, line {first}, column {number}: the task has no name")
    if twice := _twice(header):
        raise DatasetError(f"{name}, line {first}: two columns are called {twice!r}")
    if len(body) < 2:
        raise DatasetError(f"{name}: {len(body)} system(s); at least 2 are needed to compare them")
    for line, row in body:
        if len(row) != len(header):
            hint = "; is it a decimal comma? write 91.3" if len(row) > len(header) else ""
            raise DatasetError(
                f"{name}, line {line} ({row[0]}): {len(row)} cells, but the header has {len(header)} columns{hint}"
            )
        if not row[0]:
            raise DatasetError(f"{name}, line {line}, column {header[0] or 1}: the system has no name")
    if twice := _twice([row[0] for _, row in body]):
        lines = [str(line) for line, row in body if row[0] == twice]
        raise DatasetError(f"{name}, lines {' and '.join(lines)}: the system {twice!r} stands there more than once")
    return header, body


def _twice(names: Sequence[str]) -> str:
    return next((name for name, count in Counter(names).items() if count > 1), "")


def _scores(cell: str, where: str) -> tuple[float, ...]:
    """The one or two numbers of a cell; () where it is missing."""
    if cell.lower() in MISSING:
        return ()
    parts = [part.strip() for part in cell.split("/")]
    if len(parts) > 2 or any(not part for part in parts):
        raise DatasetError(f"{where}: {cell!r} is an unknown form of two metrics; 93.9/91.8 is needed")
    return tuple(_number(part, cell, where) for part in parts)


def _number(part: str, cell: str, where: str) -> float:
    if part.lower() in MISSING:
        return math.nan
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", part):
        number = float(part)
        if not math.isfinite(number):
            raise DatasetError(f"{where}: {cell!r} is beyond what a number can be")
        return number
    if re.fullmatch(r"[+-]?\d+,\d+", part):
        raise DatasetError(f"{where}: {cell!r} has a decimal comma; write {cell.replace(',', '.')}")
    if re.fullmatch(r"[\d.]+\s*[|;&+()±\s-]\s*[\d.]+\s*\)?", part):
        raise DatasetError(f"{where}: {cell!r} is an unknown form of two metrics; 93.9/91.8 is needed")
    raise DatasetError(
        f"{where}: {cell!r} is no score; a number such as 91.3 is needed, two as 93.9/91.8, or - where it is missing"
    )


def _column(
    name: str, column: str, cells: Sequence[tuple[float, ...]], lines: Sequence[int], pairs: Pairs
) -> NDArray[np.float64]:
    """A task's cells as float64 [systems, 1], or [systems, 2] for two metrics that are kept apart."""
    widths = {len(cell) for cell in cells if cell}
    if not widths:
        raise DatasetError(f"{name}, column {column}: every score is missing; leave the column out")
    if len(widths) > 1:
        one, two = (next(n for n, c in zip(lines, cells, strict=True) if len(c) == width) for width in (1, 2))
        raise DatasetError(f"{name}, column {column}: one metric in line {one}, but two in line {two}")
    (width,) = widths
    found = np.array([cell or (math.nan,) * width for cell in cells])
    return found.mean(axis=1, keepdims=True) if pairs == "mean" else found
