"""SquarePlus, an algebraic neighbour of softplus: its constants, its rounding, and networks that use it.

Claims of arXiv 2112.11687, of its notebook, and of the article kexue.fm/archives/8833 on it.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Method, Metric, Option, Paper, Role, Task, Workload
from harness_plugins.squareplus.roles import ROLES

#: What "harness check" is told not to ask, and why.
HARNESS_EXCEPTIONS = {
    "reference": {
        "softplus-naive": "it overflows as the formula does; activation/rounding shows by how much",
        "gelu": "torch's own loses accuracy in the left tail; it is here as people use it",
    }
}

_HERE = "harness_plugins.squareplus"
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


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """SquarePlus with any b and under the two b that have a name, its published form, and its rivals."""
    mine = f"{_HERE}.functions"
    # Other ways to write one function; the plain form of squareplus loses its tail even in float64.
    stable = "squareplus-hypot"
    same = {
        "squareplus": stable,
        "squareplus-compiled": stable,
        "squareplus-plain": stable,
        "softplus-naive": "softplus",
    }
    told = [
        ("squareplus", f"{mine}:SquarePlus", SQUAREPLUS, "exact in both tails, one saved tensor; b = 4 as in JAX"),
        ("squareplus-compiled", f"{mine}:CompiledSquarePlus", SQUAREPLUS, "the same through torch.compile where large"),
        ("squareplus-bounding", f"{mine}:bounding", SQUAREPLUS, "b = 4 log(2)^2: the least nowhere below softplus"),
        ("squareplus-minimax", f"{mine}:minimax", None, "b = 1.52382103...: the nearest to softplus"),
        ("squareplus-plain", f"{mine}:PlainSquarePlus", SQUAREPLUS, "(x + sqrt(x^2 + b)) / 2 as published"),
        (stable, f"{mine}:HypotSquarePlus", SQUAREPLUS, "through hypot, a form for each sign: what others must match"),
        ("softplus", "torch.nn:Softplus", SOFTPLUS, "log(1 + exp(x)), torch's; x itself above 20"),
        ("softplus-naive", f"{mine}:NaiveSoftplus", SOFTPLUS, "log1p(exp(x)) as it stands"),
        ("relu", f"{mine}:Rectifier", None, "max(x, 0)"),
        ("gelu", f"{mine}:Gelu", GELU, "x times the normal distribution function, torch's"),
        ("silu", "torch.nn:SiLU", GELU, "x times the logistic function, also called swish"),
        ("elu", "torch.nn:ELU", ELU, "exp(x) - 1 below 0"),
        ("mish", "torch.nn:Mish", MISH, "x tanh(softplus(x))"),
    ]
    return [
        Method(
            name=name,
            role=_ROLE,
            build=address,
            options=_B if stable in (name, same.get(name)) else {},
            paper=paper,
            reference=same.get(name, ""),
            help=text,
        )
        for name, address, paper, text in told
    ]


@hookimpl
def harness_tasks() -> list[Task]:
    """Two proofs, rounding, shape, and networks on four data sets."""
    return _numeric() + _trained()


def _numeric() -> list[Task]:
    capped = "largest relative error over all inputs, at most 1 (also NaN, infinity)"
    return [
        Task(
            name="activation/constants",
            role=_ROLE,
            run=f"{_HERE}.constants:constants",
            metrics={
                "bounding_b": Metric(unit="number", help="least b whose member is nowhere below softplus"),
                "minimax_b": Metric(unit="number", help="b whose largest distance from softplus is least"),
                "minimax_error": Metric("lower", "number", help="that distance"),
                "open_width": Metric("lower", "number", help="widest of the intervals that these are proven to lie in"),
            },
            help="constants of the family a method is of, found and proven over all real x (docs/roles.md)",
        ),
        Task(
            name="activation/softplus-gap",
            role=_ROLE,
            run=f"{_HERE}.constants:softplus_gap",
            metrics={
                "largest_gap": Metric("lower", "number", help="largest distance from softplus over all real x"),
                "largest_lead": Metric(unit="number", help="how far above softplus it comes"),
                "largest_lag": Metric("lower", "number", help="how far below softplus it comes; 0: nowhere below"),
                "open_width": Metric("lower", "number", help="widest of the intervals that these are proven to lie in"),
            },
            help="how far a method is from softplus, proven over all real x (docs/roles.md)",
        ),
        Task(
            name="activation/rounding",
            role=_ROLE,
            run=f"{_HERE}.rounding:rounding",
            metrics={
                "value_error": Metric("lower", "relative", f"f: {capped}"),
                "slope_error": Metric("lower", "relative", f"derivative: {capped}; 1 beside a root of it"),
                "value_lost_share": Metric("lower", "fraction", "inputs with f off by more than 1 %"),
                "slope_lost_share": Metric("lower", "fraction", "inputs with the derivative off by more than 1 %"),
                "overflow_share": Metric("lower", "fraction", "inputs where f or its derivative is not finite"),
                "sound_up_to": Metric(
                    "higher", "number", help="least |x| with f off by more than 1 %, else the largest number"
                ),
            },
            help="errors of f and its derivative in the cell's dtype, against float64, over its whole range",
        ),
        Task(
            name="activation/shape",
            role=_ROLE,
            run=f"{_HERE}.shape:shape",
            metrics={
                "monotone_violations": Metric("lower", "count", "neighbours between which f falls"),
                "convex_violations": Metric("lower", "count", "neighbours between which the derivative falls"),
                "above_relu_violations": Metric("lower", "count", "points where f is not above ReLU"),
                "peak_violations": Metric("lower", "count", "points where f is further above ReLU than at 0"),
                "value_at_zero": Metric(unit="number", help="f(0)"),
                "curvature_at_zero": Metric(unit="number", help="second derivative at 0, by differentiating twice"),
                "tail_coefficient": Metric(unit="number", help="|x| f(x) at x = -1e6: b / 4 for squareplus"),
                "left_value": Metric(unit="number", help="f(-20)"),
            },
            help="where f is not monotone, convex or above ReLU, and its left tail (use float64)",
        ),
    ]


def _trained() -> list[Task]:
    metrics = {
        "test_accuracy": Metric("higher", "fraction", "test images whose label is named first"),
        "test_loss": Metric("lower", "nats", "mean cross-entropy on the test images"),
        "train_loss": Metric("lower", "nats", "mean cross-entropy on the training images after training"),
        "diverged": Metric("lower", "count", "1 where the loss stopped being finite, which counts as guessing"),
    }

    def protocol(epochs: int) -> dict[str, Option]:
        return {
            "epochs": Option(epochs, "passes over the training images", low=1),
            "batch_size": Option(64, "images in a batch", low=1),
            "learning_rate": Option(3e-3, "where the cosine schedule starts", low=0.0),
            "optimizer": Option("adam", "sgd has momentum 0.9", choices=("adam", "sgd")),
            "init": Option(
                "he",
                "he: made for ReLU, for all; variance: scaled so that this activation keeps the variance",
                choices=("he", "variance"),
            ),
        }

    layers = {
        "depth": Option(2, "hidden layers", low=1, high=100),
        "width": Option(64, "units in each", low=1),
    }
    norm = {"norm": Option("batch", "batch normalisation before every activation, or none", choices=("batch", "none"))}
    perceptron = Task(
        name="activation/digits-mlp",
        role=_ROLE,
        run=f"{_HERE}.training:digits_perceptron",
        metrics=metrics,
        options=protocol(epochs=30) | layers,
        datasets=("digits",),
        help="a multilayer perceptron on 8 x 8 digits",
    )
    convolutional = [
        Task(
            name=f"activation/{dataset}-cnn",
            role=_ROLE,
            run=f"{_HERE}.training:{dataset.replace('-', '_')}_convolutional",
            metrics=metrics,
            options=protocol(epochs) | norm,
            datasets=(dataset,),
            help="two convolutions and a hidden layer",
        )
        for dataset, epochs in (("mnist-5k", 4), ("mnist", 3), ("fashion-mnist", 3))
    ]
    return [perceptron, *convolutional]


@hookimpl
def harness_workloads() -> list[Workload]:
    """One row of numbers, up to what no cache holds."""
    return [
        Workload(
            name="activation/elements",
            role=_ROLE,
            sizes={"elements": [100_000, 1_000_000, 10_000_000]},
            inputs=f"{_HERE}.workload:inputs",
            call=f"{_HERE}.workload:call",
            extremes={
                "left tail": f"{_HERE}.workload:left_tail",
                "large": f"{_HERE}.workload:large",
                "near zero": f"{_HERE}.workload:near_zero",
            },
            baseline="softplus",
            bytes=f"{_HERE}.workload:least_bytes",
            flops=f"{_HERE}.workload:least_flops",
            help="an activation of a row of numbers, forward and backward",
        )
    ]


@hookimpl
def harness_claims() -> list[Path]:
    """What the paper, its notebook and the article say."""
    return [Path(__file__).with_name("claims.toml")]
