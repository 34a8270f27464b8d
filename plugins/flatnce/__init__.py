"""FlatNCE, InfoNCE and their relatives: do small batches hurt contrastive learning, and does rounding?

Claims of arXiv 2107.01152, of the article kexue.fm/archives/8586 on it, and of DCL (arXiv 2110.06848).
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Method, Metric, Option, Paper, Role, Task, Workload
from harness_plugins.flatnce.roles import ROLES

#: What "harness check" is told not to ask, and why: these stop a gradient on purpose, and that is what they are for.
HARNESS_EXCEPTIONS = {
    "gradient": {
        "flatnce-detach": "xi over itself as a constant has the value 1 and the gradient of log xi, as published",
        "infonce-anchor-rescaled": "each anchor's weight is divided out as a constant",
        "infonce-batch-rescaled": "the batch's mean weight is divided out as a constant",
    }
}

_HERE = "harness_plugins.flatnce"
_ROLE = "contrastive-loss"

CPC = Paper(
    title="Representation Learning with Contrastive Predictive Coding",
    url="https://arxiv.org/abs/1807.03748",
    year=2018,
    authors="van den Oord, Li, Vinyals",
)
FLATNCE = Paper(
    title="Simpler, Faster, Stronger: Breaking The log-K Curse On Contrastive Learners With FlatNCE",
    url="https://arxiv.org/abs/2107.01152",
    year=2021,
    authors="Chen et al.",
)
DCL = Paper(
    title="Decoupled Contrastive Learning",
    url="https://arxiv.org/abs/2110.06848",
    year=2021,
    authors="Yeh et al.",
)

_LOSS = {
    "temperature": Option(0.1, "divides the cosines", low=1e-3, high=100),
    "negatives": Option(
        "all",
        "all: the other rows of both views, as in SimCLR; cross: the other rows of the opposite view",
        choices=("all", "cross"),
    ),
}
_SIGMA = {"sigma": Option(0.5, "divides the positive's cosine in its own weight", low=1e-3, high=100)}


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """The losses, and two controls that tell re-weighting of anchors from longer steps."""
    told = [
        ("flatnce", "tiled:TiledFlatNCE", FLATNCE, "log xi: the gradient of FlatNCE without its stop-gradient"),
        (
            "flatnce-dense",
            "losses:FlatNCE",
            FLATNCE,
            "the same with all scores in memory, by automatic differentiation",
        ),
        ("flatnce-detach", "losses:DetachedFlatNCE", FLATNCE, "xi over itself as a constant, as published"),
        ("infonce", "tiled:TiledInfoNCE", CPC, "log(1 + xi) in the form that keeps its accuracy"),
        ("infonce-dense", "losses:InfoNCE", CPC, "the same with all scores in memory, by automatic differentiation"),
        ("infonce-naive", "losses:NaiveInfoNCE", CPC, "log(1 + sum of exponentials) as the formula stands"),
        ("infonce-cross-entropy", "losses:CrossEntropyInfoNCE", CPC, "softmax cross-entropy, as libraries write it"),
        ("infonce-float64", "losses:Float64InfoNCE", CPC, "InfoNCE computed in float64 whatever the views' dtype"),
        ("dcl", "losses:DCL", DCL, "InfoNCE without the positive in the denominator"),
        ("dclw", "losses:WeightedDCL", DCL, "DCL with more weight on unlike positives"),
        (
            "infonce-anchor-rescaled",
            "controls:AnchorRescaledInfoNCE",
            None,
            "control: each anchor's weight divided out",
        ),
        (
            "infonce-batch-rescaled",
            "controls:BatchRescaledInfoNCE",
            None,
            "control: the batch's mean weight divided out",
        ),
    ]
    # Other ways to write one loss.
    same = dict.fromkeys(["infonce", "infonce-naive", "infonce-cross-entropy", "infonce-float64"], "infonce-dense")
    same["flatnce"] = "flatnce-dense"
    return [
        Method(
            name=name,
            role=_ROLE,
            build=f"{_HERE}.{address}",
            options=_LOSS | (_SIGMA if name == "dclw" else {}),
            paper=paper,
            reference=same.get(name, ""),
            help=text,
        )
        for name, address, paper, text in told
    ]


@hookimpl
def harness_tasks() -> list[Task]:
    """Training on three data sets, and two purely numeric tasks."""
    trained = {
        "probe_accuracy": Metric(better="higher", unit="fraction", help="logistic regression on frozen features"),
        "knn_accuracy": Metric(better="higher", unit="fraction", help="vote of the nearest frozen features"),
        "share_small_xi": Metric(
            unit="fraction",
            help="anchors with xi <= 0.1 after training, where log(1 + xi) is within 5 % of xi",
        ),
        "mean_weight": Metric(unit="fraction", help="mean of 1 - p_t over anchors after training"),
    }
    protocol = {
        "batch_size": Option(32, "pairs in a batch", low=2, high=4096),
        "samples_seen": Option(8192, "images in all batches together, whatever the batch size", low=1),
        "base_lr": Option(0.01, "peak learning rate at a batch of 256", low=0),
        "lr_rule": Option("sqrt", "how it grows with the batch", choices=("constant", "linear", "sqrt")),
        "optimizer": Option("adam", "sgd has momentum 0.9", choices=("adam", "sgd")),
        "weight_decay": Option(0.0, "L2 penalty in the optimiser", low=0),
        "clip_norm": Option(0.0, "largest norm of the whole gradient; 0 leaves it alone", low=0),
        "probe_penalty": Option(1e-4, "L2 penalty of the logistic regression", low=1e-8),
        "neighbours": Option(20, "how many vote", low=1),
    }
    capped = "relative error over anchors, capped at 1 = nothing right (also NaN, infinity)"
    errors = {
        "positive_gradient_error": Metric("lower", "relative", f"gradient at the positive: median {capped}"),
        "positive_gradient_error_p99": Metric("lower", "relative", f"the same, 99th percentile {capped}"),
        "negative_gradient_error": Metric("lower", "relative", f"gradient at the negatives: median {capped}"),
        "negative_gradient_error_p99": Metric("lower", "relative", f"the same, 99th percentile {capped}"),
        "value_error": Metric("lower", "relative", f"the loss itself: median {capped}"),
        "lost_share": Metric("lower", "fraction", "anchors whose loss is rounded to exactly 0 though it is not 0"),
        "median_log_xi": Metric(unit="nats", help="how easy the drawn anchors are"),
    }
    scores = {
        "k": Option(256, "negatives of an anchor", low=1, high=65536),
        "anchors": Option(1024, "anchors drawn", low=1),
        "positive_mean": Option(0.9, "mean cosine of a positive", low=-1, high=1),
        "negative_mean": Option(0.0, "mean cosine of a negative", low=-1, high=1),
        "spread": Option(0.15, "standard deviation of both", low=0, high=1),
    }
    held = {
        "violations": Metric("lower", "count", "draws whose gradient is not the closed form's to 1e-9"),
        "largest_error": Metric("lower", "relative", "worst relative error of a draw's gradient, capped at 1"),
        "inequality_violations": Metric("lower", "count", "draws with log(1 + xi) > xi"),
    }
    training = [
        Task(
            name=f"contrastive/{dataset}",
            role=_ROLE,
            run=f"{_HERE}.training:on_{dataset.replace('-', '_')}",
            metrics=trained,
            options=protocol,
            datasets=(dataset,),
            help="train a small encoder on pairs of views without labels, then probe its frozen features",
        )
        for dataset in ("digits", "mnist-5k", "fashion-mnist")
    ]
    numeric = [
        Task(
            name="contrastive/rounding",
            role=_ROLE,
            run=f"{_HERE}.rounding:rounding",
            metrics=errors,
            options=scores,
            help="errors of value and gradient in the cell's dtype, against float64 on the same scores",
        ),
        Task(
            name="contrastive/identities",
            role=_ROLE,
            run=f"{_HERE}.rounding:identities",
            metrics=held,
            options={
                "k": Option(8, "negatives of a draw", low=1),
                "draws": Option(10_000, "random draws", low=1),
            },
            help="count where a loss's gradient is not its weight times the gradient of log xi (use float64)",
        ),
    ]
    return training + numeric


@hookimpl
def harness_workloads() -> list[Workload]:
    """Projections of two views, as large as SimCLR's."""
    return [
        Workload(
            name="contrastive/two-view-batch",
            role=_ROLE,
            sizes={"batch": [256, 1024, 4096], "dimension": [128]},
            inputs=f"{_HERE}.workload:inputs",
            call=f"{_HERE}.workload:call",
            extremes={
                "nearly collapsed": f"{_HERE}.workload:collapsed",
                "separated": f"{_HERE}.workload:separated",
                "uneven lengths": f"{_HERE}.workload:uneven_lengths",
            },
            baseline="infonce-cross-entropy",
            bytes=f"{_HERE}.workload:least_bytes",
            flops=f"{_HERE}.workload:least_flops",
            help="the loss of a batch of pairs, forward and backward",
        )
    ]


@hookimpl
def harness_claims() -> list[Path]:
    """What the papers and the article say."""
    return [Path(__file__).with_name("claims.toml")]
