"""Claims, suites and workload of the plugin fit together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_run import METHODS, TASKS, make_run

from harness.files.claims import read_claims
from harness.files.suite import read_suite
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness.registry import load_registry
from harness.spec import resolve
from harness_plugins import squareplus
from harness_plugins.squareplus import constants

(CLAIM_FILE,) = squareplus.harness_claims()
CLAIMS, CHECKS = read_claims(CLAIM_FILE).by_id, read_claims(CLAIM_FILE).checks
TESTED = {name: claim for name, claim in CLAIMS.items() if claim.test is not None}
(WORKLOAD,) = squareplus.harness_workloads()


@pytest.fixture(scope="module")
def cells():
    """The cells of both suites, as if every data set were here."""
    registry = load_registry()
    by_suite = {}
    for name in ("activation", "activation-full"):
        suite = read_suite(name, registry)
        by_suite[name] = (suite, list(cells_of(suite, registry, digest_of=lambda _: "digest")))
    return by_suite


def test_claims_named_full_are_decided_by_the_full_suite(cells):
    for name, claim in TESTED.items():
        suite, planned = cells["activation-full" if "/full-" in name else "activation"]
        if "/cost-" in name:
            # About speed: the suite `speed` decides them.
            continue
        assert name in suite.claims
        assert needed_cells(claim, planned)


def test_default_suite_needs_only_data_that_packages_ship(cells):
    registry = load_registry()
    sets = {name for cell in cells["activation"][1] for name in registry.tasks[cell.task].datasets}
    assert sets == {"digits", "mnist-5k"}


@pytest.mark.parametrize(
    ("claim", "option", "values"),
    [
        ("squareplus/t6-every-depth", "depth", {2, 4, 8}),
        ("squareplus/t6-every-learning-rate", "learning_rate", {0.001, 0.003, 0.01}),
    ],
)
def test_claim_over_settings_has_each_of_them_for_both_sides(cells, claim, option, values):
    _, planned = cells["activation"]
    ids = needed_cells(TESTED[claim], planned)
    needed = [cell for cell in planned if cell.id in ids]
    assert {cell.options[option] for cell in needed} == values
    assert len(needed) == 2 * 3 * 5


@pytest.mark.parametrize("name", ["activation", "activation-full"])
def test_every_claim_on_networks_rests_on_a_check_and_a_control(cells, name):
    suite, _ = cells[name]
    networks = [c for c in suite.claims.values() if c.test and c.test.metric == "test_accuracy"]
    assert networks
    for claim in networks:
        checks = [suite.checks[check] for check in suite.rests_on[claim.id]]
        assert {check.kind for check in checks} == {"precondition", "control"}, claim.id


def test_level_of_a_network_that_knows_nothing_is_the_share_of_the_most_common_class():
    for task, level in (("activation/digits-mlp", 0.1031), ("activation/mnist-5k-cnn", 0.1)):
        labels = make_run(task).data(*TASKS[task].datasets)["test_labels"]
        share = max(np.bincount(labels)) / len(labels)
        assert round(share, 4) == level
        levels = {c.test.value for c in CHECKS.values() if c.test.task == task} - {None}
        assert levels == {level}


def test_answer_begins_with_the_figures_of_the_article(cells):
    for suite, _ in cells.values():
        assert [suite.claims[claim].primary for claim in suite.answer] == [True, True, False]


EXACT = {
    "activation/constants": ("squareplus", "float32"),
    "activation/softplus-gap": ("squareplus-minimax", "float32"),
    "activation/rounding": ("squareplus-plain", "float16"),
    "activation/shape": ("squareplus", "float64"),
}


def test_tasks_that_draw_nothing_declare_it():
    declared = {t.name for t in squareplus.harness_tasks() if any(m.deterministic for m in t.metrics.values())}
    assert declared == set(EXACT)
    assert all(metric.deterministic for name in EXACT for metric in TASKS[name].metrics.values())


@pytest.mark.parametrize("task", EXACT)
def test_deterministic_numbers_are_the_same_under_two_seeds_bit_for_bit(task, monkeypatch):
    # The proof of a constant takes half a minute to its last digit.
    monkeypatch.setattr(constants, "FAMILY_TOLERANCE", 0.05)
    method, dtype = EXACT[task]
    first, second = (
        resolve(TASKS[task].run)(METHODS[method].create(), make_run(task, seed=seed, dtype=dtype)) for seed in (0, 1)
    )
    assert {name: float(value).hex() for name, value in first.items()} == {
        name: float(value).hex() for name, value in second.items()
    }
    assert set(first) == set(TASKS[task].metrics)


def test_every_statement_of_the_notes_is_here():
    numbers = {claim.source.id for claim in CLAIMS.values()}
    assert {f"SP-{n}" for n in (1, 2, 3, 5, 6, 7, 8, 9)} | {f"T-{n}" for n in (1, 2, 4, 5, 6)} <= numbers


@pytest.mark.parametrize("elements", [1, 1000])
def test_workload_gives_inputs_that_can_be_differentiated(elements):
    make, call = resolve(WORKLOAD.inputs), resolve(WORKLOAD.call)
    (x,), (exact,) = (
        make(torch.Generator().manual_seed(0), torch.device("cpu"), dtype, elements=elements)
        for dtype in (torch.float32, torch.float64)
    )
    assert torch.equal(x, exact.float())
    assert exact.abs().max() <= 12
    call(METHODS[WORKLOAD.baseline].create(), x).backward()
    assert x.grad is not None and x.grad.shape == (elements,)


def test_workload_counts_the_least_work():
    assert resolve(WORKLOAD.bytes)(4, elements=1000) == 20_000
    assert resolve(WORKLOAD.flops)(elements=1000) == 9_000
