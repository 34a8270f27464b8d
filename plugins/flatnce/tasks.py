"""The tasks of contrastive losses: training on three data sets, and two numeric tasks."""

from __future__ import annotations

from harness.spec import Metric, Option, Task
from harness_plugins.images.options import SPLIT

_HERE = "harness_plugins.flatnce"
_ROLE = "contrastive-loss"

_TRAINING_OPTIONS = {
    "batch_size": Option(32, "pairs in a batch", low=2, high=4096),
    "samples_seen": Option(8192, "images in all batches together, whatever the batch size", low=1),
    "base_lr": Option(0.01, "peak learning rate at a batch of 256", low=0),
    "lr_rule": Option("sqrt", "how it grows with the batch", choices=("constant", "linear", "sqrt")),
    "optimizer": Option("adam", "sgd has momentum 0.9", choices=("adam", "sgd")),
    "weight_decay": Option(0.0, "L2 penalty in the optimiser", low=0),
    "clip_norm": Option(0.0, "largest norm of the whole gradient; 0: no clipping", low=0),
    "probe_penalty": Option(1e-4, "L2 penalty of the logistic regression", low=1e-8),
    "neighbours": Option(20, "how many vote", low=1),
    **SPLIT,
}
_TRAINING_METRICS = {
    "probe_accuracy": Metric(better="higher", unit="fraction", help="logistic regression on frozen features"),
    "validation_accuracy": Metric(
        better="higher",
        unit="fraction",
        help="the same regression fitted on four fifths of the training rows, on the fifth that is held out of it",
        split="validation",
    ),
    "knn_accuracy": Metric(better="higher", unit="fraction", help="vote of the nearest frozen features"),
    "share_small_xi": Metric(
        unit="fraction",
        help="anchors with xi <= 0.1 after training, where log(1 + xi) is within 5 % of xi",
    ),
    "mean_weight": Metric(unit="fraction", help="mean of 1 - p_t over anchors after training"),
}
_TRAINING = tuple(
    Task(
        name=f"contrastive/{dataset}",
        role=_ROLE,
        run=f"{_HERE}.training:on_{dataset.replace('-', '_')}",
        metrics=_TRAINING_METRICS,
        options=_TRAINING_OPTIONS,
        datasets=(dataset,),
        test_set="split",
        help="train a small encoder on pairs of views without labels, then probe its frozen features",
    )
    for dataset in ("digits", "mnist-5k", "fashion-mnist")
)

_CAPPED = "relative error over anchors, capped at 1 = nothing right (also NaN, infinity)"
_ROUNDING = Task(
    name="contrastive/rounding",
    role=_ROLE,
    run=f"{_HERE}.rounding:rounding",
    metrics={
        "positive_gradient_error": Metric("lower", "relative", f"gradient at the positive: median {_CAPPED}"),
        "positive_gradient_error_p99": Metric("lower", "relative", f"the same, 99th percentile {_CAPPED}"),
        "negative_gradient_error": Metric("lower", "relative", f"gradient at the negatives: median {_CAPPED}"),
        "negative_gradient_error_p99": Metric("lower", "relative", f"the same, 99th percentile {_CAPPED}"),
        "value_error": Metric("lower", "relative", f"the loss itself: median {_CAPPED}"),
        "lost_share": Metric("lower", "fraction", "anchors whose loss is rounded to exactly 0 though it is not 0"),
        "median_log_xi": Metric(unit="nats", help="how easy the drawn anchors are"),
    },
    options={
        "k": Option(256, "negatives of an anchor", low=1, high=65536),
        "anchors": Option(1024, "anchors drawn", low=1),
        "positive_mean": Option(0.9, "mean cosine of a positive", low=-1, high=1),
        "negative_mean": Option(0.0, "mean cosine of a negative", low=-1, high=1),
        "spread": Option(0.15, "standard deviation of both", low=0, high=1),
    },
    help="errors of value and gradient in the cell's dtype, against float64 on the same scores",
)
_IDENTITIES = Task(
    name="contrastive/identities",
    role=_ROLE,
    run=f"{_HERE}.rounding:identities",
    metrics={
        "violations": Metric("lower", "count", "draws whose gradient is not the closed form's to 1e-9"),
        "largest_error": Metric("lower", "relative", "worst relative error of a draw's gradient, capped at 1"),
        "inequality_violations": Metric("lower", "count", "draws with a loss above xi, which log(1 + xi) never is"),
    },
    options={
        "k": Option(8, "negatives of a draw", low=1),
        "draws": Option(10_000, "random draws", low=1),
    },
    help="count draws where a loss's gradient is not its weight times the gradient of log xi (use float64)",
)
TASKS = (*_TRAINING, _ROUNDING, _IDENTITIES)
