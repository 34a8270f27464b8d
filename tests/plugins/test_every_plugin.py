"""Every plugin of the distribution passes the checks of ``harness check``."""

from __future__ import annotations

import pytest
from plugin_run import REGISTRY

from harness.files.claims import claims_of
from harness_plugins.authors.checks import all_checks, run_check, subject_of

#: These compile or build large models, which takes a minute.
SLOW = ("peers", "efficient_global_pointer")
PLUGINS = sorted(name for name, plugin in REGISTRY.plugins.items() if plugin.origin.startswith("harness"))
CHECKS = all_checks()


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
    subject = subject_of(REGISTRY, name)
    assert [run_check(check, subject).problems for check in CHECKS if check.slow] == [(), ()]


def test_every_claim_belongs_to_a_plugin_that_is_checked():
    checked = {claim for name in PLUGINS for claim in subject_of(REGISTRY, name).claims}
    assert checked == claims_of(REGISTRY).by_id.keys()
