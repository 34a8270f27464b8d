"""The labelled corpora: their files, types, licences and places, and how each is split."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DatasetError
from harness.spec import Dataset, Place

if TYPE_CHECKING:
    from harness_plugins.efficient_global_pointer.corpus import Corpus, Sentence

_HERE = "harness_plugins.efficient_global_pointer.corpora"
_RAW = "https://raw.githubusercontent.com"

#: The types of each corpus.
TYPES = {
    "cluener": (
        "address", "book", "company", "game", "government", "movie", "name", "organization", "position", "scene",
    ),
    "resume": ("CONT", "EDU", "LOC", "NAME", "ORG", "PRO", "RACE", "TITLE"),
    "wnut17": ("corporation", "creative-work", "group", "location", "person", "product"),
    "germeval2014": tuple(f"{kind}{part}" for kind in ("LOC", "ORG", "OTH", "PER") for part in ("", "deriv", "part")),
    "genia": ("DNA", "RNA", "cell_line", "cell_type", "protein"),
}  # fmt: skip
#: Those whose entities nest.
NESTED = ("germeval2014", "genia")

DATASETS = (
    Dataset(
        name="cluener",
        licence="none stated",
        load=f"{_HERE}:load_cluener",
        files={
            "train.json": ("60299d202779dc84f3c3bd81f4dc08f5323d0dbf762cb50cd62dd51aa9a871f8",),
            "dev.json": ("90036b59832e007c45d11eafe5ed80549f58a18a29aaa7fe8b1229622c69ec38",),
        },
        places=(
            Place(
                url=f"{_RAW}/gaohongkui/GlobalPointer_pytorch/64d5cb881b880848c84c9d6200ca42ed7d9658b3/datasets/cluener/"
            ),
        ),
        help="12,091 Chinese sentences, 10 types, flat; tested on dev, since the test split has no labels",
    ),
    Dataset(
        name="resume",
        licence="none stated",
        load=f"{_HERE}:load_resume",
        files={
            "train.char.bmes": ("93b9bb0be5dd4730121587f9dc1378de3fbbe55cba1c575edec271f822c27be7",),
            "dev.char.bmes": ("1b0d67153e6e8543e9444936ed1b107bd843078c282533898085e1a9aa293952",),
            "test.char.bmes": ("c4a9f42622819a4b59f66e184d446ebfa89b2f1dbba06e11d70675e59fe7e79b",),
        },
        places=(Place(url=f"{_RAW}/jiesutd/LatticeLSTM/24d17f4270f11d2f75046789d8b67eaa2b907dce/ResumeNER/"),),
        help="4,761 sentences of Chinese CVs, 8 types, flat",
    ),
    Dataset(
        name="wnut17",
        licence="CC BY 4.0",
        load=f"{_HERE}:load_wnut17",
        files={
            "wnut17train.conll": ("731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",),
            "emerging.dev.conll": ("e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",),
            "emerging.test.annotated": ("2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",),
        },
        places=(Place(url=f"{_RAW}/leondz/emerging_entities_17/e52a2d2a71ac1a051ca2d532eef28653c5c02603/"),),
        help="5,690 English posts with entities that are new, 6 types, flat",
    ),
    Dataset(
        name="germeval2014",
        licence="none stated",
        load=f"{_HERE}:load_germeval2014",
        files={"GermEval2014.zip": ("fc04c1d6af8bb8fa3cd15b6f0b1fed7b303351bc6e76a9088876007742f2cb9f",)},
        places=(Place(url=f"{_RAW}/thecharm/boundary-aware-nested-ner/7e87e1cb282a4441f1136c8eac5de5aedad60138/"),),
        help="31,300 German sentences, 12 types, nested in two layers",
    ),
    Dataset(
        name="genia",
        licence="annotations CC BY 3.0, abstracts by PubMed (GENIA Project License)",
        load=f"{_HERE}:load_genia",
        files={
            "genia.dev.iob2": ("b8565cf774e8fceb38af62bbab0b84981640accc63fc5680223b97007da35903",),
            "genia.test.iob2": ("607cfab2744aff2d8af5c5613320c8138605aca64a987c8ab2d98e5dfe067691",),
        },
        places=(
            Place(
                url=f"{_RAW}/thecharm/boundary-aware-nested-ner/7e87e1cb282a4441f1136c8eac5de5aedad60138/"
                "Our_boundary-aware_model/data/genia/"
            ),
        ),
        help="3,523 sentences of English abstracts, 5 types, nested in four layers; trained on dev, tested on test",
    ),
)


def load_cluener(paths: Mapping[str, Path]) -> Corpus:
    """CLUENER: the published dev split is the test split here, a tenth of train is held out for validation."""
    from harness_plugins.efficient_global_pointer.corpus import Corpus, hold_out
    from harness_plugins.efficient_global_pointer.readers import read_json_lines

    types = TYPES["cluener"]
    train, test = (read_json_lines(paths[f].read_bytes(), str(paths[f]), types) for f in ("train.json", "dev.json"))
    train, valid = hold_out(train)
    return Corpus(train, valid, test, types)


def load_resume(paths: Mapping[str, Path]) -> Corpus:
    """Resume NER, in its three splits."""
    from harness_plugins.efficient_global_pointer.corpus import Corpus
    from harness_plugins.efficient_global_pointer.readers import read_bmes

    types = TYPES["resume"]
    files = [paths[f"{split}.char.bmes"] for split in ("train", "dev", "test")]
    train, valid, test = (read_bmes(file.read_bytes(), str(file), types) for file in files)
    return Corpus(train, valid, test, types)


def load_wnut17(paths: Mapping[str, Path]) -> Corpus:
    """WNUT 17, in its three splits."""
    from harness_plugins.efficient_global_pointer.corpus import Corpus
    from harness_plugins.efficient_global_pointer.readers import read_columns

    types = TYPES["wnut17"]
    files = [paths[f] for f in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")]
    train, valid, test = (read_columns(file.read_bytes(), str(file), types) for file in files)
    return Corpus(train, valid, test, types)


def load_germeval2014(paths: Mapping[str, Path]) -> Corpus:
    """GermEval 2014 with both of its layers, read inside the archive."""
    from harness_plugins.efficient_global_pointer.corpus import Corpus
    from harness_plugins.efficient_global_pointer.readers import read_columns

    types, (path,) = TYPES["germeval2014"], paths.values()
    splits: list[tuple[Sentence, ...]] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for split in ("train", "dev", "test"):
                member = f"GermEval2014/germ.{split}.iob2"
                splits.append(read_columns(archive.read(member), f"{path}: {member}", types, layers=2))
    except (zipfile.BadZipFile, KeyError) as error:
        raise DatasetError(f"{path}: not the archive that is needed: {str(error).strip(chr(34))}") from None
    train, valid, test = splits
    return Corpus(train, valid, test, types)


def load_genia(paths: Mapping[str, Path]) -> Corpus:
    """GENIA with its four layers; there is no train split, so dev is it, less a tenth for validation."""
    from harness_plugins.efficient_global_pointer.corpus import Corpus, hold_out
    from harness_plugins.efficient_global_pointer.readers import read_columns

    types = TYPES["genia"]
    train, test = (
        read_columns(paths[f].read_bytes(), str(paths[f]), types, layers=4)
        for f in ("genia.dev.iob2", "genia.test.iob2")
    )
    train, valid = hold_out(train)
    return Corpus(train, valid, test, types)
