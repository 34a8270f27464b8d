"""The tasks of activations: two proofs, rounding, shape, and networks on four data sets."""

from __future__ import annotations

from functools import partial

from harness.spec import Metric, Option, Task
from harness_plugins.images.options import SPLIT

_HERE = "harness_plugins.squareplus"
_ROLE = "activation"

#: The first four tasks draw nothing: their numbers are the same under every seed.
_exact = partial(Metric, deterministic=True)
_OPEN_WIDTH = _exact("lower", "number", help="widest of the intervals that are proven to hold these numbers")
_PROOFS = (
    Task(
        name="activation/constants",
        role=_ROLE,
        run=f"{_HERE}.constants:constants",
        metrics={
            "bounding_b": _exact(unit="number", help="least b whose member is nowhere below softplus"),
            "minimax_b": _exact(unit="number", help="b whose largest distance from softplus is least"),
            "minimax_error": _exact("lower", "number", help="that distance"),
            "open_width": _OPEN_WIDTH,
        },
        help="constants of the family that a method belongs to, proven over all real x (docs/roles.md)",
    ),
    Task(
        name="activation/softplus-gap",
        role=_ROLE,
        run=f"{_HERE}.constants:softplus_gap",
        metrics={
            "largest_gap": _exact("lower", "number", help="largest distance from softplus over all real x"),
            "largest_lead": _exact(unit="number", help="largest distance above softplus"),
            "largest_lag": _exact("lower", "number", help="largest distance below softplus; 0: nowhere below"),
            "open_width": _OPEN_WIDTH,
        },
        help="how far a method is from softplus, proven over all real x (docs/roles.md)",
    ),
)

_CAPPED = "largest relative error over all inputs, at most 1 (also NaN, infinity)"
_ROUNDING = Task(
    name="activation/rounding",
    role=_ROLE,
    run=f"{_HERE}.rounding:rounding",
    metrics={
        "value_error": _exact("lower", "relative", f"f: {_CAPPED}"),
        "slope_error": _exact("lower", "relative", f"derivative: {_CAPPED}; 1 beside a root of it"),
        "value_lost_share": _exact("lower", "fraction", "inputs with f off by more than 1 %"),
        "slope_lost_share": _exact("lower", "fraction", "inputs with the derivative off by more than 1 %"),
        "overflow_share": _exact("lower", "fraction", "inputs where f or its derivative is not finite"),
        "sound_up_to": _exact("higher", "number", "least |x| with f off by more than 1 %, else the largest number"),
    },
    help="errors of f and its derivative in the cell's dtype, against float64, over its whole range",
)
_SHAPE = Task(
    name="activation/shape",
    role=_ROLE,
    run=f"{_HERE}.shape:shape",
    metrics={
        "monotone_violations": _exact("lower", "count", "neighbours between which f falls"),
        "convex_violations": _exact("lower", "count", "neighbours between which the derivative falls"),
        "above_relu_violations": _exact("lower", "count", "points where f is not above ReLU"),
        "peak_violations": _exact("lower", "count", "points where f is further above ReLU than at 0"),
        "value_at_zero": _exact(unit="number", help="f(0)"),
        "curvature_at_zero": _exact(unit="number", help="second derivative at 0, by differentiating twice"),
        "tail_coefficient": _exact(unit="number", help="|x| f(x) at x = -1e6: b / 4 for squareplus"),
        "left_value": _exact(unit="number", help="f(-20)"),
    },
    help="where f is not monotone, convex or above ReLU, and its left tail (use float64)",
)


def _training_options(epochs: int) -> dict[str, Option]:
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
        **SPLIT,
    }


_TRAINING_METRICS = {
    "test_accuracy": Metric("higher", "fraction", "test images whose label gets the largest logit"),
    "test_loss": Metric("lower", "nats", "mean cross-entropy on the test images"),
    "train_loss": Metric("lower", "nats", "mean cross-entropy on the training images after training"),
    "diverged": Metric("lower", "count", "1 where the loss stopped being finite, which counts as guessing"),
}
_LAYERS = {
    "depth": Option(2, "hidden layers", low=1, high=100),
    "width": Option(64, "units in each", low=1),
}
_NORM = {"norm": Option("batch", "batch normalisation before every activation, or none", choices=("batch", "none"))}

_PERCEPTRON = Task(
    name="activation/digits-mlp",
    role=_ROLE,
    run=f"{_HERE}.training:digits_perceptron",
    metrics=_TRAINING_METRICS,
    options=_training_options(epochs=30) | _LAYERS,
    datasets=("digits",),
    test_set="split",
    help="a multilayer perceptron on 8 x 8 digits",
)
_CONVOLUTIONAL = tuple(
    Task(
        name=f"activation/{dataset}-cnn",
        role=_ROLE,
        run=f"{_HERE}.training:{dataset.replace('-', '_')}_convolutional",
        metrics=_TRAINING_METRICS,
        options=_training_options(epochs) | _NORM,
        datasets=(dataset,),
        test_set="split",
        help="two convolutions and a hidden layer",
    )
    for dataset, epochs in (("mnist-5k", 4), ("mnist", 3), ("fashion-mnist", 3))
)
TASKS = (*_PROOFS, _ROUNDING, _SHAPE, _PERCEPTRON, *_CONVOLUTIONAL)
