"""A plugin for tests: two methods and a task with known results, which fails if its option says so."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from pathlib import Path

import harness

HERE = Path(__file__).parent


def build(slope, lift):
    """The lift varies a little with x, so that the methods differ by more under one seed than under another."""
    return lambda x: slope * x + lift * (1 + 0.1 * math.sin(x))


def total(function, run):
    """The method's value for the sum of seeded random numbers, or the fault that the mode names."""
    import torch

    match run.options["mode"]:
        case "pid":
            Path(os.environ["TOY_FLAG"]).write_text(str(os.getpid()))
            time.sleep(600)
        case "flag":
            if not Path(os.environ["TOY_FLAG"]).exists():
                raise RuntimeError("the flag is not there")
        case "gate":
            while run.cell.seed and not Path(os.environ["TOY_FLAG"]).exists():
                time.sleep(0.05)
    time.sleep(run.options["seconds"])
    weights = torch.randn(64, 64, generator=run.generator)
    for step in range(20):
        weights = torch.tanh(weights @ weights) + torch.rand(64, 64) + float(run.rng.random())
        run.log(step, norm=weights.norm())
        run.progress(step + 1, 20)
    return {"total": float(function(weights.sum() / 64)), "violations": 0, "noise": run.rng.standard_normal()}


@harness.hookimpl
def harness_methods():
    return [
        harness.Method(name="plain", role="toy", build="toy:build", options={"slope": 1.0, "lift": 0.0}),
        harness.Method(name="lifted", role="toy", build=build, options={"slope": 1.0, "lift": 1.0}),
    ]


@harness.hookimpl
def harness_tasks():
    options = {"mode": harness.Option("ok", "which fault to plant"), "seconds": 0.0}
    metrics = {
        "total": harness.Metric("higher"),
        "violations": harness.Metric("lower", "count"),
        "noise": harness.Metric(),
    }
    task = harness.Task(name="toy/total", role="toy", run=total, metrics=metrics, options=options)
    return [task, replace(task, name="toy/absent", datasets=("nowhere",))]


@harness.hookimpl
def harness_datasets():
    place = harness.Place(package="no_such_package", get="pip install no-such-package")
    files = {"a.csv": ("0" * 64,)}
    return [harness.Dataset(name="nowhere", licence="CC0-1.0", load=dict, files=files, places=(place,))]


@harness.hookimpl
def harness_claims():
    return [HERE / "claims.toml"]


@harness.hookimpl
def harness_suites():
    return [HERE / "toy.toml"]
