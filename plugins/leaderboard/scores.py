"""Tables of scores as people write them: CSV files, rows are systems, columns are tasks, "a/b" is two metrics.

An error names the file, the line and the column.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import DatasetError, UnknownName
from harness.numbers import plural

Pairs = Literal["mean", "split"]

#: The largest size of a score; one over it is the smallest of one that is not 0.
LARGEST = 1e100
#: The ways to write a missing score, in lower case.
MISSING = ("", "-", "nan", "n/a", "na")


@dataclass(frozen=True)
class ScoreTable:
    """The scores of systems on tasks."""

    #: The table's name in errors: its file.
    name: str
    systems: tuple[str, ...]
    #: Names of the columns of ``scores``: a task, or one of its metrics ("MRPC 1", "MRPC 2").
    columns: tuple[str, ...]
    #: The task that each column belongs to.
    tasks: tuple[str, ...]
    #: float64 [systems, columns], NaN where missing.
    scores: NDArray[np.float64]
    #: Columns without scores, by name: one text for each system.
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
        """The row of a system. Raises UnknownName, which suggests the nearest name."""
        if system not in self.systems:
            raise UnknownName("system", system, self.systems, where=self.name)
        return self.systems.index(system)

    def with_columns(self, mask: Iterable[bool | np.bool_]) -> ScoreTable:
        """The table with only the columns for which the mask is true."""
        chosen = np.array([bool(m) for m in mask])
        columns, tasks = tuple(compress(self.columns, chosen)), tuple(compress(self.tasks, chosen))
        return replace(self, columns=columns, tasks=tasks, scores=self.scores[:, chosen])

    def with_systems(self, mask: Iterable[bool | np.bool_]) -> ScoreTable:
        """The table with only the systems for which the mask is true."""
        chosen = np.array([bool(m) for m in mask])
        systems = tuple(compress(self.systems, chosen))
        about = {name: tuple(compress(texts, chosen)) for name, texts in self.about.items()}
        return replace(self, systems=systems, scores=self.scores[chosen], about=about)


def read_table(path: Path, pairs: Pairs = "mean", about: Sequence[str] = ()) -> ScoreTable:
    """Read a CSV file whose first row names the tasks and whose first column names the systems.

    A cell is a number with a decimal point, two of them as "93.9/91.8", or missing: empty, "-", "nan" or "n/a".
    ``pairs`` is "mean" to average two metrics (the cell is missing where one of them is), or "split" to make a column
    of each. ``about`` names columns that hold no scores. Raises DatasetError with file, line and column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
    return parse_table(text, str(path), pairs, about)


def parse_table(text: str, name: str, pairs: Pairs = "mean", about: Sequence[str] = ()) -> ScoreTable:
    """Read the text of a CSV file, which errors call ``name``. See ``read_table``.

    >>> table = parse_table("system,CoLA,MRPC\\nA,70.1,90/80\\nB,-,88/78\\n", "t.csv")
    >>> table.systems, table.columns, table.scores.tolist()
    (('A', 'B'), ('CoLA', 'MRPC'), [[70.1, 85.0], [nan, 83.0]])
    >>> parse_table("system,CoLA\\nA,7o.1\\nB,3\\n", "t.csv")
    Traceback (most recent call last):
    harness.errors.DatasetError: t.csv, line 2 (A), column CoLA: '7o.1' is not a score; write a number such as 91.3, \
two as 93.9/91.8, or - for a missing score
    """
    header, rows = _rows(text, name)
    columns = [h for h in header[1:] if h not in about]
    parsed: dict[str, list[tuple[float, ...]]] = {column: [] for column in columns}
    for line, row in rows:
        for column, cell in zip(header[1:], row[1:], strict=True):
            if column in parsed:
                parsed[column].append(_scores(cell, f"{name}, line {line} ({row[0]}), column {column}"))
    lines = [line for line, _ in rows]
    parts = [_column(f"{name}, column {column}", cells, lines, pairs) for column, cells in parsed.items()]
    scores = np.concatenate(parts, axis=1)
    widths = [part.shape[1] for part in parts]
    table = ScoreTable(
        name=name,
        systems=tuple(row[0] for _, row in rows),
        columns=tuple(
            f"{task} {n + 1}" if width > 1 else task
            for task, width in zip(columns, widths, strict=True)
            for n in range(width)
        ),
        tasks=tuple(task for task, width in zip(columns, widths, strict=True) for _ in range(width)),
        scores=scores,
        about={h: tuple(row[i] for _, row in rows) for i, h in enumerate(header) if h in about},
    )
    for line, system, row_scores in zip(lines, table.systems, scores, strict=True):
        if np.isnan(row_scores).all():
            raise DatasetError(f"{name}, line {line} ({system}): every score is missing; leave the row out")
    return table


def _rows(text: str, name: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the rows with their line numbers. Cells are stripped; shape and names are checked."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DatasetError(f"{name}, line {reader.line_num}: not CSV: {error}") from None
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise DatasetError(f"{name} is empty; a header with the tasks' names is needed, then one row for each system")
    (first, header), *body = rows
    _check_header(header, f"{name}, line {first}")
    if len(body) < 2:
        raise DatasetError(f"{name}: {plural(len(body), 'system')}; at least 2 are needed for a comparison")
    for line, row in body:
        if len(row) != len(header):
            hint = "; is it a decimal comma? write 91.3" if len(row) > len(header) else ""
            raise DatasetError(
                f"{name}, line {line} ({row[0]}): {len(row)} cells, but the header has {len(header)} columns{hint}"
            )
        if not row[0]:
            raise DatasetError(f"{name}, line {line}, column {header[0] or 1}: the system has no name")
    if repeated := _repeated([row[0] for _, row in body]):
        lines = [str(line) for line, row in body if row[0] == repeated]
        raise DatasetError(f"{name}, lines {' and '.join(lines)}: the system {repeated!r} has more than one row")
    return header, body


def _check_header(header: Sequence[str], where: str) -> None:
    for sign, noun in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and sign in header[0]:
            raise DatasetError(f"{where}: cells are separated by {noun}; commas are needed")
    if len(header) < 2:
        raise DatasetError(f"{where}: the header has no task beside {header[0]!r}")
    for number, task in enumerate(header[1:], start=2):
        if not task:
            raise DatasetError(f"{where}, column {number}: the task has no name")
    if repeated := _repeated(header):
        raise DatasetError(f"{where}: two columns are called {repeated!r}")


def _repeated(names: Sequence[str]) -> str:
    """The first name that occurs more than once; "" without one."""
    return next((name for name, count in Counter(names).items() if count > 1), "")


def _scores(cell: str, where: str) -> tuple[float, ...]:
    """The one or two numbers of a cell; () where the score is missing."""
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
        # Beyond, sums, products and reciprocals of scores are no numbers any more.
        if number and not 1 / LARGEST <= abs(number) <= LARGEST:
            kind = "large" if abs(number) > 1 else "small"
            sizes = f"0 and sizes from {1 / LARGEST:g} to {LARGEST:g} are allowed"
            raise DatasetError(f"{where}: {cell!r} is too {kind}; {sizes}")
        return number
    if re.fullmatch(r"[+-]?\d+,\d+", part):
        raise DatasetError(f"{where}: {cell!r} has a decimal comma; write {cell.replace(',', '.')}")
    if re.fullmatch(r"[\d.]+\s*[|;&+()±\s-]\s*[\d.]+\s*\)?", part):
        raise DatasetError(f"{where}: {cell!r} is an unknown form of two metrics; 93.9/91.8 is needed")
    raise DatasetError(
        f"{where}: {cell!r} is not a score; write a number such as 91.3, two as 93.9/91.8, or - for a missing score"
    )


def _column(where: str, cells: Sequence[tuple[float, ...]], lines: Sequence[int], pairs: Pairs) -> NDArray[np.float64]:
    """A task's cells as float64 [systems, 1], or [systems, 2] for two metrics that are split."""
    widths = {len(cell) for cell in cells if cell}
    if not widths:
        raise DatasetError(f"{where}: every score is missing; leave the column out")
    if len(widths) > 1:
        single, double = (next(n for n, c in zip(lines, cells, strict=True) if len(c) == width) for width in (1, 2))
        raise DatasetError(f"{where}: one metric in line {single}, but two in line {double}")
    (width,) = widths
    scores = np.array([cell or (math.nan,) * width for cell in cells])
    return scores.mean(axis=1, keepdims=True) if pairs == "mean" else scores
