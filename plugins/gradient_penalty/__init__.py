"""Penalties on input gradients and on parameter gradients: is one approximately the other?

Claims of the article kexue.fm/archives/8796 and of the paper it discusses, arXiv 2111.15090.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Method, Metric, Option, Paper, Role, Task, Workload
from harness_plugins.gradient_penalty.roles import ROLES

_HERE = "harness_plugins.gradient_penalty"
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


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """Explicit penalties, no penalty, and the plain forms of two of them."""
    # Default weights make each penalty about a tenth of the loss of an untrained network of three layers of 128
    # units on digits.
    form = {"form": Option("sum", "of the squared norms of all layers", choices=("sum", "product"))}
    told = [
        ("input", "InputPenalty", 1.0, {}, DOUBLE_BACKPROPAGATION, "each sample's input gradient"),
        ("parameter", "ParameterPenalty", 0.01, {}, IMPLICIT, "each sample's parameter gradient, of an MLP"),
        ("parameter-batch", "BatchParameterPenalty", 0.25, {}, IMPLICIT, "the parameter gradient of the batch's mean"),
        ("spectral-norm", "SpectralNormPenalty", 0.02, form, SPECTRAL, "the weights' largest singular values"),
        ("input-vmap", "InputPenaltyVmap", 1.0, {}, DOUBLE_BACKPROPAGATION, "input, by torch.func; any module"),
        ("parameter-vmap", "ParameterPenaltyVmap", 0.01, {}, IMPLICIT, "parameter, by torch.func; any module"),
    ]
    none = Method(
        name="no-penalty",
        role=_ROLE,
        build=f"{_HERE}.penalties:NoPenalty",
        help="no penalty: learning rate and batch size, options of the tasks, regularise by themselves",
    )
    return [none] + [
        Method(
            name=name,
            role=_ROLE,
            build=f"{_HERE}.penalties:{address}",
            options={"weight": Option(weight, "multiplies the penalty", low=0.0)} | more,
            paper=paper,
            # Every sample's whole gradient, as the formula stands.
            reference=f"{name}-vmap" if name in ("input", "parameter") else "",
            help=f"penalises the squared norm of {text}" if "norm" not in name else f"penalises {text}",
        )
        for name, address, weight, more, paper, text in told
    ]


@hookimpl
def harness_tasks() -> list[Task]:
    """The inequality, the equivalence and their use, each on two data sets; and weights as they are drawn."""
    network = {
        "depth": Option(3, "linear layers", low=1, high=64),
        "width": Option(128, "units of each hidden layer", low=1),
        "activation": Option("relu", "between the layers", choices=("relu", "tanh", "gelu", "softplus")),
    }
    how = Option("glorot", "how weights are drawn", choices=("glorot", "he", "orthogonal", "torch"))
    descent = {
        "initialisation": how,
        "learning_rate": Option(0.1, "of plain gradient descent, constant", low=0),
        "batch_size": Option(32, "rows in a batch", low=1),
    }
    walk = {
        "epochs": Option(20, "passes over the training rows", low=1),
        "checkpoints": Option(5, "looks at the network after the one before training", low=1, high=1000),
    }
    samples = Option(128, "training rows that are looked at", low=3)
    return [
        *_twice(
            "inequality",
            "train an MLP and check the inequality between its gradients' norms for each sample, in float64",
            network
            | descent
            | walk
            | {
                "samples": samples,
                "outputs": Option("classes", "scalar: odd or even, with one output", choices=("classes", "scalar")),
            },
            _INEQUALITY,
        ),
        *_twice(
            "equivalence",
            "train an MLP and compare both gradients' norms over samples and over training",
            network
            | descent
            | walk
            | {
                "depth": Option(3, "linear layers", low=2, high=64),
                "checkpoints": Option(10, "looks at the network after the one before training", low=2, high=1000),
                "samples": samples,
                "function": Option(
                    "loss",
                    "whose gradients: the loss, or the label's logit, whose gradient at the output never varies",
                    choices=("loss", "logit"),
                ),
            },
            _EQUIVALENCE,
        ),
        *_twice(
            "generalisation",
            "train an MLP under a penalty whose weight is chosen on valid rows; test it with and without noise",
            network
            | descent
            | {
                "epochs": Option(30, "passes over the training rows, at most", low=1),
                "loss_target": Option(0.0, "training stops at this training loss, without penalty; 0: never", low=0),
                "sweep": Option(1, "weights tried, a factor of 4 apart around the method's own", low=1, high=9),
                "noise": Option(0.3, "standard deviation of the noise on test pixels", low=0),
                "train_size": Option(0, "training rows; 0: all that are not valid rows", low=0),
            },
            _GENERALISATION,
        ),
        Task(
            name="penalty/initialisation",
            role=_ROLE,
            run=f"{_HERE}.inequality:initialisation",
            metrics={
                "spectral_norm": Metric(unit="number", help="largest singular value"),
                "limit_share": Metric(unit="ratio", help="spectral norm over its limit for large matrices"),
                "mean_square_singular_value": Metric(
                    unit="number", help="mean of the squared singular values; 1 if orthogonal"
                ),
            },
            options={
                "initialisation": how,
                "rows": Option(256, "outputs of the layer", low=1),
                "columns": Option(256, "inputs of the layer", low=1),
            },
            help="singular values of one weight matrix as it is drawn",
        ),
    ]


@hookimpl
def harness_workloads() -> list[Workload]:
    """A batch through an MLP of equal layers: a penalty that is differentiated, and the norms alone."""
    sizes = {"batch": [64, 512], "width": [128, 512], "depth": [4]}
    extremes = {"saturated": f"{_HERE}.workload:saturated", "small weights": f"{_HERE}.workload:small_weights"}
    return [
        Workload(
            name="penalty/mlp-batch",
            role=_ROLE,
            sizes=sizes,
            inputs=f"{_HERE}.workload:inputs",
            call=f"{_HERE}.workload:call",
            extremes=extremes,
            baseline="parameter-vmap",
            # What the eigenvector of a spectral norm is known to in float32.
            tolerance=3e-5,
            bytes=f"{_HERE}.workload:least_bytes",
            flops=f"{_HERE}.workload:least_flops",
            help="a gradient penalty of a batch, differentiated with respect to all parameters",
        ),
        Workload(
            name="penalty/sample-norms",
            role=_ROLE,
            sizes=sizes,
            inputs=f"{_HERE}.workload:inputs",
            call=f"{_HERE}.workload:call_norms",
            extremes=extremes,
            baseline="parameter-vmap",
            bytes=f"{_HERE}.workload:least_bytes_of_norms",
            flops=f"{_HERE}.workload:least_flops_of_norms",
            help="both gradient norms of every sample, as for clipping or for a look; nothing is differentiated again",
        ),
    ]


@hookimpl
def harness_claims() -> list[Path]:
    """What the article and the paper say."""
    return [Path(__file__).with_name("claims.toml")]


def _twice(name: str, text: str, options: dict[str, Option], metrics: dict[str, Metric]) -> list[Task]:
    """One task on 8 x 8 digits and one on MNIST."""
    return [
        Task(
            name=f"penalty/{name}{suffix}",
            role=_ROLE,
            run=f"{_HERE}.{name}:on_{dataset}",
            metrics=metrics,
            options=options,
            datasets=(dataset,),
            help=text,
        )
        for dataset, suffix in (("digits", ""), ("mnist", "-mnist"))
    ]


_OVER = "left over right side of the inequality"
_INEQUALITY = {
    "violations": Metric("lower", "count", "samples at checkpoints with left side above right, spectral norms"),
    "frobenius_violations": Metric("lower", "count", "the same with Frobenius norms"),
    "layer_violations": Metric("lower", "count", "layers of samples at checkpoints that violate their own inequality"),
    "batch_mean_violations": Metric(
        unit="count", help="checkpoints where the mean left side is above the square of the mean loss's gradient"
    ),
    "joint_batch_violations": Metric(
        unit="count", help="the same, left side for the mean loss's gradient at all inputs, 1 / samples of it"
    ),
    "identity_error": Metric("lower", "relative", "delta W J against the input gradient, worst sample and layer"),
    "equality_gap": Metric("lower", "relative", f"largest distance of {_OVER} from 1"),
    "largest_tightness": Metric(unit="ratio", help=f"{_OVER}, largest of all"),
    "tightness_initial": Metric(unit="ratio", help=f"{_OVER}, median sample before training"),
    "tightness_final": Metric(unit="ratio", help=f"{_OVER}, median sample after training"),
    "tightness_final_mean": Metric(unit="ratio", help=f"{_OVER}, mean over samples after training"),
    "tightness_final_frobenius": Metric(unit="ratio", help=f"{_OVER} by Frobenius norms, median after training"),
    "bracket_initial": Metric(
        unit="number", help="the inequality's factor at the input gradient, median sample before training"
    ),
    "bracket_final": Metric(unit="number", help="the same after training"),
    "bracket_fall": Metric(unit="ratio", help="median bracket before training over that after it"),
    "spectral_norm_initial": Metric(unit="number", help="mean over layers before training"),
    "spectral_norm_final": Metric(unit="number", help="mean over layers after training"),
}
_VARY = "standard deviation over mean"
_EQUIVALENCE = {
    "sample_pearson": Metric(
        "higher", "correlation", "correlation of both squared norms over samples, mean of checkpoints"
    ),
    "sample_spearman": Metric("higher", "correlation", "the same of their ranks"),
    "time_pearson": Metric("higher", "correlation", "correlation of both squared norms' means over checkpoints"),
    "time_spearman": Metric("higher", "correlation", "the same of their ranks"),
    "ratio_variation_samples": Metric("lower", "ratio", f"input over parameter: {_VARY} over samples"),
    "ratio_variation_time": Metric("lower", "ratio", f"mean input over mean parameter: {_VARY} over checkpoints"),
    "ratio_growth": Metric(unit="ratio", help="mean input over mean parameter, after training over before"),
    "hidden_variation": Metric("lower", "ratio", f"|h| of a layer and sample over checkpoints, {_VARY}, mean"),
    "weight_variation": Metric("lower", "ratio", f"spectral |W| of a layer over checkpoints, {_VARY}, mean"),
    "jacobian_variation": Metric("lower", "ratio", f"spectral |J| of a layer and sample, {_VARY}, mean"),
    "tightness": Metric(unit="ratio", help=f"{_OVER}, median sample, mean of checkpoints"),
}
_GENERALISATION = {
    "test_accuracy": Metric("higher", "fraction", "test rows that are classified right"),
    "noisy_accuracy": Metric("higher", "fraction", "the same with noise on the pixels"),
    "test_loss": Metric("lower", "nats", "mean loss of test rows"),
    "valid_accuracy": Metric("higher", "fraction", "of the weight that was chosen by it"),
    "train_loss": Metric("lower", "nats", "mean loss of the training rows, without penalty"),
    "input_gradient": Metric("lower", "number", "mean squared norm of each training row's input gradient at the end"),
    "parameter_gradient": Metric("lower", "number", "mean squared norm of each training row's parameter gradient"),
    "geometric_complexity": Metric(
        "lower", "number", "mean squared Frobenius norm of the outputs' Jacobian at the input"
    ),
    "chosen_weight": Metric(unit="number", help="weight of the penalty that did best on valid rows"),
    "steps": Metric(unit="count", help="steps of gradient descent"),
}
