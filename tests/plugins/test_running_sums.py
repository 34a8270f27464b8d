"""Running sums from matrix products equal cumsum, and the methods that use them run where cumsum raises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_run import METHODS

from harness_plugins import running_sums
from harness_plugins.can import uncertainty
from harness_plugins.cosent import ranking
from harness_plugins.running_sums import BLOCK, blocked_running_sum, running_sum


def numbers(*shape, powers=0.0):
    """Random positive numbers that span this many powers of ten."""
    generator = torch.Generator().manual_seed(0)
    digits = 0.5 + torch.rand(*shape, generator=generator, dtype=torch.float64)
    return 10 ** (powers * (torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.5)) * digits


@pytest.mark.parametrize("powers", [0.0, 500.0])
@pytest.mark.parametrize("count", [1, 2, BLOCK, BLOCK + 1, 3 * BLOCK, BLOCK**2 + 5, 300_000])
def test_sums_are_exact_to_rounding_for_every_length_and_range(count, powers):
    values = numbers(count, powers=powers)
    exact = np.cumsum(values.numpy().astype(np.longdouble)).astype(np.float64)
    np.testing.assert_allclose(blocked_running_sum(values).numpy(), exact, rtol=1e-13)


def test_sums_of_small_numbers_are_exact_although_large_numbers_follow():
    values = torch.cat(
        [torch.full((1000,), 1e-300, dtype=torch.float64), torch.full((1000,), 1e290, dtype=torch.float64)]
    )
    torch.testing.assert_close(blocked_running_sum(values), values.cumsum(0), rtol=1e-13, atol=0)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 1), (0, 5), (4, 3, BLOCK + 7)])
def test_sums_run_along_the_last_dimension_of_every_shape(shape):
    values = numbers(*shape)
    assert blocked_running_sum(values).shape == shape
    torch.testing.assert_close(blocked_running_sum(values), values.cumsum(-1), rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(dtype):
    assert blocked_running_sum(numbers(10).to(dtype)).dtype == dtype


def test_on_a_cpu_the_sum_is_torchs_own_bit_for_bit():
    values = numbers(1000).requires_grad_()
    assert torch.equal(running_sum(values), values.cumsum(-1))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Make cumsum of floating numbers raise, and use the replacement that a GPU uses."""
    cumsum = torch.Tensor.cumsum

    def deterministic_cumsum(values, *arguments, **options):
        if values.is_floating_point():
            raise RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation")
        return cumsum(values, *arguments, **options)

    monkeypatch.setattr(torch.Tensor, "cumsum", deterministic_cumsum)
    for module in (ranking, uncertainty):
        monkeypatch.setattr(module, "running_sum", blocked_running_sum)


@pytest.mark.parametrize("reach", [1.0, 300.0])
def test_cosent_runs_without_cumsum(reach, request):
    score = (reach * (numbers(2000) - 1)).requires_grad_()
    label = (6 * numbers(2000).flip(0)).floor()

    def value_and_gradient():
        value = METHODS["cosent"].create()(score, label)
        return value.detach(), *torch.autograd.grad(value, score)

    on_a_cpu = value_and_gradient()
    request.getfixturevalue("as_on_a_gpu")
    for result, expected in zip(value_and_gradient(), on_a_cpu, strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("classes", [2, 5, 600])
def test_can_official_runs_without_cumsum(classes, request):
    rows = torch.softmax(6 * numbers(40, classes), dim=1)
    prior = torch.full((classes,), 1 / classes, dtype=torch.float64)
    on_a_cpu = METHODS["can-official"].create()(rows, prior)
    request.getfixturevalue("as_on_a_gpu")
    torch.testing.assert_close(METHODS["can-official"].create()(rows, prior), on_a_cpu, rtol=1e-10, atol=1e-14)


def test_blocks_are_used_only_on_a_gpu_in_deterministic_mode(monkeypatch):
    class OnGpu:
        device = torch.device("cuda")

        def cumsum(self, dim):
            return f"torch's, {dim}"

    monkeypatch.setattr(running_sums, "blocked_running_sum", lambda values: "blocked")
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert running_sum(OnGpu()) == "blocked"
    assert torch.equal(running_sum(torch.ones(3)), torch.tensor([1.0, 2, 3]))
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: False)
    assert running_sum(OnGpu()) == "torch's, -1"
