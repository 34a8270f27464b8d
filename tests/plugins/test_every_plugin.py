"""What holds for every plugin of the distribution: it is cheap to import, complete, and its parts fit together."""

from __future__ import annotations

import subprocess
import sys

import pytest
from plugin_run import METHODS, REGISTRY, TASKS

from harness.judge import needed_cells
from harness.spec import resolve
from harness.suite import cells_of, read_suite

PLUGINS = {name: plugin for name, plugin in REGISTRY.plugins.items() if plugin.origin.startswith("harness_plugins.")}
TESTED = {name: claim for name, claim in REGISTRY.claims.items() if claim.test is not None}
HEAVY = {"torch", "numpy", "scipy", "sklearn", "mlflow", "pandas", "matplotlib"}


@pytest.fixture(scope="module")
def suites():
    """Each suite with its cells, as if every data set were here."""
    found = {}
    for name in REGISTRY.suites:
        suite = read_suite(name, REGISTRY)
        found[name] = (suite, list(cells_of(suite, REGISTRY, locate=lambda _: "digest")))
    return found


def test_every_plugin_loads():
    assert {name: plugin.broken for name, plugin in REGISTRY.plugins.items() if plugin.broken} == {}
    assert REGISTRY.claim_problems == ()


@pytest.mark.parametrize("name", sorted(PLUGINS))
def test_registering_imports_nothing_heavy(name):
    code = f"import sys, {PLUGINS[name].origin} as p\n"
    code += "called = {'harness_commands', 'harness_doctor'}\n"
    code += "[getattr(p, n)() for n in dir(p) if n.startswith('harness_') and n not in called]\n"
    code += f"heavy = {HEAVY!r} & sys.modules.keys(); sys.exit(str(heavy) if heavy else 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_address_leads_to_code():
    nouns = [m.build for m in METHODS.values()] + [t.run for t in TASKS.values()]
    nouns += [d.load for d in REGISTRY.datasets.values()]
    for workload in REGISTRY.workloads.values():
        nouns += [workload.inputs, workload.call, workload.bytes, workload.flops, *workload.extremes.values()]
    assert all(callable(resolve(address)) for address in nouns)


def test_everything_says_what_it_is():
    named = {**METHODS, **TASKS, **REGISTRY.workloads, **REGISTRY.datasets}
    assert [name for name, noun in named.items() if not noun.help] == []
    options = {f"{n}.{o}": option for n, x in (METHODS | TASKS).items() for o, option in x.options.items()}
    assert [name for name, option in options.items() if not option.help] == []
    metrics = {f"{n}.{m}": metric for n, task in TASKS.items() for m, metric in task.metrics.items()}
    assert [name for name, metric in metrics.items() if not metric.help] == []
    assert [name for name, dataset in REGISTRY.datasets.items() if not dataset.licence] == []


def test_every_task_and_workload_has_methods_of_its_role():
    roles = {method.role for method in METHODS.values()}
    assert {task.role for task in TASKS.values()} | {w.role for w in REGISTRY.workloads.values()} <= roles


@pytest.mark.parametrize("name", sorted(TESTED))
def test_claim_speaks_of_a_task_metric_methods_and_options_that_exist(name):
    test = TESTED[name].test
    task = TASKS[test.task]
    assert test.metric in task.metrics
    assert {METHODS[method].role for method in test.names} == {task.role}
    options = {**task.options, **{k: o for m in test.names for k, o in METHODS[m].options.items()}}
    for where in (test.where, getattr(test, "than_where", None), getattr(test, "gap_than_where", None)):
        for key, wanted in (where or {}).items():
            for value in wanted if isinstance(wanted, list) else [wanted]:
                if key == "dtype":
                    assert value in ("float64", "float32", "float16", "bfloat16")
                elif key == "device":
                    assert value in ("cpu", "cuda")
                else:
                    options[key].read(value, key)


@pytest.mark.parametrize("name", sorted(TESTED))
def test_claim_finds_its_cells_in_each_suite_that_names_it(name, suites):
    holding = [cells for suite, cells in suites.values() if name in suite.claims]
    assert holding, "no suite names this claim"
    test = TESTED[name].test
    found = 0
    for cells in holding:
        ids = needed_cells(TESTED[name], cells)
        needed = [cell for cell in cells if cell.id in ids]
        if needed:
            found += 1
            assert {cell.method for cell in needed} == set(test.names)
            seeds = {cell.seed for cell in needed}
            assert len(seeds) == 1 if test.seeds == 1 else len(seeds) >= 3
    assert found, "no suite that names this claim has its cells"


def test_every_claim_is_of_a_suite(suites):
    assert {claim for suite, _ in suites.values() for claim in suite.claims} == REGISTRY.claims.keys()
