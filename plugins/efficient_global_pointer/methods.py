"""The methods: span scorers with their baselines, and multi-label losses."""

from __future__ import annotations

from harness.spec import Method, Option, Paper

_HERE = "harness_plugins.efficient_global_pointer"

GLOBAL_POINTER = Paper(
    title="Global Pointer: Novel Efficient Span-based Approach for Named Entity Recognition",
    url="https://arxiv.org/abs/2208.03054",
    year=2022,
    authors="Su et al.",
)
EFFICIENT = Paper(
    title="Efficient GlobalPointer: fewer parameters, more effect",
    url="https://kexue.fm/archives/8877",
    year=2022,
    authors="Su",
)
ZLPR = Paper(
    title="ZLPR: A Novel Loss for Multi-label Classification",
    url="https://arxiv.org/abs/2208.02955",
    year=2022,
    authors="Su et al.",
)
SPARSE = Paper(
    title="GPLinker: joint extraction based on GlobalPointer, and the loss in its sparse form",
    url="https://kexue.fm/archives/8888",
    year=2022,
    authors="Su",
)
CRF = Paper(
    title="Conditional Random Fields: Probabilistic Models for Segmenting and Labeling Sequence Data",
    url="https://repository.upenn.edu/handle/20.500.14332/6188",
    year=2001,
    authors="Lafferty, McCallum, Pereira",
)

_HEAD = {
    "types": Option(9, "types of entities; a task makes the scorer anew for those of its corpus", low=1),
    "width": Option(768, "width of the hidden states", low=1, high=65536),
}
_SIZE = {"size": Option(64, "length of queries and keys, a power of two", choices=tuple(2**n for n in range(1, 13)))}
_FORM = {
    "loss": Option(
        "zlpr",
        "form of the loss over the cells of each text and type (role multilabel-loss)",
        choices=("zlpr", "published", "sparse-published", "sparse-safe", "binary"),
    )
}


# One parameter for each field that differs between pointers.
def _pointer(
    name: str, code: str, paper: Paper, text: str, form: dict[str, Option] | None = None, reference: str = ""
) -> Method:
    return Method(
        name=name,
        role="span-scorer",
        build=f"{_HERE}.heads:{code}",
        options=_HEAD | _SIZE | (form or {}),
        paper=paper,
        help=text,
        reference=reference,
    )


def _tagger(name: str, code: str, paper: Paper | None, text: str) -> Method:
    return Method(name=name, role="span-scorer", build=f"{_HERE}.taggers:{code}", options=_HEAD, paper=paper, help=text)


def _loss(name: str, code: str, paper: Paper | None, text: str, option: dict[str, Option] | None = None) -> Method:
    return Method(
        name=name,
        role="multilabel-loss",
        build=f"{_HERE}.multilabel:{code}",
        options=option or {},
        paper=paper,
        help=text,
    )


METHODS = (
    _pointer(
        "efficient-global-pointer",
        "EfficientGlobalPointer",
        EFFICIENT,
        "one extraction score for all types; its loss needs no tensor of all scores",
        reference="efficient-global-pointer-dense",
    ),
    _pointer(
        "efficient-global-pointer-dense",
        "DenseEfficientGlobalPointer",
        EFFICIENT,
        "the same with the score tensor of all cells, as published; takes any form of the loss",
        _FORM,
    ),
    _pointer(
        "efficient-global-pointer-no-rope", "efficient_global_pointer_no_rope", EFFICIENT, "without rotary positions"
    ),
    _pointer(
        "efficient-global-pointer-step-1",
        "StepOneGlobalPointer",
        EFFICIENT,
        "the step before: types see hidden states instead of queries and keys",
    ),
    _pointer("global-pointer", "GlobalPointer", GLOBAL_POINTER, "a query and a key for each type", _FORM),
    _pointer("global-pointer-no-rope", "global_pointer_no_rope", GLOBAL_POINTER, "without rotary positions"),
    _tagger(
        "softmax-bio",
        "SoftmaxTagger",
        None,
        "each token tagged begin, inside or outside on its own; cannot nest",
    ),
    _tagger("crf-bio", "ChainTagger", CRF, "the same tags as a linear-chain conditional random field; cannot nest"),
    _loss("zlpr", "zlpr_loss", ZLPR, "log(1 + sum e^s) + log(1 + sum e^-s) over negatives and positives"),
    _loss(
        "zlpr-published",
        "published_loss",
        ZLPR,
        "the same with 1e12 subtracted from the scores that a sum leaves out",
    ),
    _loss(
        "zlpr-sparse-published",
        "sparse_published_loss",
        SPARSE,
        "the sum of the negatives as that of all minus that of the positives",
        {"epsilon": Option(1e-7, "least value of 1 - e^(positives - all)", low=0, high=1)},
    ),
    _loss("zlpr-sparse-safe", "sparse_safe_loss", None, "positives by index, removed before the sum"),
    _loss("multilabel-softmax", "softmax_loss", ZLPR, "the loss without a zero score for the threshold"),
    _loss(
        "binary-cross-entropy",
        "binary_loss",
        None,
        "each label on its own, mean over labels",
        {"positive_weight": Option(1.0, "factor of the positives' part", low=0)},
    ),
)
