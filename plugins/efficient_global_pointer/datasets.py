"""The labelled corpora: files, digests, licences and where they are published."""

from __future__ import annotations

from harness.spec import Dataset, Place

_LOADING = "harness_plugins.efficient_global_pointer.loading"
_RAW = "https://raw.githubusercontent.com"

DATASETS = (
    Dataset(
        name="cluener",
        licence="none stated",
        load=f"{_LOADING}:load_cluener",
        files={
            "train.json": ("60299d202779dc84f3c3bd81f4dc08f5323d0dbf762cb50cd62dd51aa9a871f8",),
            "dev.json": ("90036b59832e007c45d11eafe5ed80549f58a18a29aaa7fe8b1229622c69ec38",),
        },
        places=(
            Place(
                url=f"{_RAW}/gaohongkui/GlobalPointer_pytorch/64d5cb881b880848c84c9d6200ca42ed7d9658b3/datasets/cluener/"
            ),
        ),
        help="12,091 Chinese sentences, 10 types, flat; tested on dev, as the test split has no labels",
    ),
    Dataset(
        name="resume",
        licence="none stated",
        load=f"{_LOADING}:load_resume",
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
        load=f"{_LOADING}:load_wnut17",
        files={
            "wnut17train.conll": ("731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",),
            "emerging.dev.conll": ("e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",),
            "emerging.test.annotated": ("2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",),
        },
        places=(Place(url=f"{_RAW}/leondz/emerging_entities_17/e52a2d2a71ac1a051ca2d532eef28653c5c02603/"),),
        help="5,690 English posts with new and rare entities, 6 types, flat",
    ),
    Dataset(
        name="germeval2014",
        licence="none stated",
        load=f"{_LOADING}:load_germeval2014",
        files={"GermEval2014.zip": ("fc04c1d6af8bb8fa3cd15b6f0b1fed7b303351bc6e76a9088876007742f2cb9f",)},
        places=(Place(url=f"{_RAW}/thecharm/boundary-aware-nested-ner/7e87e1cb282a4441f1136c8eac5de5aedad60138/"),),
        help="31,300 German sentences, 12 types, nested in two layers",
    ),
    Dataset(
        name="genia",
        licence="annotations CC BY 3.0, abstracts by PubMed (GENIA Project License)",
        load=f"{_LOADING}:load_genia",
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
