"""Claims, suites and workloads of the plugin fit together."""

from __future__ import annotations

import pytest
import torch
from plugin_run import METHODS

from harness.files.claims import read_claims
from harness.files.suite import read_suite
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness.registry import load_registry
from harness.spec import resolve
from harness_plugins import gradient_penalty

(CLAIM_FILE,) = gradient_penalty.harness_claims()
CLAIMS = read_claims(CLAIM_FILE).by_id
TESTED = {name: claim for name, claim in CLAIMS.items() if claim.test is not None}
WORKLOAD, NORMS = gradient_penalty.harness_workloads()
SIZE = {"batch": 6, "width": 8, "depth": 3}


@pytest.fixture(scope="module")
def cells():
    """The cells of both suites, as if every data set were here."""
    registry = load_registry()
    by_suite = {}
    for name in ("penalty", "penalty-full"):
        suite = read_suite(name, registry)
        by_suite[name] = (suite, list(cells_of(suite, registry, digest_of=lambda _: "digest")))
    return by_suite


def test_claims_named_full_are_decided_by_the_full_suite_alone(cells):
    for name, claim in TESTED.items():
        suite, other = ("penalty-full", "penalty") if "/full-" in name else ("penalty", "penalty-full")
        assert name in cells[suite][0].claims
        assert name not in cells[other][0].claims
        assert needed_cells(claim, cells[suite][1])


def test_default_suite_needs_nothing_that_a_package_does_not_ship(cells):
    assert {data for cell in cells["penalty"][1] for data in cell.data} <= {"digits"}


def test_every_statement_of_the_article_is_here():
    assert {claim.source.id for claim in CLAIMS.values()} == {f"GP-{n}" for n in range(1, 7)}


def test_compared_penalties_have_the_weights_that_the_suite_names(cells):
    claim = TESTED["gradient_penalty/gp5-input-penalty-lowers-parameter-gradient"]
    ids = needed_cells(claim, cells["penalty"][1])
    settings = {(c.method, c.options.get("weight")) for c in cells["penalty"][1] if c.id in ids}
    assert settings == {("input", 0.25), ("no-penalty", None)}


def test_workload_gives_every_dtype_the_same_network_and_gradients_reach_its_parameters():
    make, call = resolve(WORKLOAD.inputs), resolve(WORKLOAD.call)
    single, exact = (
        make(torch.Generator().manual_seed(0), torch.device("cpu"), dtype, **SIZE)
        for dtype in (torch.float32, torch.float64)
    )
    assert [list(t.shape) for t in single[2:]] == [[8, 8], [8], [8, 8], [8], [10, 8], [10]]
    assert torch.equal(single[0], exact[0].float())
    gradients = {}
    for name in (WORKLOAD.baseline, "parameter"):
        value = call(METHODS[name].create(), *exact)
        gradients[name] = torch.autograd.grad(value, exact[2:], materialize_grads=True)
    for expected, gradient in zip(*gradients.values(), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)
        assert expected.any()


def test_workload_counts_the_least_work():
    size = {"batch": 64, "width": 128, "depth": 4}
    assert resolve(WORKLOAD.flops)(**size) == (3 + 2 + 4 + 5) * (2 * 64 * 128 * 128)
    assert resolve(WORKLOAD.bytes)(4, **size) == 4 * (64 * 128 + 2 * 3 * 128 * 128)


def test_norms_alone_are_those_of_the_whole_gradients_and_need_less_than_half_of_the_work():
    tensors = resolve(NORMS.inputs)(torch.Generator().manual_seed(0), torch.device("cpu"), torch.float64, **SIZE)
    norms, expected = (resolve(NORMS.call)(METHODS[name].create(), *tensors) for name in ("parameter", NORMS.baseline))
    assert norms.item() == pytest.approx(expected.item(), rel=1e-12)
    assert not norms.requires_grad
    size = {"batch": 64, "width": 128, "depth": 4}
    assert resolve(NORMS.flops)(**size) == 6 * (2 * 64 * 128 * 128)
    assert resolve(NORMS.bytes)(4, **size) == 4 * (64 * 130 + 3 * 128 * 128)
