"""Every plugin of the distribution passes the checks of ``harness check``; every suite has what its claims need."""

from __future__ import annotations

import pytest
from plugin_run import REGISTRY

from harness.files.claims import claims_of, has_chance
from harness.files.suite import read_suite
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness_plugins.authors import running
from harness_plugins.authors.checks import all_checks, run_check, subject_of

#: These compile, build large models or have many methods, which takes up to a minute.
SLOW = ("peers", "efficient_global_pointer", "can")
PLUGINS = sorted(name for name, plugin in REGISTRY.plugins.items() if plugin.origin.startswith("harness"))
CHECKS = all_checks()
SUITES = sorted(REGISTRY.suites)
#: Tasks in which chance has no part.
DETERMINISTIC = {
    "activation/constants",
    "activation/rounding",
    "activation/shape",
    "activation/softplus-gap",
    "leaderboard/glue",
    "leaderboard/glue-2021",
    "leaderboard/glue-subsets",
    "leaderboard/superglue",
    "leaderboard/superglue-2021",
    "leaderboard/superglue-subsets",
    "leaderboard/table",
    "matching/minilm-as-published",
    "ner/parameter-counts",
    "postprocess/toy",
}


def test_every_plugin_loads():
    assert {name: plugin.broken for name, plugin in REGISTRY.plugins.items() if plugin.broken} == {}
    assert claims_of(REGISTRY).problems == ()


# torch.compile warns of what torch does inside it.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in PLUGINS])
def test_a_plugin_passes_the_checks(name):
    subject = subject_of(REGISTRY, name)
    outcomes = [run_check(check, subject) for check in CHECKS if not check.slow]
    assert [(outcome.check, problem.message) for outcome in outcomes for problem in outcome.problems] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PLUGINS if REGISTRY.plugins[name].brings.get("tasks")])
def test_the_tasks_of_a_plugin_run_at_their_smallest_setting_and_repeat(name, monkeypatch):
    # Large data sets take longer than a check may.
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    # A race of a method that loops over rows takes a minute on a busy machine.
    monkeypatch.setattr(running, "LIMIT", 600.0)
    subject = subject_of(REGISTRY, name)
    assert [run_check(check, subject).problems for check in CHECKS if check.slow] == [(), ()]


def test_every_claim_belongs_to_a_plugin_that_is_checked():
    checked = {claim for name in PLUGINS for claim in subject_of(REGISTRY, name).claims}
    assert checked == claims_of(REGISTRY).by_id.keys()


@pytest.mark.parametrize("name", SUITES)
def test_suite_has_the_cells_of_every_claim_and_check_and_five_seeds_where_there_is_chance(name):
    """As if every data set were here; a claim on one kind of device is planned there."""
    suite = read_suite(name, REGISTRY)
    tested = [item for item in (*suite.claims.values(), *suite.checks.values()) if item.test is not None]
    devices = sorted({"cpu"} | {item.test.where["device"] for item in tested if "device" in item.test.where})
    cells = {cell.id: cell for cell in cells_of(suite, REGISTRY, devices, digest_of=lambda _: "digest")}
    for item in tested:
        needed = needed_cells(item, list(cells.values()))
        assert needed, item.id
        if has_chance(item, REGISTRY.tasks):
            assert {0, 1, 2, 3, 4} <= {cells[cell_id].seed for cell_id in needed}, item.id


@pytest.mark.parametrize("name", SUITES)
def test_every_claim_with_chance_in_it_rests_on_a_check(name):
    suite = read_suite(name, REGISTRY)
    claims = [claim for claim in suite.claims.values() if has_chance(claim, REGISTRY.tasks)]
    assert [claim.id for claim in claims if not suite.rests_on[claim.id]] == []
    assert {check for claim in claims for check in suite.rests_on[claim.id]} <= suite.checks.keys()
    assert bool(suite.checks) == bool(claims)


@pytest.mark.parametrize("name", SUITES)
def test_answer_names_primary_claims_first(name):
    suite = read_suite(name, REGISTRY)
    primary = [suite.claims[claim].primary for claim in suite.answer]
    assert primary[0]
    assert primary == sorted(primary, reverse=True)


def test_only_tasks_without_chance_declare_metrics_deterministic():
    declared = {
        name: {metric.deterministic for metric in task.metrics.values()}
        for name, task in REGISTRY.tasks.items()
        if any(metric.deterministic for metric in task.metrics.values())
    }
    assert declared == {name: {True} for name in DETERMINISTIC}
