"""A plugin for tests: two methods that are right on many of 400 items, and a task that says on which."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import harness

ITEMS = 400
HERE = Path(__file__).parent


def build(skill):
    return lambda: skill


def sort(method, run):
    """An item is right where skill, its own ease and the luck of the seed are together above 0."""
    fixed = run.options["split"] == "fixed"
    ease = np.random.default_rng(0 if fixed else run.seed).standard_normal(run.options["items"])
    noise = np.random.default_rng([run.seed, run.cell.method == "keen"])
    right = method() + ease + noise.normal(0, 0.1) + noise.standard_normal(len(ease)) > 0
    if run.options["outcomes"]:
        run.outcomes("accuracy", right)
    return {"accuracy": float(right.mean())}


@harness.hookimpl
def harness_methods():
    return [
        harness.Method(name=name, role="sorter", build=build, options={"skill": skill})
        for name, skill in (("keen", 0.5), ("dull", 0.2))
    ]


@harness.hookimpl
def harness_tasks():
    return [
        harness.Task(
            name="scored/sort",
            role="sorter",
            run=sort,
            metrics={"accuracy": harness.Metric("higher", "fraction")},
            options={
                "split": harness.Option("fixed", "how items are drawn", choices=("fixed", "redraw")),
                "outcomes": harness.Option(True, "whether they are handed over"),
                "items": harness.Option(ITEMS, "how many"),
            },
            test_set="split",
        )
    ]


@harness.hookimpl
def harness_claims():
    return [HERE / "claims.toml"]


@harness.hookimpl
def harness_suites():
    return [HERE / "scored.toml"]
