"""A plugin for tests of tuning: the accuracy of a method peaks at a rate of its own, and validation may disagree."""

from __future__ import annotations

import math
from pathlib import Path

import harness

HERE = Path(__file__).parent
#: The decade at which each method is best.
BEST = {"new": -2.0, "old": -1.0}


def build(best: float, bonus: float):
    return best, bonus


def fit(method, run):
    """Accuracy falls with the distance to the best decade. A rate above 10 diverges, as the option ``breaks`` does."""
    best, bonus = method
    rate, noise = run.options["rate"], run.rng.standard_normal(2) * 0.002
    if rate > 10 or run.options["breaks"]:
        raise FloatingPointError(f"the loss is nan at rate {rate:g}")
    score = 0.9 + bonus - 0.05 * abs(math.log10(rate) - best)
    # Where validation disagrees, it prefers what is worst on test.
    valid = 1 - score if run.options["disagrees"] else score
    return {
        # Scaled, so that the difference of two methods varies over seeds.
        "accuracy": score + best * noise[0],
        "valid_accuracy": valid + noise[1],
        "valid_error": 1 - valid - noise[1],
        "valid_count": 3,
    }


@harness.hookimpl
def harness_methods():
    return [
        *(
            harness.Method(name=name, role="tuned", build="tuned:build", options={"best": best, "bonus": 0.0})
            for name, best in BEST.items()
        ),
        harness.Method(name="fixed", role="tuned", build="tuned:build", options={"best": -1.0, "bonus": 0.0, "own": 1}),
    ]


@harness.hookimpl
def harness_tasks():
    options = {
        "rate": harness.Option(0.01, "learning rate", low=0.0, high=100.0),
        "steps": harness.Option(10, "steps", low=1),
        "kind": harness.Option("a", choices=("a", "b", "c")),
        "breaks": False,
        "disagrees": False,
    }
    metrics = {
        "accuracy": harness.Metric("higher", "fraction"),
        "valid_accuracy": harness.Metric("higher", "fraction", split="validation"),
        "valid_error": harness.Metric("lower", "fraction", split="validation"),
        "valid_count": harness.Metric(unit="count", split="validation"),
    }
    task = harness.Task(
        name="tuned/fit", role="tuned", run="tuned:fit", metrics=metrics, options=options, test_set="fixed"
    )
    blind = harness.Task(
        name="tuned/blind",
        role="tuned",
        run="tuned:fit",
        metrics={"accuracy": harness.Metric("higher", "fraction")},
        options={"rate": 0.01},
    )
    return [task, blind]


@harness.hookimpl
def harness_suites():
    return [HERE / "tuned-small.toml"]


@harness.hookimpl
def harness_claims():
    return [HERE / "claims.toml"]
