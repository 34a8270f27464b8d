"""Sentence pairs read from their published files, each in its own format, and what leaks between their parts.

Every loader takes {file name: path} and gives a ``Corpus``. Nothing is unquoted: in all of these files a quotation
mark is a character like any other. A line that is not what it should be raises DatasetError with file and line.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import DatasetError

#: Fixes which rows are kept to choose by where a set has no valid part. Another number is other data.
SPLIT_SEED = 20220106
#: Pairs of the official training parts.
OFFICIAL_ROWS = {"ATEC": 62_477, "BQ": 100_000, "LCQMC": 238_766}
_WHOLE = re.compile("[0-9]+")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Pairs:
    """N pairs of texts, and how alike each is, from 0 to ``Corpus.highest``."""

    first: list[str]
    second: list[str]
    labels: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Pairs:
        """Some of the rows, in this order."""
        return Pairs([self.first[row] for row in rows], [self.second[row] for row in rows], self.labels[rows])

    def keys(self) -> list[frozenset[str]]:
        """Each pair without its order."""
        return [frozenset(pair) for pair in zip(self.first, self.second, strict=True)]


@dataclass(frozen=True)
class Corpus:
    """The parts of a set, as they are published."""

    train: Pairs
    valid: Pairs
    test: Pairs
    #: The label of pairs that are the same; 0 is that of pairs that are not.
    highest: float

    @property
    def graded(self) -> bool:
        """Whether there are more labels than two."""
        return self.highest != 1

    @property
    def leaked(self) -> int:
        """How many pairs of train and valid stand in a later part too, whichever of their texts comes first."""
        clean = self.without_leaks()
        return len(self.train) + len(self.valid) - len(clean.train) - len(clean.valid)

    def without_leaks(self) -> Corpus:
        """The same without those pairs of train and valid."""
        test, valid = self.test.keys(), self.valid.keys()
        tested = set(test)
        kept_valid = [row for row, key in enumerate(valid) if key not in tested]
        seen = {*test, *valid}
        kept_train = [row for row, key in enumerate(self.train.keys()) if key not in seen]
        return replace(self, train=self.train.take(kept_train), valid=self.valid.take(kept_valid))


def load_stsb(paths: Mapping[str, Path]) -> Corpus:
    """STS benchmark: a gzipped table with a header and the columns split, score, sentence1 and sentence2."""
    (path,) = paths.values()
    header = ["split", "genre", "dataset", "year", "sid", "score", "sentence1", "sentence2"]
    parts: dict[str, list[tuple[str, str, float]]] = {"train": [], "dev": [], "test": []}
    for number, row in _rows(path, header):
        if row[0] not in parts:
            raise DatasetError(f"{path}: line {number}: split train, dev or test is needed, found {row[0]!r}")
        parts[row[0]].append((row[6], row[7], _score(path, number, row[5], 5)))
    return _corpus([_some(path, rows, f"split {name}") for name, rows in parts.items()], 5)


def load_stsb_zh(paths: Mapping[str, Path]) -> Corpus:
    """Chinese STS-B: three files of text, text and a whole grade."""
    return _corpus([read_triples(paths[f"STS-B.{part}.data"], highest=5) for part in ("train", "valid", "test")], 5)


def load_lcqmc(paths: Mapping[str, Path]) -> Corpus:
    """LCQMC without its training part: four fifths of the valid part are trained on."""
    return _corpus(
        [*_held_out(read_triples(paths["LCQMC.valid.data"]), 0.2), read_triples(paths["LCQMC.test.data"])], 1
    )


def load_atec(paths: Mapping[str, Path]) -> Corpus:
    """ATEC with a training part that is not the official one: what of the full set is in neither valid nor test."""
    files = ("derived_train_minus_valid_test.tsv", "ATEC.valid.data", "ATEC.test.data")
    return _corpus([read_triples(paths[file]) for file in files], 1)


def load_afqmc(paths: Mapping[str, Path]) -> Corpus:
    """AFQMC, whose test part has no labels: dev is tested on, a tenth of train is chosen by."""
    return _corpus([*_held_out(read_triples(paths["train.txt"]), 0.1), read_triples(paths["dev.txt"])], 1)


def load_paws(paths: Mapping[str, Path]) -> Corpus:
    """PAWS-X in Chinese without its training part: four fifths of dev are trained on.

    Pairs of which one text was not translated ("NS", or none) are left out.
    """
    dev, test = (_paws(paths[f"csts_{part}_2k.tsv"]) for part in ("dev", "test"))
    return _corpus([*_held_out(dev, 0.2), test], 1)


def load_mrpc(paths: Mapping[str, Path]) -> Corpus:
    """MRPC: tables with the columns Quality, two numbers and two texts, in which quotation marks are characters."""
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    parts = []
    for part in ("train", "val", "test"):
        path = paths[f"msr-para-{part}.tsv"]
        rows = [(row[3], row[4], _score(path, number, row[0], 1, whole=True)) for number, row in _rows(path, header)]
        parts.append(_some(path, rows))
    return _corpus(parts, 1)


def load_published(paths: Mapping[str, Path]) -> Corpus:
    """A set of the article in full: NAME.train.data, NAME.valid.data and NAME.test.data, as its author split it.

    Blank lines and those that begin or end with an empty column are left out, as by his code, which strips each line
    before it looks for three columns; an empty second text stays. Other lines of more or fewer columns, which his code
    leaves out too, are an error. Raises DatasetError where the training part has another number of pairs than the
    official one.
    """
    name = next(iter(paths)).partition(".")[0]
    parts = [read_triples(paths[f"{name}.{part}.data"], strip=True) for part in ("train", "valid", "test")]
    if (found := len(parts[0])) != (official := OFFICIAL_ROWS.get(name, found)):
        path = paths[f"{name}.train.data"]
        raise DatasetError(f"{path}: the official training part has {official:,} pairs, found {found:,}")
    return _corpus(parts, 1)


def load_inference(paths: Mapping[str, Path]) -> Pairs:
    """Lines of JSON with sentence1, sentence2 and gold_label: contradiction is 0, neutral 1, entailment 2.

    Lines with another gold label, which annotators did not agree on, are left out.
    """
    ((_, path),) = paths.items()
    labels = {"contradiction": 0.0, "neutral": 1.0, "entailment": 2.0}
    rows = []
    for number, (line,) in _rows(path, columns=1, blank=True, separator=None):
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        names = ("sentence1", "sentence2", "gold_label")
        fields = [str(told[name]) for name in names if isinstance(told, dict) and isinstance(told.get(name), str)]
        if len(fields) < len(names):
            needed = "a JSON object with the texts sentence1, sentence2 and gold_label is needed"
            raise DatasetError(f"{path}: line {number}: {needed}, found {line[:80]!r}")
        first, second, label = fields
        if label in labels:
            rows.append((first, second, labels[label]))
    pairs = _some(path, rows)
    pairs.labels.setflags(write=False)
    return pairs


def read_triples(path: Path, highest: int = 1, strip: bool = False) -> Pairs:
    """Lines of text, text and a whole label from 0 to ``highest``, tabs between, no header.

    An empty text is an error; with ``strip`` lines are read as ``load_published`` says.
    """
    rows = []
    for number, fields in _rows(path, columns=3, empty=strip, blank=strip):
        first, second, label = fields
        if strip:
            stripped = "\t".join(fields).strip().split("\t")
            if len(stripped) < len(fields):
                continue
            first, second, label = stripped
        rows.append((first, second, _score(path, number, label, highest, whole=True)))
    return _some(path, rows)


def _paws(path: Path) -> Pairs:
    header = ["id", "sentence1", "sentence2", "label"]
    rows = [
        (row[1], row[2], _score(path, number, row[3], 1, whole=True))
        for number, row in _rows(path, header, empty=True)
        if all(text.strip() not in ("", "NS") for text in row[1:3])
    ]
    return _some(path, rows)


def _rows(
    path: Path,
    header: Sequence[str] = (),
    columns: int = 0,
    empty: bool = False,
    blank: bool = False,
    separator: str | None = "\t",
) -> Iterable[tuple[int, list[str]]]:
    """Line numbers and fields of a table with tabs; with a ``header``, which must be these names.

    With ``empty`` a column may be, with ``blank`` a line is left out that is; without ``separator`` a line is a field.
    """
    content = _content(path).removeprefix(b"\xef\xbb\xbf")
    columns = columns or len(header)
    # Lines end with a line feed alone: splitlines would cut at characters that stand within texts.
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            where = f"byte {error.start + 1} of it is {raw[error.start : error.start + 1].hex()}"
            raise DatasetError(f"{path}: line {number}: text in UTF-8 is needed, {where}") from None
        if blank and not line.strip():
            continue
        fields = line.split(separator) if separator else [line]
        if number == 1 and header:
            if fields != list(header):
                raise DatasetError(f"{path}: line 1: the columns {', '.join(header)} are needed, found {line[:200]!r}")
            continue
        if len(fields) != columns:
            found = f"found {len(fields)}: {line[:80]!r}"
            raise DatasetError(f"{path}: line {number}: {columns} columns with tabs between are needed, {found}")
        if not empty and not all(field.strip() for field in fields):
            raise DatasetError(f"{path}: line {number}: column {_blank(fields)} is empty: {line[:80]!r}")
        yield number, fields


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: a file that can be read is needed: {(error.strerror or '').lower()}") from None
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: not a whole gzip file: {str(error).rstrip('.').lower()}") from None


def _blank(fields: Sequence[str]) -> int:
    return next(place for place, field in enumerate(fields, start=1) if not field.strip())


def _score(path: Path, number: int, text: str, highest: int, whole: bool = False) -> float:
    kind, form = ("a whole label", _WHOLE) if whole else ("a score", _DECIMAL)
    # float alone would take 0_1, digits of other scripts and nan too.
    if not form.fullmatch(text) or (score := float(text)) > highest:
        raise DatasetError(f"{path}: line {number}: {kind} from 0 to {highest} is needed, found {text!r}")
    return score


def _some(path: Path, rows: Sequence[tuple[str, str, float]], what: str = "it") -> Pairs:
    if not rows:
        raise DatasetError(f"{path}: {what} needs at least one pair, found none")
    first, second, labels = zip(*rows, strict=True)
    return Pairs(list(first), list(second), np.array(labels, dtype=np.float64))


def _held_out(pairs: Pairs, share: float) -> tuple[Pairs, Pairs]:
    """Most of the pairs and a random ``share`` of them."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(pairs))
    held = round(share * len(pairs))
    return pairs.take(order[held:]), pairs.take(order[:held])


def _corpus(parts: Sequence[Pairs], highest: float) -> Corpus:
    for part in parts:
        part.labels.setflags(write=False)
    train, valid, test = parts
    return Corpus(train, valid, test, highest)
