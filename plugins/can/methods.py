"""CAN in its forms, and other corrections of predictions by a prior."""

from __future__ import annotations

from harness.spec import Method, Option, Paper

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

#: Which rows are unsure.
SPLIT = {
    "k": Option(3, "number of largest probabilities whose entropy decides whether a row is unsure", low=2, high=1000),
    "tau": Option(0.9, "entropy from 0 to 1 from which on a row is unsure", low=0, high=1),
}
_POWER = {"alpha": Option(1.0, "power that every step begins with", low=0.01, high=100)}
_CAN = {
    **SPLIT,
    **_POWER,
    "iterations": Option(1, "alternating steps", low=1, high=100),
    "entropy": Option(
        "renormalised",
        "renormalised: the k largest are scaled to sum to one, base k; plain: they are not scaled, base C",
        choices=("renormalised", "plain"),
    ),
}
_OFFICIAL = {
    "threshold": Option(0.75, "a row is unsure if its entropy for any k is at least this", low=0, high=1),
    **_POWER,
    "depth": Option(1, "alternating steps", low=1, high=100),
}
_STRENGTH = {"strength": Option(1.0, "power of the prior that rows are divided by", low=0, high=10)}


def _method(
    name: str, code: str, help_text: str, options: dict[str, Option] | None = None, paper: Paper | None = None
) -> Method:
    # CAN's float64 reference is the published form, row by row.
    reference = "can-loop" if name == "can" else ""
    build = f"{_HERE}.{code}"
    return Method(
        name=name, role=_ROLE, build=build, options=options or {}, paper=paper, reference=reference, help=help_text
    )


METHODS = (
    _method("can", "refiners:Can", "alternating normalisation of unsure rows, all at once", _CAN, CAN),
    _method("can-loop", "refiners:LoopCan", "can row by row, as the article publishes it", _CAN, CAN),
    _method("can-batch", "refiners:BatchCan", "all unsure rows in one matrix with the sure ones", _CAN, CAN),
    _method("can-official", "refiners:OfficialCan", "the rules of the authors' code", _OFFICIAL, CAN),
    _method("can-tuned", "refiners:TunedCan", "k, tau, alpha and iterations chosen on validation rows", paper=CAN),
    _method(
        "prior-reweighting",
        "baselines:PriorReweighting",
        "unsure rows times prior over the mean of the sure rows",
        SPLIT,
    ),
    _method(
        "em-prior", "baselines:EmPrior", "all rows corrected to a prior that EM estimates from them", paper=SAERENS
    ),
    _method("em-prior-calibrated", "baselines:CalibratedEmPrior", "em-prior after a fitted temperature", paper=SAERENS),
    _method("logit-adjustment", "baselines:LogitAdjustment", "all rows over the prior", _STRENGTH, LOGIT_ADJUSTMENT),
    _method(
        "temperature", "baselines:Temperature", "one power for all rows, fitted on validation rows", paper=TEMPERATURE
    ),
    _method("none", "baselines:no_refinement", "the classifier's probabilities, unchanged"),
)
