"""Claims, suites and workload of the plugin fit together."""

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
from harness_plugins import flatnce

(CLAIM_FILE,) = flatnce.harness_claims()
CLAIMS, CHECKS = read_claims(CLAIM_FILE).by_id, read_claims(CLAIM_FILE).checks
TESTED = {name: claim for name, claim in CLAIMS.items() if claim.test is not None}
SUITES = ("contrastive", "contrastive-full")


@pytest.fixture(scope="module")
def cells():
    """The cells of both suites, as if every data set were here."""
    registry = load_registry()
    by_suite = {}
    for name in SUITES:
        suite = read_suite(name, registry)
        by_suite[name] = (suite, list(cells_of(suite, registry, digest_of=lambda _: "digest")))
    return by_suite


def test_claims_named_full_are_decided_by_the_full_suite(cells):
    for name, claim in TESTED.items():
        suite, planned = cells["contrastive-full" if "/full-" in name else "contrastive"]
        assert name in suite.claims
        assert needed_cells(claim, planned)


@pytest.mark.parametrize(
    ("claim", "batch_sizes"),
    [("flatnce/fn1-consistently-better", {8, 32}), ("flatnce/fn1-no-loss-at-large-batches", {256})],
)
def test_claim_over_batch_sizes_has_each_of_them(cells, claim, batch_sizes):
    _, planned = cells["contrastive"]
    ids = needed_cells(TESTED[claim], planned)
    needed = [cell for cell in planned if cell.id in ids]
    assert {cell.options["batch_size"] for cell in needed} == batch_sizes
    assert {(cell.options["clip_norm"], cell.options["base_lr"]) for cell in needed} == {(0.0, 0.01)}
    assert len(needed) == 2 * len(batch_sizes) * 5


def test_check_against_an_untrained_encoder_compares_a_learning_rate_of_0(cells):
    _, planned = cells["contrastive"]
    for check in ("probe-sees-training", "probe-sees-training-at-256", "knn-sees-training-at-256"):
        ids = needed_cells(CHECKS[f"flatnce/{check}"], planned)
        assert {cell.options["base_lr"] for cell in planned if cell.id in ids} == {0.0, 0.01}


@pytest.mark.parametrize("name", SUITES)
def test_answer_names_what_the_sources_stand_for(cells, name):
    suite, _ = cells[name]
    assert suite.answer
    assert all(suite.claims[claim].primary for claim in suite.answer)


def test_every_statement_of_the_notes_is_here():
    numbers = {claim.source.id for claim in CLAIMS.values()} | {a for c in CLAIMS.values() for a in c.source.also}
    assert {f"FN-{n}" for n in range(1, 10)} | {f"DCL-{n}" for n in range(1, 10)} <= numbers


@pytest.mark.parametrize("batch", [2, 64])
def test_workload_gives_inputs_that_can_be_differentiated(batch):
    (workload,) = flatnce.harness_workloads()
    make, call = resolve(workload.inputs), resolve(workload.call)
    tensors, exact = (
        make(torch.Generator().manual_seed(0), torch.device("cpu"), dtype, batch=batch, dimension=128)
        for dtype in (torch.float32, torch.float64)
    )
    assert torch.equal(tensors[0], exact[0].float())
    call(METHODS[workload.baseline].create(), *tensors).backward()
    assert all(t.grad is not None and t.shape == (batch, 128) for t in tensors)


def test_workload_counts_the_least_work():
    (workload,) = flatnce.harness_workloads()
    size = {"batch": 256, "dimension": 128}
    assert resolve(workload.bytes)(4, **size) == 4 * 256 * 128 * 4
    # Half of the 512 x 512 scores, then the whole gradient matrix times the rows.
    assert resolve(workload.flops)(**size) == (512 * 512 // 2) * 2 * 128 + 2 * 512 * 512 * 128
