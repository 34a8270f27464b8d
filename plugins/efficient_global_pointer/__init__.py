"""Efficient GlobalPointer, GlobalPointer and taggers for flat and nested entities, and their losses.

Claims of the articles kexue.fm/archives/8373, 8877, 7359 and 8888 (arXiv 2208.03054, 2208.02955) and of replications.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Method, Metric, Option, Paper, Role, Task, Workload
from harness_plugins.efficient_global_pointer.corpora import DATASETS, NESTED, TYPES
from harness_plugins.efficient_global_pointer.roles import ROLES
from harness_plugins.efficient_global_pointer.workloads import WORKLOADS
from harness_plugins.encoders.options import ENCODER, TRAINING

#: What "harness check" is told not to ask, and why.
HARNESS_EXCEPTIONS = {"edges": {"zlpr-published": "its constant of 1e12 is infinite in float16, as published"}}

_HERE = "harness_plugins.efficient_global_pointer"
_SCORER = "span-scorer"
_LOSS = "multilabel-loss"

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

#: Options of the tasks that train.
_PROTOCOL = (
    ENCODER
    | TRAINING
    | {
        "max_length": Option(256, "tokens of a sentence that are read", low=4, high=4096),
        "learning_rate": Option(0.002, "of Adam, after warming up", low=0),
        "decay": Option("linear", "what it does after that", choices=("constant", "linear")),
        "clip_norm": Option(1.0, "largest norm of the whole gradient; 0 leaves it alone", low=0),
        "bucket": Option(20, "batches whose sentences are sorted by length together; 1 mixes all", low=1),
        "batch_size": Option(16, "sentences in a batch", low=1),
        "epochs": Option(5, "passes over the training sentences; the best by validation F1 is kept", low=1),
        "train_rows": Option(0, "training sentences, picked at random; 0 for all", low=0),
    }
)
#: Types of the corpus that is drawn (``expressions.TYPES``, whose module imports numpy).
_EXPRESSION_TYPES = ("call", "group", "product", "sum")

_WIDTH = Option(768, "width of the hidden states", low=1, high=65536)
_HEAD = {
    "types": Option(9, "types of entities that it is made for; a task makes it anew for those of its corpus", low=1),
    "width": _WIDTH,
}
_SIZE = {"size": Option(64, "length of queries and keys, a power of two", choices=tuple(2**n for n in range(1, 13)))}
_FORM = {
    "loss": Option(
        "zlpr",
        "form of the loss over the cells of each text and type (role multilabel-loss)",
        choices=("zlpr", "published", "sparse-published", "sparse-safe", "binary"),
    )
}


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """Span scorers with their baselines, and multi-label losses."""
    pointers = [
        (
            "efficient-global-pointer",
            "EfficientGlobalPointer",
            {},
            EFFICIENT,
            "one extraction score for all types; its loss needs no tensor of all scores",
        ),
        (
            "efficient-global-pointer-dense",
            "DenseEfficientGlobalPointer",
            _FORM,
            EFFICIENT,
            "the same with the score tensor of all cells, as published; takes any form of the loss",
        ),
        ("efficient-global-pointer-no-rope", "efficient_global_pointer_no_rope", {}, EFFICIENT, "not rotated"),
        (
            "efficient-global-pointer-step-1",
            "StepOneGlobalPointer",
            {},
            EFFICIENT,
            "the step before: types see hidden states instead of queries and keys",
        ),
        ("global-pointer", "GlobalPointer", _FORM, GLOBAL_POINTER, "a query and a key for each type"),
        ("global-pointer-no-rope", "global_pointer_no_rope", {}, GLOBAL_POINTER, "not rotated"),
    ]
    taggers = [
        ("softmax-bio", "SoftmaxTagger", None, "each token tagged begin, inside or outside on its own; cannot nest"),
        ("crf-bio", "ChainTagger", CRF, "the same tags as a linear-chain conditional random field; cannot nest"),
    ]
    losses = [
        ("zlpr", "zlpr_loss", {}, ZLPR, "log(1 + sum e^s) + log(1 + sum e^-s) over negatives and positives"),
        ("zlpr-published", "published_loss", {}, ZLPR, "the same with 1e12 taken off what does not belong in a sum"),
        (
            "zlpr-sparse-published",
            "sparse_published_loss",
            {"epsilon": Option(1e-7, "least value of 1 - e^(positives - all)", low=0, high=1)},
            SPARSE,
            "the negatives' sum as that of all less that of the positives",
        ),
        ("zlpr-sparse-safe", "sparse_safe_loss", {}, None, "positives by index, taken out before the sum"),
        ("multilabel-softmax", "softmax_loss", {}, ZLPR, "before the zero score of the threshold is put in"),
        (
            "binary-cross-entropy",
            "binary_loss",
            {"positive_weight": Option(1.0, "multiplies the positives' part", low=0)},
            None,
            "each label on its own, mean over labels",
        ),
    ]
    return (
        [
            Method(
                name=name,
                role=_SCORER,
                build=f"{_HERE}.heads:{code}",
                options=_HEAD | _SIZE | more,
                paper=paper,
                help=text,
                reference="efficient-global-pointer-dense" if name == "efficient-global-pointer" else "",
            )
            for name, code, more, paper, text in pointers
        ]
        + [
            Method(name=name, role=_SCORER, build=f"{_HERE}.taggers:{code}", options=_HEAD, paper=paper, help=text)
            for name, code, paper, text in taggers
        ]
        + [
            Method(name=name, role=_LOSS, build=f"{_HERE}.multilabel:{code}", options=more, paper=paper, help=text)
            for name, code, more, paper, text in losses
        ]
    )


@hookimpl
def harness_tasks() -> list[Task]:
    """Training on five corpora and a drawn one, parameter counts, and what holds of the losses."""
    training = [
        Task(
            name=f"ner/{dataset}",
            role=_SCORER,
            run=f"{_HERE}.training:on_{dataset}",
            metrics=_trained(types, dataset in NESTED),
            options=_PROTOCOL,
            datasets=(dataset,),
            help=f"train an encoder and a scorer on {dataset}, {'nested' if dataset in NESTED else 'flat'} entities",
        )
        for dataset, types in TYPES.items()
    ]
    expressions = Task(
        name="ner/expressions",
        role=_SCORER,
        run=f"{_HERE}.expressions:on_expressions",
        metrics=_trained(_EXPRESSION_TYPES, nests=True),
        options=_PROTOCOL
        | {"expressions": Option(1500, "drawn to train on; a quarter and half more to validate and test", low=8)},
        help="the same on drawn arithmetic expressions, whose parts nest: no data set is needed",
    )
    throughput = Task(
        name="ner/throughput",
        role=_SCORER,
        run=f"{_HERE}.throughput:throughput",
        metrics={
            "train_sentences_per_second": Metric(
                "higher", "1/s", "with the encoder, forward, backward and step", timed=True
            ),
            "predict_sentences_per_second": Metric(
                "higher", "1/s", "with the encoder, from text to entities", timed=True
            ),
            "train_over_crf": Metric("higher", "ratio", "training speed over that of crf-bio, in turns", timed=True),
            "predict_over_crf": Metric("higher", "ratio", "the same of prediction", timed=True),
        },
        options=ENCODER
        | TRAINING
        | {
            "max_length": _PROTOCOL["max_length"],
            "batch_size": _PROTOCOL["batch_size"],
            "kinds": Option(10, "types of entities", low=1),
            "blocks": Option(7, "times that scorer and CRF are measured in turn", low=1),
            "block_batches": Option(4, "batches of a block", low=1),
        },
        help="speed with the encoder on drawn sentences as long as CLUENER's, beside a CRF; never the same twice",
    )
    label_forms = Task(
        name="ner/label-forms",
        role=_LOSS,
        run=f"{_HERE}.label_forms:training_step",
        metrics={
            "steps_per_second": Metric("higher", "1/s", "of the scorer alone, labels made anew", timed=True),
            "times_multi_hot": Metric(
                "higher", "ratio", "times as fast as zlpr with multi-hot labels, in turns", timed=True
            ),
        },
        options={
            "batch_size": Option(8, "texts in a batch", low=1),
            "kinds": Option(49, "types; 49 are the relations of LIC2019", low=1),
            "length": Option(128, "tokens of a text", low=2),
            "steps": Option(9, "training steps that count", low=1),
        },
        help="training steps of a scorer with the labels as indices or multi-hot, without an encoder",
    )
    return [*training, expressions, throughput, label_forms, *_numeric()]


def _trained(types: tuple[str, ...], nests: bool) -> dict[str, Metric]:
    """The metrics of a corpus with these types."""
    share = "fraction"
    metrics = {
        "f1": Metric("higher", share, "micro F1 of test entities with exactly right offsets and type, logits above 0"),
        "precision": Metric("higher", share, "of the same"),
        "recall": Metric("higher", share, "of the same"),
        "valid_f1": Metric("higher", share, "F1 on the validation split, of the epoch that is best there"),
        "best_epoch": Metric(unit="count", help="which that is, from 1"),
        "threshold": Metric(unit="nats", help="the logit above which F1 is best on the validation split"),
        "tuned_f1": Metric("higher", share, "test F1 at that threshold"),
        "threshold_gain": Metric(unit=share, help="how much more that is than at 0"),
        "untold_share": Metric(
            "lower", share, "training entities that no run of tokens tells: inside of a word, cut off"
        ),
    }
    if nests:
        for kind, which in (
            ("nested", "inside of another one or around one"),
            ("flat", "neither in nor around another"),
        ):
            metrics |= {
                f"{kind}_f1": Metric("higher", share, f"F1 of entities that are {which}"),
                f"{kind}_precision": Metric("higher", share, f"of predictions that are {which}, among predictions"),
                f"{kind}_recall": Metric("higher", share, f"of entities that are {which}, among entities"),
            }
    for type_ in types:
        metrics |= {
            f"f1/{type_}": Metric("higher", share, f"F1 of the type {type_}"),
            f"precision/{type_}": Metric("higher", share, f"precision of the type {type_}"),
            f"recall/{type_}": Metric("higher", share, f"recall of the type {type_}"),
        }
    return metrics


def _numeric() -> list[Task]:
    violations = Metric("lower", "count", "rows whose loss is not the two-term formula's to 1e-9")
    gap = "first gap in nats between positives and negatives"
    return [
        Task(
            name="ner/parameter-counts",
            role=_SCORER,
            run=f"{_HERE}.counts:parameter_counts",
            metrics={
                "head_parameters": Metric("lower", "count", "of all scorers together"),
                "head_weights": Metric("lower", "count", "the same without biases and transitions, as articles count"),
                "type_parameters": Metric("lower", "count", "what one more type of entities adds"),
                "type_weights": Metric("lower", "count", "the same without biases and transitions"),
                "model_parameters": Metric("lower", "count", "with BERT-base Chinese, without its pooler"),
            },
            options={
                "width": _WIDTH,
                "kinds": Option(10, "types of entities", low=1, high=100_000),
                "relations": Option(
                    0, "relations; two more scorers find their heads and tails, as in GPLinker", low=0, high=100_000
                ),
            },
            help="parameters of scorers, alone and with BERT-base Chinese; nothing is computed",
        ),
        Task(
            name="ner/type-ranks",
            role=_SCORER,
            run=f"{_HERE}.decomposition:difference_rank",
            metrics={
                "difference_rank": Metric(unit="count", help="largest rank of the difference of two types' scores"),
                "type_rank": Metric(unit="count", help="largest rank of one type's scores"),
            },
            options={
                "length": Option(96, "tokens", low=2),
                "kinds": Option(5, "types", low=2),
                "width": _WIDTH,
            },
            help="how much of the score matrices the types share, for random states and weights, always in float64",
        ),
        Task(
            name="ner/loss-identities",
            role=_LOSS,
            run=f"{_HERE}.identities:loss_identities",
            metrics={
                "value_violations": violations,
                "gradient_violations": Metric("lower", "count", "rows whose gradient is not that of the formula"),
                "soft_violations": Metric(
                    "lower", "count", "rows where labels 0.0 and 1.0 give another loss or gradient"
                ),
                "softmax_violations": Metric(
                    "lower", "count", "rows with one positive whose loss is not the softmax cross-entropy"
                ),
                "largest_error": Metric("lower", "nats", "largest distance of a row's loss from the formula"),
            },
            options={
                "rows": Option(3000, "rows drawn", low=3),
                "labels": Option(12, "labels of a row", low=2),
            },
            help="count rows where a loss is not what the algebra says, always in float64",
        ),
        Task(
            name="ner/sparse-gap",
            role=_LOSS,
            run=f"{_HERE}.identities:sparse_gap",
            metrics={
                "value_gap": Metric("higher", "nats", f"{gap} at which a tenth of the rows is off by 0.01 nats"),
                "gradient_gap": Metric("higher", "nats", f"{gap} at which a tenth of the gradients is off by 1 %"),
                "reversed_gap": Metric("higher", "nats", f"{gap} at which the gradient lowers scores of positives"),
            },
            options={
                "rows": Option(200, "rows drawn", low=1),
                "labels": Option(1000, "labels of a row", low=2),
                "positives": Option(3, "positives of a row", low=1),
                "most": Option(80, "largest gap that is tried, and the metric where nothing fails", low=1, high=10_000),
            },
            help="from which gap between positives and negatives on a form of the loss fails in the cell's dtype",
        ),
        Task(
            name="ner/label-balance",
            role=_LOSS,
            run=f"{_HERE}.balance:label_balance",
            metrics={
                "f1": Metric("higher", "fraction", "micro F1 of test labels at the threshold 0"),
                "tuned_f1": Metric("higher", "fraction", "the same at the threshold that is best on other rows"),
                "threshold": Metric(unit="nats", help="that threshold"),
                "threshold_gain": Metric(unit="fraction", help="how much more F1 it gives"),
                "predicted_share": Metric(unit="ratio", help="predicted over true positives at the threshold 0"),
            },
            options={
                "labels": Option(100, "labels of a row", low=2),
                "rate": Option(0.02, "share of positives of each label", low=1e-4, high=0.9999),
                "passes": Option(40, "over the training rows", low=1),
            },
            help="train a linear classifier of many labels on drawn rows with few or many positives",
        ),
    ]


@hookimpl
def harness_workloads() -> list[Workload]:
    """Hidden states as wide as BERT's, and the loss alone, with few and many types."""
    return list(WORKLOADS)


@hookimpl
def harness_datasets() -> list[Dataset]:
    """Corpora in Chinese, English and German, three flat and two nested."""
    return list(DATASETS)


@hookimpl
def harness_claims() -> list[Path]:
    """What the articles, the papers and the replications say."""
    return [Path(__file__).with_name("claims.toml")]
