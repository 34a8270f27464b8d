"""The tasks: training on corpora, parameter counts, speed, and properties of the losses."""

from __future__ import annotations

from harness.spec import Metric, Option, Task
from harness_plugins.efficient_global_pointer.entity_types import EXPRESSION_TYPES, NESTED, TYPES
from harness_plugins.encoders.options import ENCODER, TRAINING

_HERE = "harness_plugins.efficient_global_pointer"
_SCORER = "span-scorer"
_LOSS = "multilabel-loss"

#: Options of the tasks that train on a corpus.
_PROTOCOL = (
    ENCODER
    | TRAINING
    | {
        "max_length": Option(256, "tokens read of a sentence; the rest is cut off", low=4, high=4096),
        "learning_rate": Option(0.002, "learning rate of Adam, after warm-up", low=0),
        "decay": Option("linear", TRAINING["decay"].help, choices=("constant", "linear")),
        "clip_norm": Option(1.0, TRAINING["clip_norm"].help, low=0),
        "bucket": Option(20, "number of batches whose sentences are sorted by length together; 1 mixes all", low=1),
        "batch_size": Option(16, "sentences in a batch", low=1),
        "epochs": Option(5, "passes over the training sentences; the best by validation F1 is chosen", low=1),
        "train_rows": Option(0, "random training sentences to learn from; 0 for all", low=0),
    }
)
_WIDTH = Option(768, "width of the hidden states", low=1, high=65536)


def _training_metrics(types: tuple[str, ...], nested: bool) -> dict[str, Metric]:
    share = "fraction"
    metrics = {
        "f1": Metric("higher", share, "micro F1 of test entities, exact in offsets and type, at threshold 0"),
        "precision": Metric("higher", share, "precision of the same entities"),
        "recall": Metric("higher", share, "recall of the same entities"),
        "valid_f1": Metric(
            "higher", share, "F1 on the validation split, of the epoch that is best there", split="validation"
        ),
        "best_epoch": Metric(unit="count", help="number of that epoch, from 1"),
        "threshold": Metric(unit="nats", help="threshold of the logits with the best F1 on the validation split"),
        "tuned_f1": Metric("higher", share, "test F1 at that threshold"),
        "threshold_gain": Metric(unit=share, help="tuned_f1 minus f1"),
        "untold_share": Metric(
            "lower", share, "training entities that are no run of tokens: they end inside a word or are cut off"
        ),
    }
    if nested:
        for kind, which in (
            ("nested", "inside another one or around one"),
            ("flat", "neither inside another one nor around one"),
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


def _training(dataset: str, types: tuple[str, ...]) -> Task:
    kind = "nested" if dataset in NESTED else "flat"
    return Task(
        name=f"ner/{dataset}",
        role=_SCORER,
        run=f"{_HERE}.training:on_{dataset}",
        metrics=_training_metrics(types, dataset in NESTED),
        options=_PROTOCOL,
        datasets=(dataset,),
        test_set="fixed",
        help=f"train an encoder and a scorer on {dataset}, {kind} entities",
    )


_EXPRESSIONS = Task(
    name="ner/expressions",
    role=_SCORER,
    run=f"{_HERE}.expressions:on_expressions",
    metrics=_training_metrics(EXPRESSION_TYPES, nested=True),
    options=_PROTOCOL
    | {"expressions": Option(1500, "training expressions; a quarter and a half as many to validate and test", low=8)},
    test_set="redrawn",
    help="the same on random arithmetic expressions, whose parts nest: no data set is needed",
)

_THROUGHPUT = Task(
    name="ner/throughput",
    role=_SCORER,
    run=f"{_HERE}.throughput:throughput",
    metrics={
        "train_sentences_per_second": Metric(
            "higher", "1/s", "with the encoder, forward, backward and step", timed=True
        ),
        "predict_sentences_per_second": Metric("higher", "1/s", "with the encoder, from text to entities", timed=True),
        "train_over_crf": Metric(
            "higher", "ratio", "training speed over that of crf-bio, measured in turns", timed=True
        ),
        "predict_over_crf": Metric("higher", "ratio", "the same of prediction", timed=True),
    },
    options=ENCODER
    | TRAINING
    | {
        "max_length": _PROTOCOL["max_length"],
        "batch_size": _PROTOCOL["batch_size"],
        "kinds": Option(10, "types of entities", low=1),
        "blocks": Option(7, "number of times that scorer and CRF are measured in turn", low=1),
        "block_batches": Option(4, "batches of a block", low=1),
    },
    help="speed with the encoder on random sentences as long as CLUENER's, beside a CRF; no two runs are the same",
)

_LABEL_FORMS = Task(
    name="ner/label-forms",
    role=_LOSS,
    run=f"{_HERE}.label_forms:training_step",
    metrics={
        "steps_per_second": Metric("higher", "1/s", "steps of the scorer alone, with new labels each", timed=True),
        "times_multi_hot": Metric(
            "higher", "ratio", "speed over that of zlpr with multi-hot labels, measured in turns", timed=True
        ),
    },
    options={
        "batch_size": Option(8, "texts in a batch", low=1),
        "kinds": Option(49, "types; 49 are the relations of LIC2019", low=1),
        "length": Option(128, "tokens of a text", low=2),
        "steps": Option(9, "training steps that count", low=1),
    },
    help="training steps of a scorer with labels as indices or multi-hot, without an encoder",
)


def _exact_count(text: str) -> Metric:
    """A number of parameters: no weight is drawn, so it is the same under every seed."""
    return Metric("lower", "count", text, deterministic=True)


_PARAMETER_COUNTS = Task(
    name="ner/parameter-counts",
    role=_SCORER,
    run=f"{_HERE}.counts:parameter_counts",
    metrics={
        "head_parameters": _exact_count("parameters of all scorers together"),
        "head_weights": _exact_count("the same without biases and transitions, as articles count"),
        "type_parameters": _exact_count("parameters that one more type of entities adds"),
        "type_weights": _exact_count("the same without biases and transitions"),
        "model_parameters": _exact_count("head_parameters with BERT-base Chinese, without its pooler"),
    },
    options={
        "width": _WIDTH,
        "kinds": Option(10, "types of entities", low=1, high=100_000),
        "relations": Option(
            0, "relations; two more scorers find their heads and tails, as in GPLinker", low=0, high=100_000
        ),
    },
    help="parameters of scorers, alone and with BERT-base Chinese; nothing is computed",
)

_TYPE_RANKS = Task(
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
)

_LOSS_IDENTITIES = Task(
    name="ner/loss-identities",
    role=_LOSS,
    run=f"{_HERE}.identities:loss_identities",
    metrics={
        "value_violations": Metric(
            "lower", "count", "rows whose loss differs from the two-term formula by more than 1e-9"
        ),
        "gradient_violations": Metric("lower", "count", "rows whose gradient differs from that of the formula"),
        "soft_violations": Metric("lower", "count", "rows where labels 0.0 and 1.0 give another loss or gradient"),
        "softmax_violations": Metric(
            "lower", "count", "rows with one positive whose loss is not the softmax cross-entropy"
        ),
        "largest_error": Metric("lower", "nats", "largest difference of a row's loss from the formula"),
    },
    options={
        "rows": Option(3000, "random rows", low=3),
        "labels": Option(12, "labels of a row", low=2),
    },
    help="count rows where a loss is not what the algebra says, always in float64",
)

_GAP = "smallest gap in nats between positives and negatives"
_SPARSE_GAP = Task(
    name="ner/sparse-gap",
    role=_LOSS,
    run=f"{_HERE}.sparse_gap:sparse_gap",
    metrics={
        "value_gap": Metric("higher", "nats", f"{_GAP} at which a tenth of the rows is off by 0.01 nats"),
        "gradient_gap": Metric("higher", "nats", f"{_GAP} at which a tenth of the gradients is off by 1 %"),
        "reversed_gap": Metric("higher", "nats", f"{_GAP} at which the gradient lowers scores of positives"),
    },
    options={
        "rows": Option(200, "random rows", low=1),
        "labels": Option(1000, "labels of a row", low=2),
        "positives": Option(3, "positives of a row", low=1),
        "most": Option(80, "largest gap tried; the metric if nothing fails", low=1, high=10_000),
    },
    help="the gap between positives and negatives at which a form of the loss fails in the cell's dtype",
)

_LABEL_BALANCE = Task(
    name="ner/label-balance",
    role=_LOSS,
    run=f"{_HERE}.balance:label_balance",
    metrics={
        "f1": Metric("higher", "fraction", "micro F1 of test labels at threshold 0"),
        "tuned_f1": Metric("higher", "fraction", "micro F1 at the threshold that is best on other rows"),
        "threshold": Metric(unit="nats", help="that threshold"),
        "threshold_gain": Metric(unit="fraction", help="tuned_f1 minus f1"),
        "predicted_share": Metric(unit="ratio", help="predicted over true positives at threshold 0"),
    },
    options={
        "labels": Option(100, "labels of a row", low=2),
        "rate": Option(0.02, "share of positives of each label", low=1e-4, high=0.9999),
        "passes": Option(40, "passes over the training rows", low=1),
    },
    test_set="redrawn",
    help="train a linear classifier of many labels on random rows with few or many positives",
)

TASKS = (
    *(_training(dataset, types) for dataset, types in TYPES.items()),
    _EXPRESSIONS,
    _THROUGHPUT,
    _LABEL_FORMS,
    _PARAMETER_COUNTS,
    _TYPE_RANKS,
    _LOSS_IDENTITIES,
    _SPARSE_GAP,
    _LABEL_BALANCE,
)
