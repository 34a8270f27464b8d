"""The tasks of gradient penalties: the inequality, the equivalence, generalisation, and weights as they are drawn."""

from __future__ import annotations

from typing import Literal

from harness.spec import Metric, Option, Task

_HERE = "harness_plugins.gradient_penalty"
_ROLE = "gradient-penalty"

_NETWORK = {
    "depth": Option(3, "linear layers", low=1, high=64),
    "width": Option(128, "units of each hidden layer", low=1),
    "activation": Option("relu", "between the layers", choices=("relu", "tanh", "gelu", "softplus")),
}
_INITIALISATION = Option("glorot", "how weights are drawn", choices=("glorot", "he", "orthogonal", "torch"))
_DESCENT = {
    "initialisation": _INITIALISATION,
    "learning_rate": Option(0.1, "of plain gradient descent, constant", low=0),
    "batch_size": Option(32, "rows in a batch", low=1),
}
_CHECKPOINTS = {
    "epochs": Option(20, "passes over the training rows", low=1),
    "checkpoints": Option(5, "measurements of the network after the one before training", low=1, high=1000),
}
_SAMPLES = {"samples": Option(128, "training rows on which the gradients are measured", low=3)}
_TIGHTNESS = "left over right side of the inequality"


_TRAIN_ACCURACY = {"train_accuracy": Metric("higher", "fraction", "training rows classified right after training")}


def _on_digits_and_mnist(
    name: str,
    help: str,
    options: dict[str, Option],
    metrics: dict[str, Metric],
    test_set_of_mnist: Literal["fixed", "redrawn"] = "redrawn",
) -> list[Task]:
    """One task on 8 x 8 digits and one on MNIST, with the code in the module ``name``.

    What is measured on digits is drawn by the seed: training rows, or in ``generalisation`` test rows.
    """
    test_sets: dict[str, Literal["fixed", "redrawn"]] = {"digits": "redrawn", "mnist": test_set_of_mnist}
    return [
        Task(
            name=f"penalty/{name}{suffix}",
            role=_ROLE,
            run=f"{_HERE}.{name}:on_{dataset}",
            metrics=metrics,
            options=options,
            datasets=(dataset,),
            test_set=test_sets[dataset],
            help=help,
        )
        for dataset, suffix in (("digits", ""), ("mnist", "-mnist"))
    ]


_INEQUALITY = _on_digits_and_mnist(
    "inequality",
    "train an MLP and check the inequality between its gradients' norms for each sample, in float64",
    _NETWORK
    | _DESCENT
    | _CHECKPOINTS
    | _SAMPLES
    | {"outputs": Option("classes", "scalar: odd or even, with one output", choices=("classes", "scalar"))},
    {
        "violations": Metric("lower", "count", "samples at checkpoints with left side above right, spectral norms"),
        "frobenius_violations": Metric("lower", "count", "the same with Frobenius norms"),
        "layer_violations": Metric(
            "lower", "count", "layers of samples at checkpoints that violate their own inequality"
        ),
        "batch_mean_violations": Metric(
            unit="count", help="checkpoints where the mean left side is above the square of the mean loss's gradient"
        ),
        "joint_batch_violations": Metric(
            unit="count", help="the same, left side for the mean loss's gradient at all inputs, 1 / samples of it"
        ),
        "batch_mean_tightness": Metric(
            unit="ratio",
            help="mean left side over the square of the mean loss's gradient, smallest of the checkpoints",
        ),
        "identity_error": Metric("lower", "relative", "delta W J against the input gradient, worst sample and layer"),
        "equality_gap": Metric("lower", "relative", f"largest distance of {_TIGHTNESS} from 1"),
        "largest_tightness": Metric(unit="ratio", help=f"{_TIGHTNESS}, largest of all"),
        "tightness_initial": Metric(unit="ratio", help=f"{_TIGHTNESS}, median sample before training"),
        "tightness_final": Metric(unit="ratio", help=f"{_TIGHTNESS}, median sample after training"),
        "tightness_final_mean": Metric(unit="ratio", help=f"{_TIGHTNESS}, mean over samples after training"),
        "tightness_final_frobenius": Metric(
            unit="ratio", help=f"{_TIGHTNESS} by Frobenius norms, median after training"
        ),
        "bracket_initial": Metric(
            unit="number", help="the inequality's factor at the input gradient, median sample before training"
        ),
        "bracket_final": Metric(unit="number", help="the same after training"),
        "bracket_fall": Metric(unit="ratio", help="median bracket before training over that after it"),
        "spectral_norm_initial": Metric(unit="number", help="mean over layers before training"),
        "spectral_norm_final": Metric(unit="number", help="mean over layers after training"),
    }
    | _TRAIN_ACCURACY,
)

_VARIATION = "standard deviation over mean"
_EQUIVALENCE = _on_digits_and_mnist(
    "equivalence",
    "train an MLP and compare both gradients' norms over samples and over training",
    _NETWORK
    | _DESCENT
    | _CHECKPOINTS
    | {
        "depth": Option(3, "linear layers", low=2, high=64),
        "checkpoints": Option(10, "measurements of the network after the one before training", low=2, high=1000),
    }
    | _SAMPLES
    | {
        "function": Option(
            "loss",
            "whose gradients: the loss, or the label's logit, whose gradient at the output never varies",
            choices=("loss", "logit"),
        ),
    },
    {
        "sample_pearson": Metric(
            "higher", "correlation", "correlation of both squared norms over samples, mean of checkpoints"
        ),
        "sample_spearman": Metric("higher", "correlation", "the same of their ranks"),
        "time_pearson": Metric("higher", "correlation", "correlation of both squared norms' means over checkpoints"),
        "time_spearman": Metric("higher", "correlation", "the same of their ranks"),
        "ratio_variation_samples": Metric("lower", "ratio", f"input over parameter: {_VARIATION} over samples"),
        "ratio_variation_time": Metric(
            "lower", "ratio", f"mean input over mean parameter: {_VARIATION} over checkpoints"
        ),
        "ratio_growth": Metric(unit="ratio", help="mean input over mean parameter, after training over before"),
        "hidden_variation": Metric("lower", "ratio", f"|h| of a layer and sample over checkpoints, {_VARIATION}, mean"),
        "weight_variation": Metric("lower", "ratio", f"spectral |W| of a layer over checkpoints, {_VARIATION}, mean"),
        "jacobian_variation": Metric("lower", "ratio", f"spectral |J| of a layer and sample, {_VARIATION}, mean"),
        "tightness": Metric(unit="ratio", help=f"{_TIGHTNESS}, median sample, mean of checkpoints"),
    }
    | _TRAIN_ACCURACY,
)

_GENERALISATION = _on_digits_and_mnist(
    "generalisation",
    "train an MLP under a penalty whose weight is chosen on valid rows; test it with and without noise",
    _NETWORK
    | _DESCENT
    | {
        "epochs": Option(30, "passes over the training rows, at most", low=1),
        "loss_target": Option(0.0, "training stops at this training loss, without penalty; 0: never", low=0),
        "sweep": Option(1, "weights tried, a factor of 4 apart around the method's own", low=1, high=9),
        "noise": Option(0.3, "standard deviation of the noise on test pixels", low=0),
        "train_size": Option(0, "training rows; 0: all that are not valid rows", low=0),
    },
    {
        "test_accuracy": Metric("higher", "fraction", "test rows that are classified right"),
        "noisy_accuracy": Metric("higher", "fraction", "the same with noise on the pixels"),
        "test_loss": Metric("lower", "nats", "mean loss of test rows"),
        "valid_accuracy": Metric("higher", "fraction", "of the weight that was chosen by it", split="validation"),
        "train_loss": Metric("lower", "nats", "mean loss of the training rows, without penalty"),
        "input_gradient": Metric(
            "lower", "number", "mean squared norm of each training row's input gradient at the end"
        ),
        "parameter_gradient": Metric("lower", "number", "mean squared norm of each training row's parameter gradient"),
        "geometric_complexity": Metric(
            "lower", "number", "mean squared Frobenius norm of the outputs' Jacobian at the input"
        ),
        "chosen_weight": Metric(unit="number", help="weight of the penalty that did best on valid rows"),
        "steps": Metric(unit="count", help="steps of gradient descent"),
    },
    test_set_of_mnist="fixed",
)

_AS_DRAWN = Task(
    name="penalty/initialisation",
    role=_ROLE,
    run=f"{_HERE}.initialisation:initialisation",
    metrics={
        "spectral_norm": Metric(unit="number", help="largest singular value"),
        "limit_share": Metric(unit="ratio", help="spectral norm over its limit for large matrices"),
        "mean_square_singular_value": Metric(
            unit="number", help="mean of the squared singular values; 1 if orthogonal"
        ),
    },
    options={
        "initialisation": _INITIALISATION,
        "rows": Option(256, "outputs of the layer", low=1),
        "columns": Option(256, "inputs of the layer", low=1),
    },
    help="singular values of one weight matrix as it is drawn",
)
TASKS = (*_INEQUALITY, *_EQUIVALENCE, *_GENERALISATION, _AS_DRAWN)
