"""Gradient penalties, no penalty, and the plain forms of two penalties."""

from __future__ import annotations

from harness.spec import Method, Option, Paper

_CODE = "harness_plugins.gradient_penalty.penalties"
_ROLE = "gradient-penalty"

DOUBLE_BACKPROPAGATION = Paper(
    title="Improving generalization performance using double backpropagation",
    url="https://doi.org/10.1109/72.165600",
    year=1992,
    authors="Drucker, LeCun",
)
IMPLICIT = Paper(
    title="Implicit Gradient Regularization",
    url="https://arxiv.org/abs/2009.11162",
    year=2021,
    authors="Barrett, Dherin",
)
SPECTRAL = Paper(
    title="Spectral Norm Regularization for Improving the Generalizability of Deep Learning",
    url="https://arxiv.org/abs/1705.10941",
    year=2017,
    authors="Yoshida, Miyato",
)


def _weight(default: float) -> dict[str, Option]:
    """The weight of a penalty.

    The defaults make each penalty about a tenth of the loss of an untrained network of three layers of 128 units on
    digits.
    """
    return {"weight": Option(default, "multiplies the penalty", low=0.0)}


_FORM = {"form": Option("sum", "of the squared norms of all layers", choices=("sum", "product"))}

METHODS = (
    Method(
        name="no-penalty",
        role=_ROLE,
        build=f"{_CODE}:NoPenalty",
        help="no penalty: learning rate and batch size, options of the tasks, regularise by themselves",
    ),
    Method(
        name="input",
        role=_ROLE,
        build=f"{_CODE}:InputPenalty",
        options=_weight(1.0),
        paper=DOUBLE_BACKPROPAGATION,
        reference="input-vmap",
        help="penalises the squared norm of each sample's input gradient",
    ),
    Method(
        name="parameter",
        role=_ROLE,
        build=f"{_CODE}:ParameterPenalty",
        options=_weight(0.01),
        paper=IMPLICIT,
        reference="parameter-vmap",
        help="penalises the squared norm of each sample's parameter gradient; MLPs only",
    ),
    Method(
        name="parameter-batch",
        role=_ROLE,
        build=f"{_CODE}:BatchParameterPenalty",
        options=_weight(0.25),
        paper=IMPLICIT,
        help="penalises the squared norm of the parameter gradient of the batch's mean loss",
    ),
    Method(
        name="spectral-norm",
        role=_ROLE,
        build=f"{_CODE}:SpectralNormPenalty",
        options=_weight(0.02) | _FORM,
        paper=SPECTRAL,
        help="penalises the weights' largest singular values",
    ),
    Method(
        name="input-vmap",
        role=_ROLE,
        build=f"{_CODE}:InputPenaltyVmap",
        options=_weight(1.0),
        paper=DOUBLE_BACKPROPAGATION,
        help="the penalty input by torch.func, for any module",
    ),
    Method(
        name="parameter-vmap",
        role=_ROLE,
        build=f"{_CODE}:ParameterPenaltyVmap",
        options=_weight(0.01),
        paper=IMPLICIT,
        help="the penalty parameter by torch.func, for any module",
    ),
)
