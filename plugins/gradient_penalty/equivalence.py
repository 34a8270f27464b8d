"""Is the norm of the input gradient approximately that of the parameter gradient, over samples and over training?"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness_plugins.gradient_penalty.bound import Bound, bound
from harness_plugins.gradient_penalty.training import Penalty, accuracy, new_model, problem, train_and_measure

if TYPE_CHECKING:
    from harness.running.run import Run


def equivalence(penalty: Penalty, run: Run, dataset: str) -> dict[str, float]:
    """Train an MLP under ``penalty`` and compare the two squared norms at each checkpoint, in float64.

    The function f is the loss, or with ``function = "logit"`` the logit of the sample's own label. The gradient of
    this logit at the output is the same for every sample; that of the loss gives both norms the common factor
    |df/d output|^2. Random draws, in this order: weights, the training rows that are measured, order of batches.
    """
    task = problem(run, dataset)
    model = new_model(run.options, task, run.generator, task.train.inputs)
    chosen = torch.randperm(len(task.train), generator=run.generator)[: run.options["samples"]]
    measured = task.train[chosen.to(run.device)]
    function = label_logit if run.options["function"] == "logit" else task.loss_fn
    checkpoints: list[Bound] = []

    def measure(step: int) -> None:
        sides = bound(model, measured.inputs, measured.labels, function)
        checkpoints.append(sides)
        run.log(
            step,
            input_gradient=sides.input_gradient.mean().item(),
            parameter_gradient=sides.parameter_gradient.mean().item(),
            sample_pearson=pearson(sides.input_gradient, sides.parameter_gradient),
        )

    train_and_measure(model, penalty, task, run, measure)
    at_input = torch.stack([sides.input_gradient for sides in checkpoints])
    at_parameters = torch.stack([sides.parameter_gradient for sides in checkpoints])
    mean_input, mean_parameters = at_input.mean(dim=1), at_parameters.mean(dim=1)
    ratios = [a[b > 0] / b[b > 0] for a, b in zip(at_input, at_parameters, strict=True)]
    # Without the first layer's: its input is the data and its Jacobian the identity, which training never changes.
    hidden = torch.stack([sides.hidden[:, 1:].sqrt() for sides in checkpoints])
    jacobian = torch.stack([sides.jacobian[:, 1:] for sides in checkpoints])
    return {
        "sample_pearson": _mean(map(pearson, at_input, at_parameters)),
        "sample_spearman": _mean(map(spearman, at_input, at_parameters)),
        "time_pearson": pearson(mean_input, mean_parameters),
        "time_spearman": spearman(mean_input, mean_parameters),
        "ratio_variation_samples": _mean(variation(ratio).item() for ratio in ratios),
        "ratio_variation_time": variation(mean_input / mean_parameters).item(),
        "ratio_growth": (mean_input[-1] / mean_parameters[-1] * mean_parameters[0] / mean_input[0]).item(),
        "hidden_variation": variation(hidden).mean().item(),
        "weight_variation": variation(torch.stack([sides.weight for sides in checkpoints])).mean().item(),
        "jacobian_variation": variation(jacobian).mean().item(),
        "tightness": _mean(sides.tightness.nanmedian().item() for sides in checkpoints),
        "train_accuracy": accuracy(model, task.train),
    }


on_digits = partial(equivalence, dataset="digits")
on_mnist = partial(equivalence, dataset="mnist")


def label_logit(output: Tensor, target: Tensor) -> Tensor:
    """The output of each row's own class: [B, C] and [B] to [B].

    >>> label_logit(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([0, 1]))
    tensor([1., 4.])
    """
    return output.gather(1, target[:, None])[:, 0]


def variation(values: Tensor) -> Tensor:
    """Standard deviation over mean along the first axis, 0 where all are 0: [n, ...] to [...].

    >>> variation(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    tensor([0.7071, 0.0000])
    """
    mean = values.mean(dim=0)
    return torch.where(mean > 0, values.std(dim=0) / mean, 0.0)


def pearson(first: Tensor, second: Tensor) -> float:
    """Correlation of two vectors [n]; 0 where one of them does not vary.

    >>> round(pearson(torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 4, 7])), 4)
    0.9934
    """
    first, second = first - first.mean(), second - second.mean()
    size = first.norm() * second.norm()
    return ((first @ second) / size).item() if size > 0 else 0.0


def spearman(first: Tensor, second: Tensor) -> float:
    """Correlation of the ranks of two vectors [n]; equal values have their mean rank.

    >>> round(spearman(torch.tensor([1.0, 2, 3, 3]), torch.tensor([1.0, 4, 9, 16])), 4)
    0.9487
    """
    return pearson(_ranks(first), _ranks(second))


def _ranks(values: Tensor) -> Tensor:
    _, place, count = torch.unique(values, return_inverse=True, return_counts=True)
    last = count.cumsum(dim=0).double()
    ranks: Tensor = (last - (count - 1) / 2)[place]
    return ranks


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)
