"""Kernels side by side in pytest-benchmark's tables: ``pytest suites/kernels --benchmark-only``.

One group for each role and size, from the registry's workloads. Two sizes: every dimension's smallest, and every
dimension's middle one; ``harness bench`` has all, pairs the times and measures memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import harness
from harness.errors import HarnessError
from harness.planning.setting import label
from harness.spec import Method, Workload
from harness_plugins.speed.evaluation import synchronise
from harness_plugins.speed.gate import Family, examine_family
from harness_plugins.speed.inputs import Inputs, differentiable

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
#: Methods whose call takes longer, in seconds, are skipped.
SLOW = 2.0


def _cases() -> Iterator[Any]:
    for workload in harness.workloads().values():
        sizes = zip(*((values[0], values[len(values) // 2]) for values in workload.sizes.values()), strict=True)
        for values in dict.fromkeys(sizes):
            size = dict(zip(workload.sizes, values, strict=True))
            for method in harness.methods().values():
                if method.role == workload.role:
                    yield pytest.param(workload, method, size, id=f"{method.name}-{workload.name} {label(size, size)}")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("workload", "method", "size"), list(_cases()))
def test_kernel(benchmark: Any, workload: Workload, method: Method, size: dict[str, int], device: str) -> None:
    inputs = Inputs(workload, size, torch.device(device), torch.float32)
    call, tensors = inputs.call, inputs.draw()
    variables = differentiable(tensors)
    try:
        built = method.create()
        call(built, *tensors)
    except (ImportError, HarnessError) as error:
        pytest.skip(str(error))

    def once() -> None:
        value = call(built, *tensors)
        if value.requires_grad:
            torch.autograd.grad(value, variables, allow_unused=True)
        synchronise(inputs.device)

    once()
    begin = time.perf_counter()
    once()
    if (seconds := time.perf_counter() - begin) > SLOW:
        pytest.skip(f"a call takes {seconds:.1f} s")
    reference = harness.methods()[method.reference or method.name]
    faults = examine_family(Family([method], reference), inputs).faults[method.name]
    wrong = [fault for fault in faults if fault.blocks]
    assert not wrong, f"{method.name} is wrong and gets no time: {wrong[0].found} ({wrong[0].inputs})"
    benchmark.group = f"{workload.role}: {workload.name}, {label(size, size)}, {device}"
    benchmark.name = method.name
    benchmark(once)
