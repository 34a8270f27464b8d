"""What all workloads promise: no method needs fewer matrix products than the least; no truth is a method's own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from plugin_run import METHODS, REGISTRY
from torch.utils._python_dispatch import TorchDispatchMode

from harness.spec import resolve
from harness_plugins.speed import evaluation, gate

SIZES = {
    "contrastive/two-view-batch": {"batch": 256, "dimension": 64},
    "density/importance-weights": {"samples": 50, "dimension": 784, "batch": 4},
    "ner/pointer-loss": {"batch": 16, "types": 9, "length": 512, "dimension": 64},
    "ner/spans": {"batch": 16, "types": 9, "length": 128, "width": 768},
    "penalty/mlp-batch": {"batch": 64, "width": 128, "depth": 4},
    "penalty/sample-norms": {"batch": 64, "width": 128, "depth": 4},
}
#: Methods that compute the very function that the least is counted for.
KERNELS = [
    ("contrastive/two-view-batch", ("flatnce", "infonce", "infonce-dense")),
    ("density/importance-weights", ("iwae", "dreg", "vae-k", "iwae-plain")),
    ("ner/pointer-loss", ("efficient-global-pointer", "efficient-global-pointer-dense")),
    ("ner/spans", ("efficient-global-pointer", "efficient-global-pointer-dense")),
    ("penalty/mlp-batch", ("input", "parameter", "input-vmap", "parameter-vmap")),
    ("penalty/sample-norms", ("input", "parameter", "parameter-vmap")),
]
PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "addmm_": 1, "baddbmm": 1, "baddbmm_": 1}


class Products(TorchDispatchMode):
    """Counts multiplications and additions of matrix products."""

    operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name in PRODUCTS:
            self.operations += 2 * result.numel() * args[PRODUCTS[name]].shape[-1]
        return result


def operations(workload, method, size):
    """Operations of one call, forward and backward, after one that filled what is stored."""
    inputs = resolve(workload.inputs)(torch.Generator().manual_seed(0), torch.device("cpu"), torch.float32, **size)
    call, built = resolve(workload.call), METHODS[method].create()
    call(built, *inputs)
    with Products() as counted:
        value = call(built, *inputs)
        if value.requires_grad:
            torch.autograd.grad(value, [t for t in inputs if t.requires_grad], allow_unused=True)
    return counted.operations


class Off:
    """A method whose results are 1.01 times the right ones."""

    def __init__(self, method):
        self._method = method

    def __call__(self, x):
        return 1.01 * self._method(x)


@pytest.mark.parametrize(
    ("name", "method", "size"),
    [
        ("activation/elements", "squareplus", {"elements": 4000}),
        ("density/importance-weights", "iwae", {"samples": 20, "dimension": 32, "batch": 2}),
        ("density/importance-weights", "vae", {"samples": 20, "dimension": 32, "batch": 2}),
    ],
)
def test_a_method_that_is_off_by_a_hundredth_is_found_as_its_truth_is_not_itself(name, method, size, monkeypatch):
    monkeypatch.setattr(evaluation, "WAIT", 0.001)
    monkeypatch.setattr(gate, "skips_repeated_work", lambda *_: None)
    right = METHODS[method]

    def off():
        built = right.create()
        if hasattr(built, "bound"):
            bound = built.bound
            built.bound = lambda *arguments: 1.01 * bound(*arguments)
            return built
        return Off(built)

    def faults(examined):
        # A method without a reference is its own truth, as in harness bench.
        truth = METHODS[examined.reference] if examined.reference else examined
        return gate.examine(examined, REGISTRY.workloads[name], size, torch.device("cpu"), torch.float32, 0, truth)

    assert faults(right) == []
    assert {fault.check for fault in faults(replace(right, build=off, options={}))} >= {"value", "gradient"}


def test_sums_in_half_precision_do_not_overflow():
    workload = REGISTRY.workloads["activation/elements"]
    draw = torch.Generator().manual_seed(0), torch.device("cpu"), torch.float16
    inputs = resolve(workload.inputs)(*draw, elements=100_000)
    value = resolve(workload.call)(METHODS["relu"].create(), *inputs)
    assert value.item() == pytest.approx(inputs[0].detach().double().clamp_min(0).sum().item(), rel=1e-4)
    assert value.item() > torch.finfo(torch.float16).max


@pytest.mark.parametrize(("name", "method"), [(name, method) for name, methods in KERNELS for method in methods])
def test_no_kernel_does_less_than_the_least(name, method):
    workload = REGISTRY.workloads[name]
    assert operations(workload, method, SIZES[name]) >= resolve(workload.flops)(**SIZES[name])


@pytest.mark.parametrize(("name", "methods"), KERNELS)
def test_the_least_is_near_to_what_the_best_kernel_does(name, methods):
    workload = REGISTRY.workloads[name]
    done = min(operations(workload, method, SIZES[name]) for method in methods)
    assert done <= 1.5 * resolve(workload.flops)(**SIZES[name])


@pytest.mark.slow
def test_pytest_benchmark_shows_the_same_workloads(tmp_path):
    chosen = "suites/kernels/test_kernels.py::test_kernel[softplus-activation/elements elements=100000-cpu]"
    options = ["--benchmark-storage", str(tmp_path), "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", chosen, "--benchmark-only", *options],
        cwd=Path(__file__).parents[2],
        # Where several processes run tests, pytest-benchmark would refuse to measure.
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "activation: activation/elements, elements=100000, cpu" in done.stdout
    assert "1 passed" in done.stdout
