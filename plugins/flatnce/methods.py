"""The contrastive losses, and two controls that separate the weight of an anchor from the length of a step."""

from __future__ import annotations

from harness.spec import Method, Option, Paper

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

_OPTIONS = {
    "temperature": Option(0.1, "divides the cosines", low=1e-3, high=100),
    "negatives": Option(
        "all",
        "all: the other rows of both views, as in SimCLR; cross: the other rows of the opposite view",
        choices=("all", "cross"),
    ),
}
_SIGMA = {"sigma": Option(0.5, "divides the positive's cosine in its own weight", low=1e-3, high=100)}

_FLATNCE = (
    Method(
        name="flatnce",
        role=_ROLE,
        build=f"{_HERE}.tiled:TiledFlatNCE",
        options=_OPTIONS,
        paper=FLATNCE,
        reference="flatnce-dense",
        help="log xi: the gradient of FlatNCE without its stop-gradient",
    ),
    Method(
        name="flatnce-dense",
        role=_ROLE,
        build=f"{_HERE}.losses:FlatNCE",
        options=_OPTIONS,
        paper=FLATNCE,
        help="the same with all scores in memory, by automatic differentiation",
    ),
    Method(
        name="flatnce-detach",
        role=_ROLE,
        build=f"{_HERE}.losses:DetachedFlatNCE",
        options=_OPTIONS,
        paper=FLATNCE,
        help="xi over itself as a constant, as published",
    ),
)
_INFONCE = (
    Method(
        name="infonce",
        role=_ROLE,
        build=f"{_HERE}.tiled:TiledInfoNCE",
        options=_OPTIONS,
        paper=CPC,
        reference="infonce-dense",
        help="log(1 + xi) in the form that keeps its accuracy",
    ),
    Method(
        name="infonce-dense",
        role=_ROLE,
        build=f"{_HERE}.losses:InfoNCE",
        options=_OPTIONS,
        paper=CPC,
        help="the same with all scores in memory, by automatic differentiation",
    ),
    Method(
        name="infonce-naive",
        role=_ROLE,
        build=f"{_HERE}.losses:NaiveInfoNCE",
        options=_OPTIONS,
        paper=CPC,
        reference="infonce-dense",
        help="log(1 + sum of exponentials) as the formula stands",
    ),
    Method(
        name="infonce-cross-entropy",
        role=_ROLE,
        build=f"{_HERE}.losses:CrossEntropyInfoNCE",
        options=_OPTIONS,
        paper=CPC,
        reference="infonce-dense",
        help="softmax cross-entropy, as libraries write it",
    ),
    Method(
        name="infonce-float64",
        role=_ROLE,
        build=f"{_HERE}.losses:Float64InfoNCE",
        options=_OPTIONS,
        paper=CPC,
        reference="infonce-dense",
        help="InfoNCE computed in float64 whatever the views' dtype",
    ),
)
_DCL = (
    Method(
        name="dcl",
        role=_ROLE,
        build=f"{_HERE}.losses:DCL",
        options=_OPTIONS,
        paper=DCL,
        help="InfoNCE without the positive in the denominator",
    ),
    Method(
        name="dclw",
        role=_ROLE,
        build=f"{_HERE}.losses:WeightedDCL",
        options=_OPTIONS | _SIGMA,
        paper=DCL,
        help="DCL with more weight on unlike positives",
    ),
)
_CONTROLS = (
    Method(
        name="infonce-anchor-rescaled",
        role=_ROLE,
        build=f"{_HERE}.controls:AnchorRescaledInfoNCE",
        options=_OPTIONS,
        help="control: each anchor's weight divided out",
    ),
    Method(
        name="infonce-batch-rescaled",
        role=_ROLE,
        build=f"{_HERE}.controls:BatchRescaledInfoNCE",
        options=_OPTIONS,
        help="control: the batch's mean weight divided out",
    ),
)
METHODS = (*_FLATNCE, *_INFONCE, *_DCL, *_CONTROLS)
