"""The tasks: training on sentence pairs; and, without data, properties of losses and of threshold searches."""

from __future__ import annotations

from harness.spec import Metric, Option, Task
from harness_plugins.encoders.options import ENCODER, TRAINING

_HERE = "harness_plugins.cosent"
_LOSS = "pair-ranking-loss"

_RANK_METRICS = {
    "spearman": Metric("higher", "correlation", "rank correlation of scores and labels on test"),
    "pearson": Metric("higher", "correlation", "linear correlation of scores and labels on test"),
    "valid_spearman": Metric(
        "higher", "correlation", "rank correlation on valid, the part that chooses the epoch", split="validation"
    ),
    "first_epoch_spearman": Metric("higher", "correlation", "valid_spearman after one epoch"),
    "train_spearman": Metric("higher", "correlation", "rank correlation on 400 training pairs after the last epoch"),
    "untrained_spearman": Metric("higher", "correlation", "train_spearman before training"),
    "train_fall": Metric(None, "correlation", "highest train_spearman, from before training on, minus the last"),
    "loss_fall": Metric(None, "loss", "mean training loss of the first epoch minus that of the last"),
    "leaked": Metric(None, "count", "pairs of train and valid that are also in a later part"),
}
_DECISION_METRICS = {
    "accuracy": Metric("higher", "fraction", "accuracy on test, at its best threshold on valid"),
    "f1": Metric("higher", "fraction", "F1 on test, at its best threshold on valid"),
    "valid_accuracy": Metric(
        "higher", "fraction", "accuracy on valid, at its best threshold there", split="validation"
    ),
    "valid_f1": Metric("higher", "fraction", "F1 on valid, at its best threshold there", split="validation"),
    "threshold_cost": Metric("lower", "fraction", "accuracy at the best threshold on test, minus accuracy"),
}
_PROTOCOL = {
    "batch_size": Option(32, "pairs in a batch", low=2),
    "epochs": Option(5, "passes over the training part", low=1),
    "pooling": Option("mean", "how hidden states become one vector", choices=("mean", "first")),
    "choose": Option("spearman", "measure on valid that chooses the epoch", choices=("spearman", "accuracy")),
    "train_rows": Option(0, "random training pairs to learn from; 0 for all", low=0),
    "negatives": Option(
        "given", "random: pairs labelled 0 get the second text of a random pair", choices=("given", "random")
    ),
    "segments": Option(
        "two", "one: in an input of both texts only a separator marks where the second begins", choices=("two", "one")
    ),
    "leaks": Option("drop", "what happens to pairs that are also in a later part", choices=("drop", "keep")),
}
#: Encoders from scratch need far larger steps than a pretrained one.
_FROM_SCRATCH = {"learning_rate": Option(1e-3, TRAINING["learning_rate"].help, low=0)}
#: The article's settings.
_PUBLISHED = {
    "segments": Option("one", _PROTOCOL["segments"].help, choices=("two", "one")),
    "pooling": Option("first", _PROTOCOL["pooling"].help, choices=("mean", "first")),
    "leaks": Option("keep", _PROTOCOL["leaks"].help, choices=("drop", "keep")),
}
#: The article's encoders, and its sets in full with their maximal lengths.
_MODELS = {"bert": "bert-base-chinese", "roberta": "chinese-roberta-wwm-ext"}
_FULL_SETS = {
    "atec": ("atec-full", 64),
    "bq": ("bq-full", 64),
    "lcqmc": ("lcqmc-full", 64),
    "paws-x-zh": ("paws-x-zh-full", 128),
    "stsb-zh": ("stsb-zh", 64),
}
#: Sets with grades instead of two labels.
_GRADED = ("stsb", "stsb-zh")


def _metrics(dataset: str) -> dict[str, Metric]:
    """Metrics of a set. Pairs with grades can be ranked; pairs with two labels can be classified as well."""
    return _RANK_METRICS if dataset in _GRADED else _RANK_METRICS | _DECISION_METRICS


def _grade_options(dataset: str) -> dict[str, Option]:
    """Options restricted for grades: there are no two classes to be right about, and no negatives."""
    if dataset not in _GRADED:
        return {}
    return {
        "choose": Option("spearman", _PROTOCOL["choose"].help, choices=("spearman",)),
        "negatives": Option("given", "pairs with grades have no negatives", choices=("given",)),
    }


def _max_length(tokens: int) -> dict[str, Option]:
    return {"max_length": Option(tokens, ENCODER["max_length"].help, low=4, high=512)}


def _from_scratch(dataset: str) -> Task:
    """Training from scratch, or from a model of the user's."""
    return Task(
        name=f"matching/{dataset}",
        role=_LOSS,
        run=f"{_HERE}.sentence_pairs:on_{dataset.replace('-', '_')}",
        metrics=_metrics(dataset),
        options=_PROTOCOL | ENCODER | TRAINING | _FROM_SCRATCH | _grade_options(dataset),
        datasets=(dataset,),
        test_set="fixed",
        help="train an encoder on sentence pairs, choose the epoch on valid, score the test part",
    )


def _fine_tuning(model: str, name: str) -> Task:
    """A row of the article's first table, with its settings as defaults."""
    dataset, tokens = _FULL_SETS[name]
    return Task(
        name=f"matching/{model}-{name}",
        role=_LOSS,
        run=f"{_HERE}.sentence_pairs:{model}_{name.replace('-', '_')}",
        metrics=_metrics(dataset),
        options=_PROTOCOL | TRAINING | _PUBLISHED | _max_length(tokens) | _grade_options(dataset),
        datasets=(dataset, _MODELS[model]),
        test_set="fixed",
        help=f"fine-tune {_MODELS[model]} as the article did",
    )


def _inference(model: str) -> Task:
    """A row of the article's second table: trained on inference, tested on five other sets."""
    sets = {"atec": "ATEC", "bq": "BQ", "lcqmc": "LCQMC", "pawsx": "PAWSX", "stsb": "Chinese STS-B"}
    metrics = {name: metric for name, metric in _RANK_METRICS.items() if name not in ("pearson", "leaked")}
    metrics |= {
        "spearman": Metric("higher", "correlation", "mean rank correlation on the test parts of the five sets"),
        "valid_spearman": Metric(
            "higher", "correlation", "mean over their valid parts, which chooses the epoch", split="validation"
        ),
    }
    metrics |= {
        f"spearman_{short}": Metric("higher", "correlation", f"rank correlation on the test part of {name}")
        for short, name in sets.items()
    }
    options = {
        "batch_size": Option(64, _PROTOCOL["batch_size"].help, low=2),
        "epochs": Option(10, "times that the valid parts are scored", low=1),
        "epoch_steps": Option(5000, "batches between two such times", low=1),
        "pooling": _PUBLISHED["pooling"],
        "segments": _PUBLISHED["segments"],
        "choose": _grade_options("stsb-zh")["choose"],
    }
    return Task(
        name=f"matching/{model}-nli",
        role=_LOSS,
        run=f"{_HERE}.inference:{model}_nli",
        metrics=metrics,
        options=TRAINING | options | _max_length(64),
        datasets=("cnsd", "atec-full", "bq-full", "lcqmc-full", "paws-x-zh-full", "stsb-zh", _MODELS[model]),
        test_set="fixed",
        help=f"fine-tune {_MODELS[model]} on natural language inference as the article did, test on five sets",
    )


_MINILM = Task(
    name="matching/minilm-stsb",
    role=_LOSS,
    run=f"{_HERE}.sentence_pairs:minilm_stsb",
    metrics=_metrics("stsb"),
    options=_PROTOCOL | TRAINING | {"max_length": ENCODER["max_length"]} | _grade_options("stsb"),
    datasets=("stsb", "minilm-l6"),
    test_set="fixed",
    help="fine-tune a small pretrained English encoder that a package ships",
)
_MINILM_AS_PUBLISHED = Task(
    name="matching/minilm-as-published",
    role=_LOSS,
    run=f"{_HERE}.sentence_pairs:minilm_as_published",
    metrics={
        name: Metric("higher", "correlation", f"{kind} correlation of cosines and labels on test", deterministic=True)
        for name, kind in (("spearman", "rank"), ("pearson", "linear"))
    },
    options={name: _PROTOCOL[name] for name in ("pooling", "segments")} | {"max_length": ENCODER["max_length"]},
    datasets=("stsb", "minilm-l6"),
    test_set="fixed",
    help="score STS-B by that encoder as it is; nothing is trained, so the method must be untrained",
)

_VIOLATIONS = {
    "relabelled": "draws in which other labels of the same order change value or gradient",
    "shifted": "draws in which adding a constant to all cosines changes value or gradient",
    "reordered": "draws in which another order of the pairs changes value or gradient",
    "unranked": "draws in which equal labels give anything but 0",
    "definition": "draws whose value differs from a loop over all orders by more than 1e-9",
    "gradient": "draws whose gradient differs from the loop's by more than 1e-9",
    "bound": "draws whose value is outside the bounds that the largest violation sets",
    "mse_gradient": "draws whose gradient differs from that of the mean squared difference of cosine and label",
}
_IDENTITIES = Task(
    name="matching/identities",
    role=_LOSS,
    run=f"{_HERE}.identities:count_violations",
    metrics={name: Metric("lower", "count", text) for name, text in _VIOLATIONS.items()}
    | {"largest_error": Metric("lower", "relative", "largest error of a value against the loop, at most 1")},
    options={
        "scale": Option(20.0, "lambda, the factor of the cosines", low=1e-3, high=1e4),
        "pairs": Option(24, "pairs in a draw", low=2),
        "grades": Option(2, "number of different labels", low=2),
        "draws": Option(200, "random batches", low=1),
    },
    help="count violations of a loss's identities on random cosines and labels (use float64)",
)

_THRESHOLDS = Task(
    name="matching/thresholds",
    role="threshold-search",
    run=f"{_HERE}.ranges:search_ranges",
    metrics={
        "accuracy": Metric("higher", "fraction", "at the threshold found, on the pairs that it was found on"),
        "accuracy_lost": Metric("lower", "fraction", "accuracy at the best threshold minus accuracy"),
        "f1_lost": Metric("lower", "fraction", "F1 at the best threshold minus F1 at the threshold found"),
    },
    options={
        "range": Option(
            "cosines",
            "range of the scores",
            choices=("cosines", "narrow", "negative", "log-odds", "distances", "tiny", "grades"),
        ),
        "shape": Option(
            "one-peak", "two-peaks: some pairs labelled 0 have the highest scores", choices=("one-peak", "two-peaks")
        ),
        "positive": Option(0.5, "share of pairs labelled 1", low=0.001, high=0.999),
        "pairs": Option(2000, "scored pairs", low=10),
    },
    test_set="redrawn",
    help="find a threshold for scores of a given range, and compare it with the best possible one",
)

_FREE_VECTORS = Task(
    name="matching/free-vectors",
    role=_LOSS,
    run=f"{_HERE}.free_vectors:fit_free_vectors",
    metrics={
        "wrong_orders": Metric("lower", "fraction", "orders of a pair labelled 1 and one labelled 0 still wrong"),
        "dimensions": Metric(None, "count", "dimensions of each vector"),
        "numbers_per_label": Metric(None, "ratio", "free numbers for each label to fit"),
    },
    options={
        "items": Option(256, "number of vectors", low=8),
        "factor": Option(8.0, "dimensions divided by the logarithm of items", low=0.1),
        "labels": Option("random", "labels of all pairs of items: random, or by groups", choices=("random", "groups")),
        "steps": Option(1000, "steps of Adam, each on all pairs", low=1),
        "learning_rate": Option(0.05, "learning rate; falls to 0", low=0),
    },
    help="fit vectors of few dimensions to labels of all their pairs, without an encoder",
)

TASKS = (
    *map(_from_scratch, ("stsb", "stsb-zh", "lcqmc", "atec", "afqmc", "paws-x-zh", "mrpc")),
    _MINILM,
    _MINILM_AS_PUBLISHED,
    *(_fine_tuning(model, name) for model in _MODELS for name in _FULL_SETS),
    *map(_inference, _MODELS),
    _IDENTITIES,
    _THRESHOLDS,
    _FREE_VECTORS,
)
