"""The tasks ``postprocess/...``: classifiers of pictures and of texts, and three tasks without data."""

from __future__ import annotations

from typing import Literal

from harness.spec import Metric, Option, Task
from harness_plugins.can.datasets import DATASETS
from harness_plugins.can.methods import SPLIT

_HERE = "harness_plugins.can"
_ROLE = "probability-refiner"

_METRICS = {
    "accuracy": Metric("higher", "fraction", "of all test rows, refined"),
    "accuracy_before": Metric("higher", "fraction", "of all test rows, before refining"),
    "gain": Metric("higher", "fraction", "accuracy - accuracy_before"),
    "sure_accuracy": Metric("higher", "fraction", "of rows with a top-k entropy below tau, refined"),
    "sure_accuracy_before": Metric("higher", "fraction", "of the same rows, before refining"),
    "unsure_accuracy": Metric("higher", "fraction", "of rows with a top-k entropy of at least tau, refined"),
    "unsure_accuracy_before": Metric("higher", "fraction", "of the same rows, before refining"),
    "unsure_gain": Metric("higher", "fraction", "unsure_accuracy - unsure_accuracy_before"),
    "sure_lead": Metric("higher", "fraction", "sure_accuracy_before - unsure_accuracy_before"),
    "unsure_share": Metric(None, "fraction", "rows with a top-k entropy of at least tau"),
    "flips_gained": Metric("higher", "count", "rows that became right"),
    "flips_lost": Metric("lower", "count", "rows that became wrong"),
    "mcnemar_p": Metric(None, "probability", "McNemar's exact test of these two counts on this one test set"),
    "calibration_error": Metric("lower", "fraction", "expected calibration error of all rows, refined, 15 bins"),
    "calibration_error_before": Metric("lower", "fraction", "the same before refining"),
    "prior_distance": Metric("lower", "fraction", "total variation between the mean refined row and the prior"),
    "prior_distance_before": Metric("lower", "fraction", "the same before refining"),
    "prior_error": Metric("lower", "fraction", "total variation between the prior and the test rows' classes"),
    "prior_excess": Metric(
        "lower", "fraction", "prior_error minus what 95 % of random training and test rows of one prior stay below"
    ),
    "reweighting_agreement": Metric("higher", "fraction", "unsure rows with the decision of prior-reweighting"),
    "reweighting_distance": Metric(
        "lower", "fraction", "mean total variation between unsure rows and those of prior-reweighting"
    ),
    "subsample_flips": Metric("lower", "fraction", "rows whose decision changes if a random half is refined by itself"),
}
_PROTOCOL = {
    **SPLIT,
    "classifier": Option("logistic", "classifier whose probabilities are refined", choices=("logistic", "mlp")),
    "train_share": Option(0.8, "share of the training rows to train on, drawn for each seed", low=0.001, high=1),
    "classes": Option(0, "number of random classes to use; 0: all", low=0),
    "prior": Option(
        "train",
        "prior given to the refiner: train, test or uniform frequencies, or skewed: training times 1 to 10",
        choices=("train", "uniform", "skewed", "test"),
    ),
    "shift": Option(1.0, "test classes are thinned out to weights from 1 to this", low=1, high=1000),
    "subsamples": Option(5, "random halves of the test rows that are refined by themselves", low=1),
}
_BLUR = {"blur": Option(0.0, "standard deviation of a Gaussian filter on test images, pixels", low=0)}
_HELP = "train a classifier, refine its test probabilities, compare the decisions"


def _classify(
    name: str,
    dataset: str,
    function: str,
    options: dict[str, Option] | None = None,
    help_text: str = _HELP,
    test_set: Literal["fixed", "redrawn"] = "redrawn",
) -> Task:
    return Task(
        name=f"postprocess/{name}",
        role=_ROLE,
        run=f"{_HERE}.evaluation:{function}",
        metrics=_METRICS,
        options=_PROTOCOL | (options or {}),
        datasets=(dataset,),
        test_set=test_set,
        help=help_text,
    )


_CLASSIFY = (
    _classify("digits", "digits", "on_digits", _BLUR),
    _classify("mnist-5k", "mnist-5k", "on_mnist_5k", _BLUR),
    _classify(
        "digit-pairs", "digits", "on_digit_pairs", help_text=f"{_HELP}; two digits side by side make 100 classes"
    ),
    # Texts have official test rows.
    *(
        _classify(dataset.name, dataset.name, f"on_{dataset.name.replace('-', '_')}", test_set="fixed")
        for dataset in DATASETS
    ),
)
_TOY = Task(
    name="postprocess/toy",
    role=_ROLE,
    run=f"{_HERE}.synthetic:published_examples",
    metrics={
        "repository": Metric(None, "probability", "of the first class of [.5, .5], beside [0, 1]", deterministic=True),
        "article": Metric(None, "probability", "of the first class of [.5, .5], beside [.05, .95]", deterministic=True),
    },
    help="the published examples: two rows, two classes, an even prior",
)
_INVARIANCES = Task(
    name="postprocess/invariances",
    role=_ROLE,
    run=f"{_HERE}.synthetic:invariances",
    metrics={
        "sure_changed": Metric("lower", "count", "sure rows that are not returned bit for bit"),
        "matched_flips": Metric("lower", "count", "rows whose decision changes if the prior is the sure rows' mean"),
        "matched_changed": Metric("lower", "count", "rows with a probability that then changes by more than 1e-5"),
        "largest_matched_change": Metric("lower", "probability", "largest change of a probability then"),
        "order_changed": Metric("lower", "count", "rows that change by more than 1e-5 with the rows' order"),
    },
    options={
        **SPLIT,
        "classes": Option(10, "classes of the random rows", low=4),
        "sure": Option(200, "rows with an entropy below 0.5", low=1),
        "unsure": Option(200, "rows with an entropy of 0.95 or more", low=1),
    },
    help="count changes on random rows where nothing should change",
)
_SIMULATION = Task(
    name="postprocess/simulation",
    role=_ROLE,
    run=f"{_HERE}.synthetic:simulation",
    metrics={
        "relative_gain": Metric("higher", "fraction", "(b' - b) . prior / (b . prior), the paper's measure"),
        "flip_share": Metric(None, "fraction", "unsure rows whose decision changes"),
        "calibrated_change": Metric("higher", "fraction", "change of accuracy if labels are drawn from b"),
    },
    options={
        "k": SPLIT["k"],
        "tau": Option(0.5, "unsure rows have an entropy from here to the next quarter", choices=(0.25, 0.5, 0.75)),
        "classes": Option(10, "classes; one less are the sure rows", low=4),
        "draws": Option(200, "sets of sure rows", low=1),
        "rows": Option(100, "unsure rows for each set", low=1),
    },
    help="sure rows with one peak each, unsure rows of one range of entropy, as the paper simulates them",
)

TASKS = (*_CLASSIFY, _TOY, _INVARIANCES, _SIMULATION)
