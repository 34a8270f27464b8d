"""Classification with alternating normalisation (CAN): does a prior correct unsure predictions?

Claims of the article kexue.fm/archives/8728 and of arXiv 2109.13449, which it explains.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Method, Metric, Option, Paper, Role, Task, Workload
from harness_plugins.can.datasets import DATASETS
from harness_plugins.can.roles import ROLES

_HERE = "harness_plugins.can"
_ROLE = "probability-refiner"

CAN = Paper(
    title="When in Doubt: Improving Classification Performance with Alternating Normalization",
    url="https://arxiv.org/abs/2109.13449",
    year=2021,
    authors="Jia, Reiter, Lim, Artzi, Cardie",
)
SAERENS = Paper(
    title="Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure",
    url="https://doi.org/10.1162/089976602753284446",
    year=2002,
    authors="Saerens, Latinne, Decaestecker",
)
LOGIT_ADJUSTMENT = Paper(
    title="Long-tail learning via logit adjustment", url="https://arxiv.org/abs/2007.07314", year=2020
)
TEMPERATURE = Paper(
    title="On Calibration of Modern Neural Networks",
    url="https://arxiv.org/abs/1706.04599",
    year=2017,
    authors="Guo, Pleiss, Sun, Weinberger",
)

_SPLIT = {
    "k": Option(3, "how many of a row's largest probabilities tell whether it is unsure", low=2, high=1000),
    "tau": Option(0.9, "entropy from 0 to 1 at which a row counts as unsure", low=0, high=1),
}
_POWER = {"alpha": Option(1.0, "power that every step begins with", low=0.01, high=100)}
_CAN = {
    **_SPLIT,
    **_POWER,
    "iterations": Option(1, "alternating steps", low=1, high=100),
    "entropy": Option(
        "renormalised",
        "renormalised: the k are made to sum to one, base k; plain: as they stand, base C",
        choices=("renormalised", "plain"),
    ),
}
_OFFICIAL = {
    "threshold": Option(0.75, "entropy of any k from which on a row counts as unsure", low=0, high=1),
    **_POWER,
    "depth": Option(1, "alternating steps", low=1, high=100),
}
_STRENGTH = {"strength": Option(1.0, "power of the prior that rows are divided by", low=0, high=10)}


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """CAN in its forms, and what else can be done with a prior and a set of predictions."""
    told = [
        ("can", "refiners:Can", _CAN, CAN, "alternating normalisation of unsure rows, all at once"),
        ("can-loop", "refiners:LoopCan", _CAN, CAN, "the same row by row, as the article publishes it"),
        ("can-batch", "refiners:BatchCan", _CAN, CAN, "all unsure rows in one matrix with the sure ones"),
        ("can-official", "refiners:OfficialCan", _OFFICIAL, CAN, "the rules of the authors' code"),
        ("can-tuned", "refiners:TunedCan", {}, CAN, "k, tau, alpha and iterations chosen on validation rows"),
        (
            "prior-reweighting",
            "baselines:PriorReweighting",
            _SPLIT,
            None,
            "unsure rows times prior over the sure rows' mean",
        ),
        ("em-prior", "baselines:EmPrior", {}, SAERENS, "all rows corrected to a prior estimated from them by EM"),
        ("em-prior-calibrated", "baselines:CalibratedEmPrior", {}, SAERENS, "the same after a fitted temperature"),
        ("logit-adjustment", "baselines:LogitAdjustment", _STRENGTH, LOGIT_ADJUSTMENT, "all rows over the prior"),
        ("temperature", "baselines:Temperature", {}, TEMPERATURE, "one power for all rows, fitted on validation rows"),
        ("none", "baselines:no_refinement", {}, None, "probabilities as the classifier gives them"),
    ]
    return [
        Method(
            name=name,
            role=_ROLE,
            build=f"{_HERE}.{address}",
            options=options,
            paper=paper,
            # The published form, row by row.
            reference="can-loop" if name == "can" else "",
            help=text,
        )
        for name, address, options, paper, text in told
    ]


_METRICS = {
    "accuracy": Metric("higher", "fraction", "of all test rows, refined"),
    "accuracy_before": Metric("higher", "fraction", "of all test rows, as classified"),
    "gain": Metric("higher", "fraction", "accuracy less accuracy_before"),
    "sure_accuracy": Metric("higher", "fraction", "of rows with a top-k entropy below tau, refined"),
    "sure_accuracy_before": Metric("higher", "fraction", "of these, as classified"),
    "unsure_accuracy": Metric("higher", "fraction", "of rows with a top-k entropy of at least tau, refined"),
    "unsure_accuracy_before": Metric("higher", "fraction", "of these, as classified"),
    "unsure_gain": Metric("higher", "fraction", "unsure_accuracy less unsure_accuracy_before"),
    "sure_lead": Metric("higher", "fraction", "sure_accuracy_before less unsure_accuracy_before"),
    "unsure_share": Metric(None, "fraction", "rows with a top-k entropy of at least tau"),
    "flips_gained": Metric("higher", "count", "rows that became right"),
    "flips_lost": Metric("lower", "count", "rows that became wrong"),
    "mcnemar_p": Metric(None, "probability", "McNemar's exact test of these two counts on this one test set"),
    "calibration_error": Metric("lower", "fraction", "expected calibration error of all rows, refined, 15 bins"),
    "calibration_error_before": Metric("lower", "fraction", "the same, as classified"),
    "prior_distance": Metric("lower", "fraction", "total variation between the mean refined row and the prior told"),
    "prior_distance_before": Metric("lower", "fraction", "the same, as classified"),
    "reweighting_agreement": Metric("higher", "fraction", "unsure rows decided as prior-reweighting decides them"),
    "reweighting_distance": Metric("lower", "fraction", "mean total variation of unsure rows from prior-reweighting's"),
    "subsample_flips": Metric("lower", "fraction", "rows decided otherwise if a random half is refined by itself"),
}
_PROTOCOL = {
    **_SPLIT,
    "classifier": Option("logistic", "what gives the probabilities", choices=("logistic", "mlp")),
    "train_share": Option(
        0.8, "share of the training rows that is learned from, drawn for each seed", low=0.001, high=1
    ),
    "classes": Option(0, "random classes that are kept; 0 for all", low=0),
    "prior": Option(
        "train",
        "told to the refiner: train, test and uniform frequencies, or skewed: training times 1 to 10",
        choices=("train", "uniform", "skewed", "test"),
    ),
    "shift": Option(1.0, "test classes are thinned out to weights from 1 to this", low=1, high=1000),
    "subsamples": Option(5, "random halves of the test rows that are refined by themselves", low=1),
}
_BLUR = {"blur": Option(0.0, "standard deviation of a Gaussian filter on test images, pixels", low=0)}


@hookimpl
def harness_tasks() -> list[Task]:
    """Classifiers on pictures and on texts, and three tasks without data."""
    help_text = "train a classifier, refine its test probabilities, compare the decisions"
    real = [
        ("digits", "digits", "on_digits", _BLUR),
        ("mnist-5k", "mnist-5k", "on_mnist_5k", _BLUR),
        ("digit-pairs", "digits", "on_digit_pairs", {}),
        *((name, name, f"on_{name.replace('-', '_')}", {}) for name in (dataset.name for dataset in DATASETS)),
    ]
    classified = [
        Task(
            name=f"postprocess/{name}",
            role=_ROLE,
            run=f"{_HERE}.tasks:{function}",
            metrics=_METRICS,
            options=_PROTOCOL | further,
            datasets=(dataset,),
            help=help_text if name != "digit-pairs" else f"{help_text}; two digits side by side make 100 classes",
        )
        for name, dataset, function, further in real
    ]
    toy = Task(
        name="postprocess/toy",
        role=_ROLE,
        run=f"{_HERE}.formal:published_examples",
        metrics={
            "repository": Metric(None, "probability", "of the first class of [.5, .5], beside [0, 1]"),
            "article": Metric(None, "probability", "of the first class of [.5, .5], beside [.05, .95]"),
        },
        help="the published examples: two rows, two classes, an even prior",
    )
    invariances = Task(
        name="postprocess/invariances",
        role=_ROLE,
        run=f"{_HERE}.formal:invariances",
        metrics={
            "sure_changed": Metric("lower", "count", "sure rows that do not come back bit by bit"),
            "matched_flips": Metric("lower", "count", "rows decided otherwise if the sure rows' mean is the prior"),
            "matched_changed": Metric("lower", "count", "rows with a probability moved by more than 1e-5 then"),
            "largest_matched_change": Metric("lower", "probability", "how far a probability moves then, at most"),
            "order_changed": Metric("lower", "count", "rows that change by more than 1e-5 with the rows' order"),
        },
        options={
            **_SPLIT,
            "classes": Option(10, "classes of the random rows", low=4),
            "sure": Option(200, "rows with an entropy below 0.5", low=1),
            "unsure": Option(200, "rows with an entropy of 0.95 or more", low=1),
        },
        help="count what changes on random rows that should stay as it is",
    )
    simulation = Task(
        name="postprocess/simulation",
        role=_ROLE,
        run=f"{_HERE}.formal:simulation",
        metrics={
            "relative_gain": Metric("higher", "fraction", "(b' - b) . prior / (b . prior), the paper's measure"),
            "flip_share": Metric(None, "fraction", "unsure rows decided otherwise"),
            "calibrated_change": Metric("higher", "fraction", "change of accuracy if labels are drawn from b"),
        },
        options={
            "k": _SPLIT["k"],
            "tau": Option(0.5, "unsure rows have an entropy from here to the next quarter", choices=(0.25, 0.5, 0.75)),
            "classes": Option(10, "classes; one less are the sure rows", low=4),
            "draws": Option(200, "sets of sure rows", low=1),
            "rows": Option(100, "unsure rows for each", low=1),
        },
        help="sure rows with one peak each, unsure rows of one range of entropy, as the paper simulates them",
    )
    return [*classified, toy, invariances, simulation]


@hookimpl
def harness_workloads() -> list[Workload]:
    """Predictions of a large test set, a sixth of them unsure."""
    return [
        Workload(
            name="postprocess/confident-and-unconfident-rows",
            role=_ROLE,
            sizes={"confident": [1000, 10_000], "unconfident": [200, 2000], "classes": [10, 100]},
            inputs=f"{_HERE}.workload:inputs",
            call=f"{_HERE}.workload:call",
            extremes={
                "certain rows": f"{_HERE}.workload:certain_rows",
                "rare classes": f"{_HERE}.workload:rare_classes",
            },
            baseline="can-loop",
            bytes=f"{_HERE}.workload:least_bytes",
            flops=f"{_HERE}.workload:least_flops",
            help="refine a test set's probabilities",
        )
    ]


@hookimpl
def harness_datasets() -> list[Dataset]:
    """Four sets of labelled texts, in English and Chinese."""
    return list(DATASETS)


@hookimpl
def harness_claims() -> list[Path]:
    """What the article and the paper say."""
    return [Path(__file__).with_name("claims.toml")]
