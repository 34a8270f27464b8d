"""SquarePlus in its forms and with the two b that have a name, and the activations that it is compared with."""

from __future__ import annotations

from harness.spec import Method, Option, Paper

_CODE = "harness_plugins.squareplus.functions"
_ROLE = "activation"

SQUAREPLUS = Paper(
    title="Squareplus: A Softplus-Like Algebraic Rectifier",
    url="https://arxiv.org/abs/2112.11687",
    year=2021,
    authors="Barron",
)
SOFTPLUS = Paper(
    title="Incorporating Second-Order Functional Knowledge for Better Option Pricing",
    url="https://papers.nips.cc/paper/1920",
    year=2000,
    authors="Dugas et al.",
)
GELU = Paper(
    title="Gaussian Error Linear Units",
    url="https://arxiv.org/abs/1606.08415",
    year=2016,
    authors="Hendrycks, Gimpel",
)
ELU = Paper(
    title="Fast and Accurate Deep Network Learning by Exponential Linear Units",
    url="https://arxiv.org/abs/1511.07289",
    year=2015,
    authors="Clevert, Unterthiner, Hochreiter",
)
MISH = Paper(
    title="Mish: A Self Regularized Non-Monotonic Activation Function",
    url="https://arxiv.org/abs/1908.08681",
    year=2019,
    authors="Misra",
)

_B = {"b": Option(4.0, "0 is ReLU; the larger, the smoother and the higher above it", low=0.0, high=1e30)}
# The form that is exact in float64; the plain form of squareplus loses its left tail even there.
_EXACT = "squareplus-hypot"

_SQUAREPLUS = (
    Method(
        name="squareplus",
        role=_ROLE,
        build=f"{_CODE}:SquarePlus",
        options=_B,
        paper=SQUAREPLUS,
        reference=_EXACT,
        help="exact in both tails, one saved tensor; b = 4 as in JAX",
    ),
    Method(
        name="squareplus-compiled",
        role=_ROLE,
        build=f"{_CODE}:CompiledSquarePlus",
        options=_B,
        paper=SQUAREPLUS,
        reference=_EXACT,
        help="the same through torch.compile where large",
    ),
    Method(
        name="squareplus-bounding",
        role=_ROLE,
        build=f"{_CODE}:bounding",
        paper=SQUAREPLUS,
        help="b = 4 log(2)^2: the least nowhere below softplus",
    ),
    Method(
        name="squareplus-minimax",
        role=_ROLE,
        build=f"{_CODE}:minimax",
        help="b = 1.52382103...: the nearest to softplus",
    ),
    Method(
        name="squareplus-plain",
        role=_ROLE,
        build=f"{_CODE}:PlainSquarePlus",
        options=_B,
        paper=SQUAREPLUS,
        reference=_EXACT,
        help="(x + sqrt(x^2 + b)) / 2 as published",
    ),
    Method(
        name=_EXACT,
        role=_ROLE,
        build=f"{_CODE}:HypotSquarePlus",
        options=_B,
        paper=SQUAREPLUS,
        help="through hypot, a form for each sign: the reference of the other forms",
    ),
)
_OTHERS = (
    Method(
        name="softplus",
        role=_ROLE,
        build="torch.nn:Softplus",
        paper=SOFTPLUS,
        help="log(1 + exp(x)), torch's; x itself above 20",
    ),
    Method(
        name="softplus-naive",
        role=_ROLE,
        build=f"{_CODE}:NaiveSoftplus",
        paper=SOFTPLUS,
        reference="softplus",
        help="log1p(exp(x)), exactly as written",
    ),
    Method(name="relu", role=_ROLE, build=f"{_CODE}:Rectifier", help="max(x, 0)"),
    Method(
        name="gelu",
        role=_ROLE,
        build=f"{_CODE}:Gelu",
        paper=GELU,
        help="x times the normal distribution function, torch's",
    ),
    Method(
        name="silu",
        role=_ROLE,
        build="torch.nn:SiLU",
        paper=GELU,
        help="x times the logistic function, also called swish",
    ),
    Method(name="elu", role=_ROLE, build="torch.nn:ELU", paper=ELU, help="exp(x) - 1 below 0"),
    Method(name="mish", role=_ROLE, build="torch.nn:Mish", paper=MISH, help="x tanh(softplus(x))"),
)
METHODS = (*_SQUAREPLUS, *_OTHERS)
