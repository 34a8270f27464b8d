"""The methods: losses of pairs, classifiers, encoders of both texts at once, and threshold searches."""

from __future__ import annotations

from harness.spec import Method, Option, Paper

_HERE = "harness_plugins.cosent"
_LOSS = "pair-ranking-loss"
_SEARCH = "threshold-search"

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

_SCALE = {"scale": Option(20.0, "lambda, the factor of the cosines", low=1e-3, high=1e4)}
_CLASSES = {
    "classes": Option(
        "two", "two: labels above and below one half; grades: one class each, six at most", choices=("two", "grades")
    )
}
_MEASURE = {"measure": Option("accuracy", "what the threshold maximises", choices=("accuracy", "f1"))}

METHODS = (
    Method(
        name="cosent",
        role=_LOSS,
        build=f"{_HERE}.losses:Cosent",
        options=_SCALE,
        paper=COSENT,
        help="all ordered pairs in one log-sum-exp, in O(N log N)",
        reference="cosent-dense",
    ),
    Method(
        name="cosent-dense",
        role=_LOSS,
        build=f"{_HERE}.losses:DenseCosent",
        options=_SCALE,
        paper=COSENT,
        help="the same as published, in O(N^2)",
    ),
    Method(
        name="cosine-mse",
        role=_LOSS,
        build=f"{_HERE}.losses:CosineMse",
        paper=SBERT,
        help="squared difference of cosine and label",
    ),
    Method(
        name="cosine-contrastive",
        role=_LOSS,
        build=f"{_HERE}.losses:CosineContrastive",
        options={
            "form": Option("linear", "which of the article's three losses", choices=("linear", "squared", "margin"))
        },
        paper=COSENT,
        help="the direct losses that the article begins with",
    ),
    Method(
        name="sentence-bert",
        role=_LOSS,
        build=f"{_HERE}.matchers:SentenceBert",
        options={
            "features": Option(
                "[u, v, |u-v|]", "input of the classifier", choices=("[u, v, |u-v|]", "[u, v]", "[|u-v|]")
            ),
            **_CLASSES,
        },
        paper=SBERT,
        help="a softmax classifier on both vectors; scores are cosines",
    ),
    Method(
        name="angle",
        role=_LOSS,
        build=f"{_HERE}.matchers:Angle",
        options={
            **_SCALE,
            "angle_scale": Option(1.0, "factor of the similarity by angle", low=1e-3, high=1e4),
            "angle_weight": Option(1.0, "weight of the loss of angles; that of cosines has 1", low=0),
        },
        paper=ANGLE,
        help="CoSENT on cosines and on angles in complex space",
    ),
    Method(
        name="interaction",
        role=_LOSS,
        build=f"{_HERE}.matchers:Interaction",
        options=_CLASSES,
        paper=COSENT,
        help="both texts in one input, cross-entropy",
    ),
    Method(
        name="interaction-cosent",
        role=_LOSS,
        build=f"{_HERE}.matchers:InteractionCosent",
        paper=COSENT,
        help="both texts in one input, CoSENT's loss",
    ),
    Method(
        name="untrained",
        role=_LOSS,
        build=f"{_HERE}.losses:Untrained",
        help="control: the encoder before training",
    ),
    Method(
        name="threshold-exact",
        role=_SEARCH,
        build=f"{_HERE}.thresholds:ExactThreshold",
        options=_MEASURE,
        paper=COSENT,
        help="sort, then running counts",
    ),
    Method(
        name="threshold-bisection",
        role=_SEARCH,
        build=f"{_HERE}.thresholds:BisectedThreshold",
        options=_MEASURE,
        paper=COSENT,
        help="halve the range towards the better half",
    ),
    Method(
        name="threshold-powell",
        role=_SEARCH,
        build=f"{_HERE}.thresholds:PowellThreshold",
        options=_MEASURE,
        paper=COSENT,
        help="Powell's method on tanh, from 1, as in the article's code",
    ),
)
