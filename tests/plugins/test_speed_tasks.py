"""Cells that race two methods: both sides are set alike and checked as they are timed, and noise is no result."""

from __future__ import annotations

import types

import pytest
import torch

from harness.errors import CannotRunHere
from harness.registry import load_registry
from harness_plugins.speed import gate
from harness_plugins.speed import race as races
from harness_plugins.speed.gate import Examined, Fault
from harness_plugins.speed.timing import Times

DEFAULTS = {
    "workload": "",
    "workload_size": "",
    "against": "",
    "direction": "both",
    "threads": 1,
    "compiled": False,
}


def race(role, method, built=None, **options):
    """The metrics of one cell; options of the method among the task's."""
    registry = load_registry()
    found = registry.methods[method]
    own = {name: value for name, value in options.items() if name in found.options}
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
    return races.race(found.create(**own) if built is None else built, run)


@pytest.fixture
def watched(monkeypatch):
    """What is examined and what is raced, while no clock runs."""
    seen = {"examined": [], "raced": {}, "control": [1.0, 1.0, 1.0], "budgets": []}
    real = gate.examine_all

    def examine(methods, workload, size, device, dtype, seed, reference, **more):
        (method,) = methods
        seen["examined"].append((method.name, method.create(), reference.create()))
        if seen.get("really"):
            return real(methods, workload, size, device, dtype, seed, reference, **more)
        return Examined({method.name: list(seen.get("faults", {}).get(method.name, ()))}, ())

    def race_them(built, twin, controlled, *rest):
        *_, budget, _, truths = rest
        seen["raced"] = {**built, "twin": twin}
        seen["truths"] = truths
        seen["budgets"].append(budget)
        return Times({"mine": [0.5, 0.5, 0.5], "theirs": [1.0, 1.0, 1.0]}, seen["control"], controlled, {})

    monkeypatch.setattr(races, "examine_all", examine)
    monkeypatch.setattr(races, "time_methods", race_them)
    return seen


def test_an_option_that_both_have_is_set_on_both_sides_and_on_their_references(watched):
    found = race("contrastive-loss", "infonce", against="infonce-cross-entropy", temperature=0.03)
    assert found["times_baseline"] == pytest.approx(2.0)
    assert {name: one.temperature for name, one in watched["raced"].items()} == {
        "mine": 0.03,
        "theirs": 0.03,
        "twin": 0.03,
    }
    assert [reference.temperature for _, _, reference in watched["examined"]] == [0.03, 0.03]


@pytest.mark.parametrize("compiled", [False, True])
def test_both_objects_that_are_raced_are_examined_as_compiled(watched, monkeypatch, compiled):
    made = []

    def compile_nothing(method, dynamic):
        assert dynamic is False
        made.append(lambda x: method(x))
        return made[-1]

    monkeypatch.setattr(torch, "compile", compile_nothing)
    race("activation", "squareplus-plain", against="softplus", compiled=compiled)
    examined = {name: built for name, built, _ in watched["examined"]}
    assert examined["squareplus-plain"] is watched["raced"]["mine"]
    assert examined["softplus"] is watched["raced"]["theirs"]
    assert (examined["squareplus-plain"] in made) == (watched["raced"]["twin"] in made) == compiled


@pytest.mark.parametrize("name", ["squareplus-plain", "softplus"])
def test_a_side_that_is_wrong_on_realistic_inputs_ends_the_cell_with_its_name(watched, name):
    watched["faults"] = {name: [Fault("value", "realistic", "value is off by 0.01")]}
    with pytest.raises(RuntimeError, match=f"{name} is wrong and gets no time: value is off by"):
        race("activation", "squareplus-plain", against="softplus")


def test_alone_a_race_must_find_what_the_reference_gives_when_nothing_stands_around_it(watched):
    watched["really"] = True
    race("activation", "relu", against="softplus", direction="alone", workload_size="elements=1000")
    workload = load_registry().workloads["activation/elements"]
    for number, ((exact, allowed),) in enumerate(watched["truths"]["theirs"]):
        (x,) = gate.draw(workload.inputs, {"elements": 1000}, torch.device("cpu"), torch.float32, number)
        norm = float(torch.nn.functional.softplus(x.detach().double()).norm())
        assert exact == pytest.approx(norm, rel=1e-12)
        assert 0 < allowed < 1e-4 * norm


def test_a_machine_that_is_too_noisy_is_tried_with_twice_the_blocks_and_then_told(watched):
    watched["control"] = [1.2, 1.2, 1.2]
    with pytest.raises(CannotRunHere, match=r"too noisy to judge: softplus was 0\.833 \[0\.833, 0\.833\] times"):
        race("activation", "relu", against="softplus")
    assert watched["budgets"] == [0.7, 1.4]


def test_a_race_by_the_clock_gives_every_metric_that_is_promised(monkeypatch):
    monkeypatch.setattr(races, "no_difference", lambda *_: True)
    monkeypatch.setattr(races, "BUDGETS", (0.01,))
    found = race("activation", "relu", against="softplus", workload_size="elements=10000", direction="alone")
    assert set(found) == set(load_registry().tasks["speed/activation"].metrics)
    assert found["extremes_failed"] == 0
