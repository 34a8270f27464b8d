"""Cells that race two methods: both sides are set alike and checked as they are timed, and noise is no result."""

from __future__ import annotations

import types

import pytest
import torch

from harness.cell import Cell
from harness.errors import CannotRunHere
from harness.registry import load_registry
from harness.running.execute import execute
from harness.spec import read_options
from harness_plugins.speed import race as cells
from harness_plugins.speed.comparison import Fault
from harness_plugins.speed.gate import Examined, examine_family
from harness_plugins.speed.inputs import Inputs
from harness_plugins.speed.timing import Times

DEFAULTS = {
    "workload": "",
    "workload_size": "",
    "against": "",
    "direction": "both",
    "threads": 1,
    "compiled": False,
}


def race(role, method, **options):
    """The metrics of one cell; options of the method among the task's."""
    registry = load_registry()
    declared = registry.methods[method]
    own = {name: value for name, value in options.items() if name in declared.options}
    task = f"speed/{role}"
    cell = types.SimpleNamespace(task=task, method=method, options={**DEFAULTS, **options})
    run = types.SimpleNamespace(
        options=cell.options,
        cell=cell,
        device=torch.device("cpu"),
        dtype=torch.float32,
        seed=0,
        named=registry.named(method, task, cell.options),
    )
    return cells.race(declared.create(**own), run)


@pytest.fixture
def watched(monkeypatch):
    """What is examined and what is raced, while no clock runs."""
    seen = {"examined": [], "raced": {}, "control": [1.0, 1.0, 1.0], "budgets": []}

    def examine(family, inputs):
        (method,) = family.methods
        seen["examined"].append((method.name, method.create(), family.reference.create()))
        if seen.get("really"):
            return examine_family(family, inputs)
        return Examined({method.name: list(seen.get("faults", {}).get(method.name, ()))}, ())

    def time_nothing(race):
        seen["raced"] = {**race.methods, "copy": race.copy}
        seen["truths"] = race.truths
        seen["budgets"].append(race.budget)
        return Times({"method": [0.5, 0.5, 0.5], "against": [1.0, 1.0, 1.0]}, seen["control"], {})

    monkeypatch.setattr(cells, "examine_family", examine)
    monkeypatch.setattr(cells, "time_methods", time_nothing)
    return seen


def test_an_option_that_both_have_is_set_on_both_sides_and_on_their_references(watched):
    metrics = race("contrastive-loss", "infonce", against="infonce-cross-entropy", temperature=0.03)
    assert metrics["times_baseline"] == pytest.approx(2.0)
    assert {name: built.temperature for name, built in watched["raced"].items()} == {
        "method": 0.03,
        "against": 0.03,
        "copy": 0.03,
    }
    assert [reference.temperature for _, _, reference in watched["examined"]] == [0.03, 0.03]


@pytest.mark.parametrize("compiled", [False, True])
def test_both_objects_that_are_raced_are_examined_as_compiled(watched, monkeypatch, compiled):
    compiled_methods = []

    def compile_nothing(method, dynamic):
        assert dynamic is False
        compiled_methods.append(lambda x: method(x))
        return compiled_methods[-1]

    monkeypatch.setattr(torch, "compile", compile_nothing)
    race("activation", "squareplus-plain", against="softplus", compiled=compiled)
    examined = {name: built for name, built, _ in watched["examined"]}
    assert examined["squareplus-plain"] is watched["raced"]["method"]
    assert examined["softplus"] is watched["raced"]["against"]
    assert (examined["squareplus-plain"] in compiled_methods) == compiled
    assert (watched["raced"]["copy"] in compiled_methods) == compiled


@pytest.mark.parametrize("name", ["squareplus-plain", "softplus"])
def test_a_side_that_is_wrong_on_realistic_inputs_ends_the_cell_with_its_name(watched, name):
    watched["faults"] = {name: [Fault("value", "realistic", "value is off by 0.01")]}
    with pytest.raises(RuntimeError, match=f"{name} is wrong and gets no time: value is off by"):
        race("activation", "squareplus-plain", against="softplus")


def test_alone_a_race_must_find_what_the_reference_gives_when_nothing_stands_around_it(watched):
    watched["really"] = True
    race("activation", "relu", against="softplus", direction="alone", workload_size="elements=1000")
    workload = load_registry().workloads["activation/elements"]
    inputs = Inputs(workload, {"elements": 1000}, torch.device("cpu"), torch.float32)
    for number, ((exact, allowed),) in enumerate(watched["truths"]["against"]):
        (x,) = inputs.draw(number)
        norm = float(torch.nn.functional.softplus(x.detach().double()).norm())
        assert exact == pytest.approx(norm, rel=1e-12)
        assert 0 < allowed < 1e-4 * norm


def test_a_machine_that_is_too_noisy_is_tried_with_twice_the_blocks_and_then_reported(watched):
    watched["control"] = [1.2, 1.2, 1.2]
    with pytest.raises(CannotRunHere, match=r"too noisy to judge: softplus was 0\.833 \[0\.833, 0\.833\] times"):
        race("activation", "relu", against="softplus")
    assert watched["budgets"] == [0.7, 1.4]


def test_a_race_by_the_clock_gives_every_metric_that_is_promised(monkeypatch):
    monkeypatch.setattr(cells, "no_difference", lambda *_: True)
    monkeypatch.setattr(cells, "BUDGETS", (0.01,))
    metrics = race("activation", "relu", against="softplus", workload_size="elements=10000", direction="alone")
    assert set(metrics) == set(load_registry().tasks["speed/activation"].metrics)
    assert metrics["extremes_failed"] == 0


PLUGIN = """
import harness

def rows(generator, device, dtype, rows):
    import torch
    return (torch.randn(rows, 4, generator=generator, dtype=torch.float64).to(device, dtype).requires_grad_(),)

def call(method, x):
    return method(x).sum()

def squares(x):
    return (x * x).sum()

def powers(x):
    return (x ** 2).sum()

@harness.hookimpl
def harness_roles():
    return [harness.Role(name="sum", help="one number for all rows", signature="f(x [N, 4])", inputs=rows)]

@harness.hookimpl
def harness_methods():
    return [
        harness.Method(name="squares", role="sum", build=lambda: squares),
        harness.Method(name="powers", role="sum", build=lambda: powers, reference="squares"),
    ]

@harness.hookimpl
def harness_workloads():
    return [
        harness.Workload(
            name="sum/rows", role="sum", sizes={"rows": [1000]}, inputs=rows, call=call, baseline="squares",
            bytes=lambda itemsize, rows: 8 * itemsize * rows, flops=lambda rows: 8 * rows,
        )
    ]
"""
SUITE = """
title = "Sums"
jobs = 1
[[cross]]
task = "speed/sum"
methods = ["powers"]
options = { against = "AGAINST" }
"""


@pytest.fixture
def sums(harness_cli):
    """A plugin of one file with a role of its own, and how to run its race against a method."""
    plugin = harness_cli.write("sums.py", PLUGIN)
    return lambda against: harness_cli(
        "-p", plugin, "suite", harness_cli.write("sums.toml", SUITE.replace("AGAINST", against)), "--json"
    )


def test_what_a_clock_tells_is_said_to_be_timed_and_nothing_to_be_the_same_in_every_run():
    tasks = {name: task for name, task in load_registry().tasks.items() if name.startswith("speed/")}
    assert len(tasks) > 1
    for name, task in tasks.items():
        timed = {metric for metric, noun in task.metrics.items() if noun.timed}
        assert timed == {"times_baseline", "seconds_per_call", "baseline_seconds_per_call", "control"}, name
        assert not any(noun.deterministic for noun in task.metrics.values()), name
        # A race has inputs of its own for each seed, but nothing is scored on items.
        assert task.test_set is None, name


def test_methods_of_a_file_given_with_p_are_raced(sums, harness_cli):
    ended = sums("squares")
    assert ended.code == 0, ended.err
    (record,) = harness_cli.records
    # A machine that is busy with other things gives no result.
    assert record["status"] == "done" or record["cause"].startswith("too noisy to judge: squares was")


def test_a_race_of_a_third_partys_role_gives_every_metric(harness_cli, monkeypatch):
    monkeypatch.setattr(cells, "no_difference", lambda *_: True)
    monkeypatch.setattr(cells, "BUDGETS", (0.01,))
    registry = load_registry([harness_cli.write("sums.py", PLUGIN)])
    task = registry.tasks["speed/sum"]
    options = read_options(task.name, task.options, {})
    cell = Cell("tests", "powers", task.name, options, "cpu", "float32", 0, "code")
    record = execute(cell, registry)
    assert record.status == "done", record.cause
    assert set(record.metrics) == set(task.metrics)


def test_an_unknown_rival_is_refused_before_anything_runs_with_the_nearest_name(sums, harness_cli):
    ended = sums("squars")
    assert ended.code == 2
    assert "option against: unknown method 'squars'; did you mean 'squares'?" in " ".join(ended.err.split())
    assert not (harness_cli.folder / "results").exists()
