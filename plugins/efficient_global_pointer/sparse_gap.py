"""The task ner/sparse-gap: how far positives may outweigh negatives before rounding spoils a form of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.errors import UsageError
from harness_plugins.efficient_global_pointer.formula import (
    Loss,
    log_one_plus_sum,
    two_term_loss,
    value_and_gradient,
)

if TYPE_CHECKING:
    from harness.running.run import Run

#: Error at which a form has failed: in nats for the value, relative to its norm for the gradient.
FAILED = 0.01
#: Step of the search for the gap, in nats.
STEP = 0.5


def sparse_gap(loss: Loss, run: Run) -> dict[str, float]:
    """Find the gap, in nats, between positives and negatives at which a loss fails.

    With P the positives and N the negatives, the gap is lse(P) - lse(N, 0). It grows in steps of half a nat, by moving
    the scores of the positives of rows that are drawn once. A metric is the first gap at which the value (or the
    gradient) of a tenth of the rows is off by 0.01 nats (of its norm) or not finite, against the formula in float64 on
    the same rounded scores; ``most`` if there is none. Raises UsageError for more positives than labels.
    """
    rows, labels, most = run.options["rows"], run.options["labels"], run.options["most"]
    positives = run.options["positives"]
    if positives > labels:
        raise UsageError(f"positives = {positives}: a row has {labels} labels, so at most {labels} are allowed")
    drawn = torch.randn(rows, labels, generator=run.generator, dtype=torch.float64)
    target = torch.zeros(rows, labels, dtype=torch.bool)
    target[:, :positives] = True
    of_negatives = log_one_plus_sum(drawn.masked_fill(target, -torch.inf))
    of_positives = torch.logsumexp(drawn.masked_fill(~target, -torch.inf), dim=1)
    first_failure: dict[str, float] = {}
    for number in range(int(most / STEP) + 1):
        gap = STEP * number
        shift = of_negatives - of_positives + gap
        scores = torch.where(target, drawn + shift[:, None], drawn).to(run.dtype)
        value, gradient = value_and_gradient(loss, scores.to(run.device), target.to(run.device))
        true_value, true_gradient = two_term_loss(scores.double(), target)
        norm = torch.linalg.vector_norm(true_gradient, dim=1)
        error = torch.linalg.vector_norm(gradient - true_gradient, dim=1) / norm
        failures = {
            "value_gap": ~((value - true_value).abs() <= FAILED),
            "gradient_gap": ~(error <= FAILED),
            # Descent must raise the score of every positive, so no gradient there may be above 0.
            "reversed_gap": ((gradient > FAILED) & target).any(dim=1),
        }
        for name, failed in failures.items():
            if failed.double().mean() >= 0.1:
                first_failure.setdefault(name, gap)
        run.log(number, value_error=(value - true_value).abs().nan_to_num(1e3, 1e3).median().item())
        run.progress(number, most / STEP)
    return {name: first_failure.get(name, float(most)) for name in ("value_gap", "gradient_gap", "reversed_gap")}
