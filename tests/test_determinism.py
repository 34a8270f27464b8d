"""A cell gives the same bits in every way of running it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

from harness.cell import Cell

CELL = Cell("suite", "plain", "toy/total", {"slope": 1.0}, "cpu", "float32", 0, "code", {"d": "digest"})


def test_sequential_parallel_and_resumed_runs_give_the_same_bits(harness_cli):
    harness_cli.toy("toy", "--jobs", "2", "--results", "parallel")
    harness_cli.toy("toy", "--jobs", "1", "--results", "sequential")
    for selection in ("seed=3", "seed=0", "method=lifted", "seed=*"):
        harness_cli.toy("toy", "--only", selection, "--results", "resumed")
    outcomes = []
    for folder in ("parallel", "sequential", "resumed"):
        document = harness_cli.toy("toy", "--results", folder, "--json").document
        assert document["cells"]["run"] == 0
        outcomes.append({r["id"]: (r["metrics"], r["curves"]) for r in document["records"]})
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(outcomes[0]) == 20


def test_key_depends_on_everything_that_changes_a_result_and_on_nothing_else():
    changes = {
        "method": "lifted",
        "task": "toy/other",
        "options": {"slope": 2.0},
        "device": "cuda",
        "dtype": "float64",
        "seed": 1,
        "code": "other",
        "data": {"d": "other"},
    }
    ids = {CELL.id, *(dataclasses.replace(CELL, **{name: value}).id for name, value in changes.items())}
    assert len(ids) == 1 + len(changes)
    assert dataclasses.replace(CELL, suite="other").id == CELL.id
    assert dataclasses.replace(CELL, options=dict(reversed({"b": 1, "slope": 1.0}.items()))).id == (
        dataclasses.replace(CELL, options={"b": 1, "slope": 1.0}).id
    )


def test_methods_share_random_numbers_under_one_seed_and_seeds_differ():
    other = dataclasses.replace(CELL, method="lifted", options={"slope": 3.0})
    assert other.random_seed == CELL.random_seed
    seeds = [dataclasses.replace(CELL, seed=s).random_seed for s in range(100)]
    assert len(set(seeds)) == 100
    assert dataclasses.replace(CELL, task="toy/other").random_seed != CELL.random_seed
    assert all(0 <= s < 2**63 for s in seeds)


def test_key_is_the_same_on_every_machine_and_version():
    # A change of these figures makes all existing records useless, so it must be intended (cell.PROTOCOL).
    assert CELL.id == "2baf65fccbf33f7d201d"
    assert CELL.random_seed == 3973684942217305501


def test_libraries_that_were_loaded_with_two_threads_are_limited_to_one():
    # Happens with libraries that do not read the variables of WORKER_ENVIRONMENT.
    program = (
        "import json, numpy, threadpoolctl;"
        "from harness.records.provenance import make_deterministic;"
        "count = lambda: [library['num_threads'] for library in threadpoolctl.threadpool_info()];"
        "before = count(); make_deterministic(); print(json.dumps([before, count()]))"
    )
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    process = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **threads}, capture_output=True, text=True, check=True
    )
    before, after = json.loads(process.stdout)
    assert 2 in before
    assert after
    assert set(after) == {1}
