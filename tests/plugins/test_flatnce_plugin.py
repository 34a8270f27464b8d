"""What the plugin registers fits together: addresses, claims, suites, workload."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from flatnce_run import METHODS, TASKS

from harness.claims import read_claims
from harness.judge import needed_cells
from harness.registry import load_registry
from harness.spec import resolve
from harness.suite import cells_of, read_suite
from harness_plugins import flatnce

(CLAIM_FILE,) = flatnce.harness_claims()
CLAIMS = read_claims(CLAIM_FILE)
TESTED = {name: claim for name, claim in CLAIMS.items() if claim.test is not None}
SUITES = ("contrastive", "contrastive-full")


@pytest.fixture(scope="module")
def cells():
    """The cells of both suites, as if every data set were here."""
    registry = load_registry()
    found = {}
    for name in SUITES:
        suite = read_suite(name, registry)
        found[name] = (suite, list(cells_of(suite, registry, locate=lambda _: "digest")))
    return found


def test_registering_imports_neither_torch_nor_numpy():
    code = "import sys, harness_plugins.flatnce as f; [getattr(f, n)() for n in dir(f) if n.startswith('harness_')]"
    code += "; sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_address_leads_to_code():
    nouns = [n.build for n in METHODS.values()] + [n.run for n in TASKS.values()]
    nouns += [d.load for d in flatnce.harness_datasets()]
    (workload,) = flatnce.harness_workloads()
    nouns += [workload.inputs, workload.call, workload.bytes, workload.flops]
    assert all(callable(resolve(address)) for address in nouns)
    assert workload.reference in METHODS


@pytest.mark.parametrize("name", sorted(TESTED))
def test_claim_speaks_of_a_task_metric_methods_and_options_that_exist(name):
    test = TESTED[name].test
    task = TASKS[test.task]
    assert test.metric in task.metrics
    than = getattr(test, "than", None)
    methods = [*([test.method] if isinstance(test.method, str) else test.method), *([than] if than else [])]
    assert set(methods) <= METHODS.keys()
    options = {**task.options, **{k: o for m in methods for k, o in METHODS[m].options.items()}}
    for where in (test.where, getattr(test, "than_where", None), getattr(test, "gap_than_where", None)):
        for key, wanted in (where or {}).items():
            for value in wanted if isinstance(wanted, list) else [wanted]:
                if key == "dtype":
                    assert value in ("float64", "float32", "float16")
                else:
                    options[key].read(value, key)


@pytest.mark.parametrize("name", sorted(TESTED))
def test_claim_finds_its_cells_in_its_suite(name, cells):
    suite, planned = cells["contrastive-full" if "/full-" in name else "contrastive"]
    assert name in suite.claims
    ids = needed_cells(TESTED[name], planned)
    needed = [cell for cell in planned if cell.id in ids]
    test = TESTED[name].test
    methods = {test.method} if isinstance(test.method, str) else set(test.method)
    assert {cell.method for cell in needed} == methods | ({test.than} if getattr(test, "than", None) else set())
    assert len({cell.seed for cell in needed}) == (test.seeds or suite.cross[0].seeds)


def test_claim_over_batch_sizes_has_each_of_them(cells):
    _, planned = cells["contrastive"]
    ids = needed_cells(TESTED["flatnce/fn1-consistently-better"], planned)
    needed = [cell for cell in planned if cell.id in ids]
    assert {cell.options["batch_size"] for cell in needed} == {8, 32, 256}
    assert len(needed) == 2 * 3 * 5


def test_every_claim_is_of_one_of_the_suites(cells):
    assert {claim for suite, _ in cells.values() for claim in suite.claims} == CLAIMS.keys()


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
    call(METHODS[workload.reference].create(), *tensors).backward()
    assert all(t.grad is not None and t.shape == (batch, 128) for t in tensors)


def test_workload_counts_the_least_work():
    (workload,) = flatnce.harness_workloads()
    size = {"batch": 256, "dimension": 128}
    assert resolve(workload.bytes)(**size) == 4 * 256 * 128 * 4
    # Half of the 512 x 512 scores, then the whole gradient matrix times the rows.
    assert resolve(workload.flops)(**size) == (512 * 512 // 2) * 2 * 128 + 2 * 512 * 512 * 128
