"""Readers of the published files of text sets: a list of texts and their class numbers for each part.

Every loader takes {file name: path} and returns ``train_texts``, ``test_texts`` (lists of str) and ``train_labels``,
``test_labels`` (int64 [N]); a set with a validation part also has ``valid_texts`` and ``valid_labels``. Class numbers
are indices into ``classes``, the sorted class names of the training part. A malformed line raises DatasetError with
the file and the line number.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DatasetError

#: A text and the name of its class.
Row = tuple[str, str]


def load_banking77(paths: Mapping[str, Path]) -> dict[str, Any]:
    """BANKING77: two CSV files with the columns text and category."""
    return _numbered({part: (paths[f"{part}.csv"], read_csv(paths[f"{part}.csv"])) for part in ("train", "test")})


def load_trec(paths: Mapping[str, Path]) -> dict[str, Any]:
    """TREC questions with their 50 fine classes, without test questions that are also training questions.

    Ten of the 500 test questions are, word for word; their scores would say nothing about new questions.
    """
    rows = {part: read_trec(paths[f"raw_TREC.{part}"]) for part in ("train", "test")}
    train_texts = {text for text, _ in rows["train"]}
    rows["test"] = [row for row in rows["test"] if row[0] not in train_texts]
    return _numbered({part: (paths[f"raw_TREC.{part}"], rows[part]) for part in rows})


def load_fewclue(paths: Mapping[str, Path]) -> dict[str, Any]:
    """A FewCLUE set: JSON lines with a sentence and a label. The files join all samples of a part of the set."""
    files = {"train": "train_few_all.json", "valid": "dev_few_all.json", "test": "test_public.json"}
    return _numbered({part: (paths[name], read_json_lines(paths[name])) for part, name in files.items()})


def read_csv(path: Path) -> list[Row]:
    """Rows of a CSV file with the header text,category."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            if header != ["text", "category"]:
                raise DatasetError(f"{path}: line 1: the header text,category is needed, found {','.join(header)!r}")
            rows = []
            for row in reader:
                if len(row) != 2 or not all(field.strip() for field in row):
                    raise DatasetError(f"{path}: line {reader.line_num}: a text and a category are needed, found {row}")
                rows.append((row[0], row[1]))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not a CSV file in UTF-8: {error}") from None
    return _require_rows(path, rows)


def read_trec(path: Path) -> list[Row]:
    """Rows of a Latin-1 file with lines ``COARSE:fine question``."""
    rows = []
    for number, line in enumerate(_lines(path.read_bytes().decode("latin-1")), start=1):
        label, _, question = line.partition(" ")
        coarse, colon, fine = label.partition(":")
        if not (coarse and colon and fine and question.strip()):
            raise DatasetError(f"{path}: line {number}: COARSE:fine and a question are needed, found {line!r}")
        rows.append((question.strip(), label))
    return _require_rows(path, rows)


def read_json_lines(path: Path) -> list[Row]:
    """Rows of a file of JSON objects, one a line, with ``sentence`` (text) and ``label`` (an integer)."""
    rows = []
    try:
        lines = _lines(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not text in UTF-8: {error}") from None
    for number, line in enumerate(lines, start=1):
        try:
            item = json.loads(line)
        except ValueError as error:
            raise DatasetError(f"{path}: line {number}: not JSON: {error}") from None
        sentence, label = (item.get("sentence"), item.get("label")) if isinstance(item, dict) else (None, None)
        if not isinstance(sentence, str) or not sentence.strip() or type(label) is not int:
            raise DatasetError(f"{path}: line {number}: a sentence and an integer label are needed, found {line!r}")
        # Zeros in front, so that names sort like the numbers.
        rows.append((sentence, f"{label:04d}"))
    return _require_rows(path, rows)


def _lines(content: str) -> list[str]:
    """Lines that end with a line feed; splitlines would also split at other separators, which texts may contain."""
    return [line.rstrip("\r") for line in content.removesuffix("\n").split("\n")] if content else []


def _require_rows(path: Path, rows: list[Row]) -> list[Row]:
    if not rows:
        raise DatasetError(f"{path}: at least one row is needed, found none")
    return rows


def _numbered(parts: Mapping[str, tuple[Path, Sequence[Row]]]) -> dict[str, Any]:
    """Texts and class numbers of each part. Raises DatasetError for a class without training rows."""
    classes = sorted({name for _, name in parts["train"][1]})
    numbers = {name: number for number, name in enumerate(classes)}
    data: dict[str, Any] = {"classes": classes}
    for part, (path, rows) in parts.items():
        if unknown := sorted({name for _, name in rows} - numbers.keys()):
            raise DatasetError(f"{path}: class {unknown[0]!r} has no training row; classes are {', '.join(classes)}")
        data[f"{part}_texts"] = [text for text, _ in rows]
        data[f"{part}_labels"] = np.array([numbers[name] for _, name in rows], dtype=np.int64)
    return data
