"""CoSENT and its rivals on sentence pairs: does ranking cosines train better vectors than classifying pairs?

Claims of the articles kexue.fm/archives/8847, 8860 and 9341, and of those who repeated their experiments.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Method, Metric, Option, Paper, Role, Task, Workload
from harness_plugins.cosent.corpora import CORPORA, FULL_CORPORA
from harness_plugins.cosent.roles import ROLES
from harness_plugins.encoders.options import ENCODER, TRAINING

_HERE = "harness_plugins.cosent"
_ROLE = "pair-ranking-loss"

COSENT = Paper(
    title="CoSENT: Consistent Sentence Embedding via Similarity Ranking",
    url="https://kexue.fm/archives/8847",
    year=2022,
    authors="Su; with Huang et al., doi 10.1109/TASLP.2024.3402087",
)
SBERT = Paper(
    title="Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
    url="https://arxiv.org/abs/1908.10084",
    year=2019,
    authors="Reimers, Gurevych",
)
ANGLE = Paper(title="AnglE-optimized Text Embeddings", url="https://arxiv.org/abs/2309.12871", year=2023)

_SCALE = {"scale": Option(20.0, "lambda: multiplies the cosines", low=1e-3, high=1e4)}
_CLASSES = {
    "classes": Option(
        "two", "two: labels above and below the middle; grades: one each, six at most", choices=("two", "grades")
    )
}


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """Losses of cosines, classifiers, models that read both texts at once; and three ways to find a threshold."""
    features = Option("[u, v, |u-v|]", "what the classifier sees", choices=("[u, v, |u-v|]", "[u, v]", "[|u-v|]"))
    forms = Option("linear", "which of the article's three", choices=("linear", "squared", "margin"))
    angle = {
        **_SCALE,
        "angle_scale": Option(1.0, "multiplies the angles' likeness", low=1e-3, high=1e4),
        "angle_weight": Option(1.0, "of the loss of angles, beside that of cosines", low=0),
    }
    told = [
        ("cosent", "losses:Cosent", _SCALE, COSENT, "all orders of pairs in one log-sum-exp, in O(N log N)"),
        ("cosent-dense", "losses:DenseCosent", _SCALE, COSENT, "the same as published, in O(N^2)"),
        ("cosine-mse", "losses:CosineMse", {}, SBERT, "squared difference of cosine and label"),
        (
            "cosine-contrastive",
            "losses:CosineContrastive",
            {"form": forms},
            COSENT,
            "the direct losses that the article begins with",
        ),
        (
            "sentence-bert",
            "matchers:SentenceBert",
            {"features": features, **_CLASSES},
            SBERT,
            "a softmax classifier on both vectors; scored by cosine",
        ),
        ("angle", "matchers:Angle", angle, ANGLE, "CoSENT on cosines and on angles in complex space"),
        ("interaction", "matchers:Interaction", _CLASSES, COSENT, "both texts in one input, cross-entropy"),
        ("interaction-cosent", "matchers:InteractionCosent", {}, COSENT, "both texts in one input, CoSENT's loss"),
        ("untrained", "losses:Untrained", {}, None, "control: the encoder as it is before training"),
    ]
    measure = {"measure": Option("accuracy", "what is to be as high as can be", choices=("accuracy", "f1"))}
    searches = [
        ("threshold-exact", "thresholds:ExactThreshold", "sort, then running counts"),
        ("threshold-bisection", "thresholds:BisectedThreshold", "halve the range towards the better half"),
        ("threshold-powell", "thresholds:PowellThreshold", "Powell's method on tanh, from 1, as the article's code"),
    ]
    return [
        *(
            Method(
                name=name,
                role=_ROLE,
                build=f"{_HERE}.{address}",
                options=options,
                paper=paper,
                help=text,
                reference="cosent-dense" if name == "cosent" else "",
            )
            for name, address, options, paper, text in told
        ),
        *(
            Method(
                name=name, role="threshold-search", build=f"{_HERE}.{address}", options=measure, paper=COSENT, help=text
            )
            for name, address, text in searches
        ),
    ]


_RANKED = {
    "spearman": Metric("higher", "correlation", "of scores and labels on the test part, by rank"),
    "pearson": Metric("higher", "correlation", "the same, linear"),
    "valid_spearman": Metric("higher", "correlation", "by rank, on the part that the epoch is chosen by"),
    "first_epoch_spearman": Metric("higher", "correlation", "valid_spearman after one epoch"),
    "train_spearman": Metric("higher", "correlation", "by rank, on 400 training pairs after the last epoch"),
    "untrained_spearman": Metric("higher", "correlation", "the same before training"),
    "train_fall": Metric(None, "correlation", "how far train_spearman lies below its highest, from before training on"),
    "loss_fall": Metric(None, "loss", "mean training loss of the first epoch less that of the last"),
    "leaked": Metric(None, "count", "pairs of train and valid that a later part has too"),
}
_DECIDED = {
    "accuracy": Metric("higher", "fraction", "on test, at the threshold that is best on valid"),
    "f1": Metric("higher", "fraction", "the same for F1"),
    "valid_accuracy": Metric("higher", "fraction", "on valid, at its own best threshold"),
    "valid_f1": Metric("higher", "fraction", "the same for F1"),
    "threshold_cost": Metric("lower", "fraction", "accuracy at the threshold that is best on test, less accuracy"),
}
_PROTOCOL = {
    "batch_size": Option(32, "pairs in a batch", low=2),
    "epochs": Option(5, "passes over the training part", low=1),
    "pooling": Option("mean", "what becomes of the hidden states", choices=("mean", "first")),
    "choose": Option("spearman", "what the best epoch on valid is best by", choices=("spearman", "accuracy")),
    "train_rows": Option(0, "random training pairs that are learned from; 0 for all", low=0),
    "negatives": Option(
        "given", "random: pairs labelled 0 get the second text of another pair", choices=("given", "random")
    ),
    "segments": Option(
        "two", "one: an input of both texts does not tell which is which but by a separator", choices=("two", "one")
    ),
    "leaks": Option("drop", "pairs that a later part has too: drop them, or keep them", choices=("drop", "keep")),
}
#: The encoders from scratch need far larger steps than a pretrained one.
_FROM_SCRATCH = {"learning_rate": Option(1e-3, TRAINING["learning_rate"].help, low=0)}
_PUBLISHED = {
    "segments": Option("one", _PROTOCOL["segments"].help, choices=("two", "one")),
    "pooling": Option("first", _PROTOCOL["pooling"].help, choices=("mean", "first")),
    "leaks": Option("keep", _PROTOCOL["leaks"].help, choices=("drop", "keep")),
}
_PRETRAINED = {"max_length": ENCODER["max_length"]}
_MODELS = {"bert": "bert-base-chinese", "roberta": "chinese-roberta-wwm-ext"}
_GRADED = ("stsb", "stsb-zh")


def _metrics(corpus: str) -> dict[str, Metric]:
    """Pairs with grades have an order alone; those with two labels can be decided too."""
    return _RANKED if corpus in _GRADED else _RANKED | _DECIDED


def _restricted(corpus: str) -> dict[str, Option]:
    """What there is to choose where pairs have grades: with no label that says no there are no negatives."""
    if corpus not in _GRADED:
        return {}
    return {
        "choose": Option("spearman", _PROTOCOL["choose"].help, choices=("spearman",)),
        "negatives": Option("given", "grades are no negatives", choices=("given",)),
    }


def _on_pairs() -> list[Task]:
    """Training from scratch (or from a model of the user's) on each set."""
    return [
        Task(
            name=f"matching/{corpus.name}",
            role=_ROLE,
            run=f"{_HERE}.training:on_{corpus.name.replace('-', '_')}",
            metrics=_metrics(corpus.name),
            options=_PROTOCOL | ENCODER | TRAINING | _FROM_SCRATCH | _restricted(corpus.name),
            datasets=(corpus.name,),
            help="train an encoder on sentence pairs, choose the epoch on valid, score the test part",
        )
        for corpus in CORPORA
    ]


def _as_published() -> list[Task]:
    """The article's tables: its sets in full, its encoders, its settings as defaults."""
    sets = {"atec": "atec-full", "bq": "bq-full", "lcqmc": "lcqmc-full", "paws-x-zh": "paws-x-zh-full"}
    sets["stsb-zh"] = "stsb-zh"
    tasks = []
    for short, model in _MODELS.items():
        for name, corpus in sets.items():
            length = Option(128 if name == "paws-x-zh" else 64, ENCODER["max_length"].help, low=4, high=512)
            tasks.append(
                Task(
                    name=f"matching/{short}-{name}",
                    role=_ROLE,
                    run=f"{_HERE}.published:{short}_{name.replace('-', '_')}",
                    metrics=_metrics(corpus),
                    options=_PROTOCOL | TRAINING | _PUBLISHED | {"max_length": length} | _restricted(corpus),
                    datasets=(corpus, model),
                    help=f"fine-tune {model} as the article did",
                )
            )
    return tasks


def _on_inference() -> list[Task]:
    """The article's second table: trained on inference, tested on five other sets."""
    sets = {"atec": "ATEC", "bq": "BQ", "lcqmc": "LCQMC", "pawsx": "PAWSX", "stsb": "Chinese STS-B"}
    metrics = {name: metric for name, metric in _RANKED.items() if name not in ("pearson", "leaked")}
    metrics |= {
        "spearman": Metric("higher", "correlation", "mean over the test parts of the five sets, by rank"),
        "valid_spearman": Metric("higher", "correlation", "the same over the valid parts, which choose the epoch"),
    }
    metrics |= {f"spearman_{short}": Metric("higher", "correlation", f"on {name}'s") for short, name in sets.items()}
    return [
        Task(
            name=f"matching/{short}-nli",
            role=_ROLE,
            run=f"{_HERE}.published:{short}_nli",
            metrics=metrics,
            options=TRAINING
            | {
                "batch_size": Option(64, _PROTOCOL["batch_size"].help, low=2),
                "epochs": Option(10, "times that the valid parts are looked at", low=1),
                "epoch_steps": Option(5000, "batches between them", low=1),
                "max_length": Option(64, ENCODER["max_length"].help, low=4, high=512),
                "pooling": _PUBLISHED["pooling"],
                "segments": _PUBLISHED["segments"],
                "choose": _restricted("stsb-zh")["choose"],
            },
            datasets=("cnsd", "atec-full", "bq-full", "lcqmc-full", "paws-x-zh-full", "stsb-zh", model),
            help=f"fine-tune {model} on natural language inference as the article did, test on five sets",
        )
        for short, model in _MODELS.items()
    ]


@hookimpl
def harness_tasks() -> list[Task]:
    """Real sentence pairs; and, without data, what the losses and thresholds do by their definitions."""
    counted = {
        "relabelled": "draws in which other labels of the same order change value or gradient",
        "shifted": "draws in which a constant added to all cosines does",
        "reordered": "draws in which another order of the pairs does",
        "unranked": "draws in which equal labels give anything but 0",
        "definition": "draws whose value is not that of a loop over all orders to 1e-9",
        "gradient": "draws whose gradient is not that of the loop to 1e-9",
        "bound": "draws whose value is not between those that the largest violation allows",
        "mse_gradient": "draws whose gradient is not that of the mean squared difference of cosine and label",
    }
    identities = Task(
        name="matching/identities",
        role=_ROLE,
        run=f"{_HERE}.identities:count_violations",
        metrics={name: Metric("lower", "count", text) for name, text in counted.items()}
        | {"largest_error": Metric("lower", "relative", "worst error of a value against the loop, capped at 1")},
        options={
            **_SCALE,
            "pairs": Option(24, "pairs in a draw", low=2),
            "grades": Option(2, "how many labels there are", low=2),
            "draws": Option(200, "random batches", low=1),
        },
        help="count what does not hold of a loss on random cosines and labels (use float64)",
    )
    thresholds = Task(
        name="matching/thresholds",
        role="threshold-search",
        run=f"{_HERE}.ranges:search_ranges",
        metrics={
            "accuracy": Metric("higher", "fraction", "at the threshold found, on the pairs it was found on"),
            "accuracy_lost": Metric("lower", "fraction", "how far below the best threshold's"),
            "f1_lost": Metric("lower", "fraction", "the same for F1, at the threshold found"),
        },
        options={
            "range": Option(
                "cosines",
                "where the scores lie",
                choices=("cosines", "narrow", "negative", "log-odds", "distances", "tiny", "grades"),
            ),
            "shape": Option(
                "one-peak", "two-peaks: some pairs labelled 0 score highest of all", choices=("one-peak", "two-peaks")
            ),
            "positive": Option(0.5, "share of pairs labelled 1", low=0.001, high=0.999),
            "pairs": Option(2000, "scored pairs", low=10),
        },
        help="find a threshold for scores of a given range, and compare with the best there is",
    )
    vectors = Task(
        name="matching/free-vectors",
        role=_ROLE,
        run=f"{_HERE}.fitting:fit_free_vectors",
        metrics={
            "wrong_orders": Metric("lower", "fraction", "pairs of a 1 and a 0 that are ranked wrongly after training"),
            "dimensions": Metric(None, "count", "of each vector"),
            "numbers_per_label": Metric(None, "ratio", "free numbers for each label that is to be fitted"),
        },
        options={
            "items": Option(256, "vectors", low=8),
            "factor": Option(8.0, "dimensions are this times the logarithm of items", low=0.1),
            "labels": Option("random", "of all pairs of items: random, or by groups", choices=("random", "groups")),
            "steps": Option(1000, "of Adam on all pairs at once", low=1),
            "learning_rate": Option(0.05, "falls to 0", low=0),
        },
        help="fit vectors of few dimensions to labels of all their pairs, with no encoder in between",
    )
    minilm = Task(
        name="matching/minilm-stsb",
        role=_ROLE,
        run=f"{_HERE}.published:minilm_stsb",
        metrics=_metrics("stsb"),
        options=_PROTOCOL | TRAINING | _PRETRAINED | _restricted("stsb"),
        datasets=("stsb", "minilm-l6"),
        help="fine-tune a small pretrained English encoder that a package ships",
    )
    return [*_on_pairs(), minilm, *_as_published(), *_on_inference(), identities, thresholds, vectors]


@hookimpl
def harness_datasets() -> list[Dataset]:
    """Public sentence pairs, and the article's sets in full for those who have them."""
    return [*CORPORA, *FULL_CORPORA]


@hookimpl
def harness_workloads() -> list[Workload]:
    """A batch of cosines, small and large, with two labels and with grades."""
    here = f"{_HERE}.workload"
    return [
        Workload(
            name="matching/pairs",
            role=_ROLE,
            sizes={"pairs": [1024, 8192], "grades": [2, 6, 101]},
            inputs=f"{here}:inputs",
            call=f"{here}:call",
            extremes={
                "all equal": f"{here}:all_equal",
                "nearly equal": f"{here}:nearly_equal",
                "separated": f"{here}:separated",
                "opposite": f"{here}:opposite",
            },
            baseline="cosent-dense",
            bytes=f"{here}:least_bytes",
            flops=f"{here}:least_flops",
            help="the loss of a batch of pairs from its cosines, forward and backward",
        )
    ]


@hookimpl
def harness_claims() -> list[Path]:
    """What the articles and those who repeated them say."""
    return [Path(__file__).with_name(name) for name in ("claims.toml", "tables.toml")]
