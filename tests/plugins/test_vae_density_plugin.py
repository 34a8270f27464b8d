"""The plugin's claims, suites and workload are consistent."""

from __future__ import annotations

import pytest
import torch
from plugin_run import METHODS, REGISTRY

from harness.errors import UsageError
from harness.files.claims import read_claims
from harness.files.suite import read_suite
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness.spec import resolve
from harness_plugins import vae_density

(CLAIM_FILE,) = vae_density.harness_claims()
CLAIMS = read_claims(CLAIM_FILE).by_id
TESTED = {name: claim for name, claim in CLAIMS.items() if claim.test is not None}
TABLE = {  # Table 1 of arXiv 1509.00519 as quoted by github.com/nbip/IWAE: k = 1, 5, 50
    "VAE-1": (86.76, 86.47, 86.35),
    "VAE-2": (86.76, 85.54, 84.78),
    "VAE-3": (85.33, 85.01, 84.78),
    "VAE-4": (85.33, 83.89, 82.90),
}


def suite_cells(name):
    suite = read_suite(name, REGISTRY)
    return suite, list(cells_of(suite, REGISTRY, digest_of=lambda _: "digest"))


def test_exact_and_full_claims_are_decided_by_the_full_suite():
    plans = {name: suite_cells(name) for name in ("density", "density-full")}
    for name, claim in TESTED.items():
        long = "/full-" in name or "/exact-" in name or name.endswith("-replication")
        suite, cells = plans["density-full" if long else "density"]
        assert name in suite.claims
        assert needed_cells(claim, cells)
    for suite, _ in plans.values():
        assert set(suite.answer) <= {name for name, claim in suite.claims.items() if claim.primary}


def test_every_numbered_statement_has_a_claim():
    numbers = {claim.source.id for claim in CLAIMS.values()} | {a for c in CLAIMS.values() for a in c.source.also}
    assert {f"VAE-{n}" for n in range(1, 21)} | {f"T{n}" for n in (1, 2, 3, 4, 5, 7, 8)} <= numbers


def test_printed_figures_are_tested_under_the_published_protocol():
    exact = [claim for name, claim in TESTED.items() if "/exact-" in name]
    assert len(exact) == 10
    for claim in exact:
        printed = TABLE[claim.source.id]
        k = claim.test.where.get("k", 1)
        assert claim.fidelity == "exact"
        assert claim.test.value == printed[(1, 5, 50).index(k)]
        assert (claim.paper["k1"], claim.paper["k5"], claim.paper["k50"]) == printed
        assert claim.test.where["epochs"] == 3280
        assert claim.test.where["layers"] == (1 if claim.source.id in ("VAE-1", "VAE-2") else 2)
    assert not CLAIMS["vae_density/vae19-omniglot"].confirmed


def test_full_suite_runs_the_published_protocol():
    _, cells = suite_cells("density-full")
    published = [cell for cell in cells if cell.options.get("epochs") == 3280]
    replication = [cell for cell in published if cell.options["latent"] == 100]
    assert len(published) - len(replication) == 5 * (2 + 2 * 2 * 2)
    assert {(cell.method, cell.options["layers"]) for cell in replication} == {("vae", 1), ("iwae", 1)}
    for cell in published:
        protocol = {"batch_size": 20, "learning_rate": 1e-3, "k_eval": 5000, "hidden": 200}
        assert protocol.items() <= cell.options.items()
        assert cell.options["latent"] == 50 or cell in replication
        assert (cell.options["test_images"], cell.options["binarise"]) == (0, "stochastic")


@pytest.mark.parametrize("samples", [3, 900])
def test_workload_can_be_differentiated_with_every_autoencoder(samples):
    (workload,) = vae_density.harness_workloads()
    inputs, call = resolve(workload.inputs), resolve(workload.call)
    rounded, exact = (
        inputs(torch.Generator().manual_seed(0), torch.device("cpu"), dtype, samples=samples, dimension=30, batch=2)
        for dtype in (torch.float32, torch.float64)
    )
    assert torch.equal(rounded[1], exact[1].float())
    values = []
    for method, (pictures, noise) in (("iwae", rounded), ("iwae", exact), ("dreg", exact), ("iwae-plain", exact)):
        noise.grad = None
        value = call(METHODS[method].create(), pictures, noise)
        value.backward()
        assert noise.grad.shape == (samples, 2, 50)
        values.append(value.item())
    assert values[0] == pytest.approx(values[1], abs=1e-3)
    assert values[1] == values[2]
    assert values[3] == pytest.approx(values[1], rel=1e-13)
    assert call(METHODS["vae"].create(), *exact).item() < values[1]
    with pytest.raises(UsageError, match="autoencoders"):
        call(METHODS["kde"].create(), *exact)
    with pytest.raises(UsageError, match="layers = 2"):
        call(METHODS["iwae-plain"].create(layers=2), *exact)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "grey-bernoulli"])
@pytest.mark.parametrize(("fast", "plain"), [("vae", "vae-plain"), ("iwae", "iwae-plain")])
def test_bound_from_all_samples_at_once_equals_the_streamed_bound(fast, plain, likelihood):
    pictures = (torch.rand(3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64) < 0.4).double()
    bounds = []
    for name in (fast, plain):
        noise = torch.randn(40, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        noise.requires_grad_()
        estimator = METHODS[name].create(hidden=8, latent=5, likelihood=likelihood)
        estimator.start(pictures, torch.Generator().manual_seed(2))
        bound = estimator.bound(pictures, noise)
        bounds.append((bound, *torch.autograd.grad(bound.sum(), noise)))
    for streamed, at_once in zip(*bounds, strict=True):
        torch.testing.assert_close(streamed, at_once, rtol=1e-11, atol=1e-13)


def test_workload_counts_the_least_work():
    (workload,) = vae_density.harness_workloads()
    size = {"samples": 50, "dimension": 784, "batch": 4}
    assert resolve(workload.bytes)(4, **size) == (4 * 784 + 2 * 50 * 4 * 50) * 4
    assert resolve(workload.flops)(**size) == 50 * 4 * 4 * (50 * 200 + 200 * 200 + 200 * 784)
