"""Load the published corpora: which file is which split, and in which format."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from harness.errors import DatasetError
from harness_plugins.efficient_global_pointer.corpus import Corpus, Sentence, hold_out
from harness_plugins.efficient_global_pointer.entity_types import TYPES
from harness_plugins.efficient_global_pointer.readers import read_bmes, read_columns, read_json_lines


def load_cluener(paths: Mapping[str, Path]) -> Corpus:
    """CLUENER: the published dev split is the test split, a tenth of train is held out for validation."""
    types = TYPES["cluener"]
    files = [paths[file] for file in ("train.json", "dev.json")]
    train, test = (read_json_lines(file.read_bytes(), str(file), types) for file in files)
    train, valid = hold_out(train)
    return Corpus(train, valid, test, types)


def load_resume(paths: Mapping[str, Path]) -> Corpus:
    """Resume NER, in its three splits."""
    types = TYPES["resume"]
    files = [paths[f"{split}.char.bmes"] for split in ("train", "dev", "test")]
    train, valid, test = (read_bmes(file.read_bytes(), str(file), types) for file in files)
    return Corpus(train, valid, test, types)


def load_wnut17(paths: Mapping[str, Path]) -> Corpus:
    """WNUT 17, in its three splits."""
    types = TYPES["wnut17"]
    files = [paths[file] for file in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")]
    train, valid, test = (read_columns(file.read_bytes(), str(file), types) for file in files)
    return Corpus(train, valid, test, types)


def load_germeval2014(paths: Mapping[str, Path]) -> Corpus:
    """GermEval 2014 with both of its layers, read from the archive."""
    types, (path,) = TYPES["germeval2014"], paths.values()
    splits: list[tuple[Sentence, ...]] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for split in ("train", "dev", "test"):
                member = f"GermEval2014/germ.{split}.iob2"
                splits.append(read_columns(archive.read(member), f"{path}: {member}", types, layers=2))
    except (zipfile.BadZipFile, KeyError) as error:
        raise DatasetError(f"{path}: not the expected archive: {str(error).strip(chr(34))}") from None
    train, valid, test = splits
    return Corpus(train, valid, test, types)


def load_genia(paths: Mapping[str, Path]) -> Corpus:
    """GENIA with its four layers. It has no train split: dev is trained on, a tenth of it held out for validation."""
    types = TYPES["genia"]
    files = [paths[file] for file in ("genia.dev.iob2", "genia.test.iob2")]
    train, test = (read_columns(file.read_bytes(), str(file), types, layers=4) for file in files)
    train, valid = hold_out(train)
    return Corpus(train, valid, test, types)
