"""Read sentence pairs from their published files, each in its own format, and find pairs that leak between parts.

Every loader takes {file name: path} and returns a ``Corpus`` or ``Pairs``. Quotation marks are ordinary characters in
all of these files. A bad line raises DatasetError with file, line, what was found and what is needed.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import DatasetError

#: Seed of the split where a set has no valid part. Another seed would be other data.
SPLIT_SEED = 20220106
#: Pairs of the official training parts.
OFFICIAL_ROWS = {"ATEC": 62_477, "BQ": 100_000, "LCQMC": 238_766}
_WHOLE = re.compile("[0-9]+")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Pairs:
    """N pairs of texts with a label each, from 0 to ``Corpus.highest``: the higher, the more alike the texts."""

    first: list[str]
    second: list[str]
    labels: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Pairs:
        """Some of the rows, in this order."""
        return Pairs([self.first[row] for row in rows], [self.second[row] for row in rows], self.labels[rows])

    def keys(self) -> list[frozenset[str]]:
        """Each pair without the order of its texts."""
        return [frozenset(pair) for pair in zip(self.first, self.second, strict=True)]

    def lengths(self) -> list[int]:
        """Characters of both texts of each pair."""
        return [len(a) + len(b) for a, b in zip(self.first, self.second, strict=True)]


@dataclass(frozen=True)
class Corpus:
    """The parts of a set, as published."""

    train: Pairs
    valid: Pairs
    test: Pairs
    #: The label of pairs with the same meaning; that of pairs with different meanings is 0.
    highest: float

    @property
    def graded(self) -> bool:
        """Whether there are more labels than two."""
        return self.highest != 1

    @property
    def leaked(self) -> int:
        """Number of pairs of train and valid that are also in a later part, their texts in either order."""
        clean = self.without_leaks()
        return len(self.train) + len(self.valid) - len(clean.train) - len(clean.valid)

    def without_leaks(self) -> Corpus:
        """The corpus without those pairs."""
        test_keys, valid_keys = set(self.test.keys()), self.valid.keys()
        clean_valid = [row for row, key in enumerate(valid_keys) if key not in test_keys]
        later = test_keys.union(valid_keys)
        clean_train = [row for row, key in enumerate(self.train.keys()) if key not in later]
        return replace(self, train=self.train.take(clean_train), valid=self.valid.take(clean_valid))


def load_stsb(paths: Mapping[str, Path]) -> Corpus:
    """STS benchmark: a gzipped table with a header and the columns split, score, sentence1 and sentence2."""
    (path,) = paths.values()
    header = ["split", "genre", "dataset", "year", "sid", "score", "sentence1", "sentence2"]
    parts: dict[str, list[tuple[str, str, float]]] = {"train": [], "dev": [], "test": []}
    for number, row in _rows_below(path, header):
        if row[0] not in parts:
            raise DatasetError(f"{path}: line {number}: split train, dev or test is needed, found {row[0]!r}")
        parts[row[0]].append((row[6], row[7], _score(path, number, row[5], 5)))
    return _corpus([_pairs(path, rows, f"split {name}: ") for name, rows in parts.items()], 5)


def load_stsb_zh(paths: Mapping[str, Path]) -> Corpus:
    """Chinese STS-B: three files of text, text and a whole grade."""
    return _corpus([read_triples(paths[f"STS-B.{part}.data"], highest=5) for part in ("train", "valid", "test")], 5)


def load_lcqmc(paths: Mapping[str, Path]) -> Corpus:
    """LCQMC without its training part: four fifths of the valid part are trained on."""
    return _corpus(
        [*_hold_out(read_triples(paths["LCQMC.valid.data"]), 0.2), read_triples(paths["LCQMC.test.data"])], 1
    )


def load_atec(paths: Mapping[str, Path]) -> Corpus:
    """ATEC with a derived training part: the pairs of the full set that are in neither valid nor test."""
    files = ("derived_train_minus_valid_test.tsv", "ATEC.valid.data", "ATEC.test.data")
    return _corpus([read_triples(paths[file]) for file in files], 1)


def load_afqmc(paths: Mapping[str, Path]) -> Corpus:
    """AFQMC: dev is the test part, as the official one has no labels; a tenth of train is the valid part."""
    return _corpus([*_hold_out(read_triples(paths["train.txt"]), 0.1), read_triples(paths["dev.txt"])], 1)


def load_paws(paths: Mapping[str, Path]) -> Corpus:
    """PAWS-X in Chinese without its training part: four fifths of dev are trained on.

    Pairs with an untranslated text ("NS", or empty) are left out.
    """
    dev, test = (_read_paws(paths[f"csts_{part}_2k.tsv"]) for part in ("dev", "test"))
    return _corpus([*_hold_out(dev, 0.2), test], 1)


def load_mrpc(paths: Mapping[str, Path]) -> Corpus:
    """MRPC: three tables with the columns Quality, two numbers and two texts."""
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    parts = []
    for part in ("train", "val", "test"):
        path = paths[f"msr-para-{part}.tsv"]
        rows = [
            (row[3], row[4], _score(path, number, row[0], 1, whole=True)) for number, row in _rows_below(path, header)
        ]
        parts.append(_pairs(path, rows))
    return _corpus(parts, 1)


def load_published(paths: Mapping[str, Path]) -> Corpus:
    """A set of the article in full: NAME.train.data, NAME.valid.data and NAME.test.data, as its author split it.

    Lines are read as by the author's code, which strips each line and then looks for three columns: blank lines, and
    lines whose first or last column is empty, are left out; an empty second text stays. Lines with more or fewer
    columns, which that code leaves out too, are an error here. Raises DatasetError if the training part is not as
    long as the official one.
    """
    name = next(iter(paths)).partition(".")[0]
    parts = [read_triples(paths[f"{name}.{part}.data"], strip=True) for part in ("train", "valid", "test")]
    count = len(parts[0])
    official = OFFICIAL_ROWS.get(name, count)
    if count != official:
        path = paths[f"{name}.train.data"]
        raise DatasetError(f"{path}: the official training part has {official:,} pairs, found {count:,}")
    return _corpus(parts, 1)


def load_inference(paths: Mapping[str, Path]) -> Pairs:
    """Lines of JSON with sentence1, sentence2 and gold_label: contradiction is 0, neutral 1, entailment 2.

    Lines with another gold label, on which annotators did not agree, are left out.
    """
    ((_, path),) = paths.items()
    labels = {"contradiction": 0.0, "neutral": 1.0, "entailment": 2.0}
    rows = []
    for number, line in _lines(path):
        if not line.strip():
            continue
        first, second, label = _inference_fields(path, number, line)
        if label in labels:
            rows.append((first, second, labels[label]))
    pairs = _pairs(path, rows)
    pairs.labels.setflags(write=False)
    return pairs


def _inference_fields(path: Path, number: int, line: str) -> list[str]:
    names = ("sentence1", "sentence2", "gold_label")
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    fields = [content.get(name) for name in names] if isinstance(content, dict) else []
    texts = [field for field in fields if isinstance(field, str)]
    if len(texts) < len(names):
        expected = "a JSON object with the texts sentence1, sentence2 and gold_label is needed"
        raise DatasetError(f"{path}: line {number}: {expected}, found {line[:80]!r}")
    return texts


def read_triples(path: Path, highest: int = 1, strip: bool = False) -> Pairs:
    """Lines of text, text and a whole label from 0 to ``highest``, tab-separated, without a header.

    An empty text is an error; with ``strip``, lines are read as ``load_published`` says.
    """
    rows = []
    for number, line in _lines(path):
        if strip and not line.strip():
            continue
        fields = _fields(path, number, line, columns=3, allow_empty=strip)
        if strip:
            fields = line.strip().split("\t")
            if len(fields) < 3:
                continue
        first, second, label = fields
        rows.append((first, second, _score(path, number, label, highest, whole=True)))
    return _pairs(path, rows)


def _read_paws(path: Path) -> Pairs:
    header = ["id", "sentence1", "sentence2", "label"]
    rows = [
        (row[1], row[2], _score(path, number, row[3], 1, whole=True))
        for number, row in _rows_below(path, header, allow_empty=True)
        if all(text.strip() not in ("", "NS") for text in row[1:3])
    ]
    return _pairs(path, rows)


def _rows_below(path: Path, header: list[str], allow_empty: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of a table, below its first line, which must be ``header``."""
    for number, line in _lines(path):
        if number > 1:
            yield number, _fields(path, number, line, len(header), allow_empty)
        elif line.split("\t") != header:
            raise DatasetError(f"{path}: line 1: the columns {', '.join(header)} are needed, found {line[:200]!r}")


def _fields(path: Path, number: int, line: str, columns: int, allow_empty: bool) -> list[str]:
    """The columns of a line, of which there must be so many."""
    fields = line.split("\t")
    if len(fields) != columns:
        expected = f"{columns} tab-separated columns are needed"
        raise DatasetError(f"{path}: line {number}: {expected}, found {len(fields)}: {line[:80]!r}")
    for column, field in enumerate(fields, start=1):
        if not allow_empty and not field.strip():
            raise DatasetError(f"{path}: line {number}: column {column} is empty: {line[:80]!r}")
    return fields


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a file in UTF-8."""
    content = _content(path).removeprefix(b"\xef\xbb\xbf")
    # Only a line feed ends a line: splitlines would cut at characters that stand within texts.
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = raw[error.start : error.start + 1].hex()
            raise DatasetError(
                f"{path}: line {number}: UTF-8 is needed, found {byte} as byte {error.start + 1}"
            ) from None
        yield number, line.rstrip("\r")


def _content(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is gzipped."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {(error.strerror or '').lower()}") from None
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: not a complete gzip file: {str(error).rstrip('.').lower()}") from None


def _score(path: Path, number: int, text: str, highest: int, whole: bool = False) -> float:
    # float alone would accept 0_1, digits of other scripts and nan.
    form = _WHOLE if whole else _DECIMAL
    if not form.fullmatch(text) or (score := float(text)) > highest:
        kind = "a whole number" if whole else "a number"
        raise DatasetError(f"{path}: line {number}: {kind} from 0 to {highest} is needed, found {text!r}")
    return score


def _pairs(path: Path, rows: Sequence[tuple[str, str, float]], where: str = "") -> Pairs:
    if not rows:
        raise DatasetError(f"{path}: {where}at least one pair is needed, found none")
    first, second, labels = zip(*rows, strict=True)
    return Pairs(list(first), list(second), np.array(labels, dtype=np.float64))


def _hold_out(pairs: Pairs, share: float) -> tuple[Pairs, Pairs]:
    """The pairs without a random ``share`` of them, and that share."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(pairs))
    count = round(share * len(pairs))
    return pairs.take(order[count:]), pairs.take(order[:count])


def _corpus(parts: Sequence[Pairs], highest: float) -> Corpus:
    for part in parts:
        part.labels.setflags(write=False)
    train, valid, test = parts
    return Corpus(train, valid, test, highest)
