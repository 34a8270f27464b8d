"""The same cell gives the same bits, however it is run."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

from harness.cell import Cell

CELL = Cell("suite", "plain", "toy/total", {"slope": 1.0}, "cpu", "float32", 0, "code", {"d": "digest"})


def test_alone_in_parallel_and_resumed_give_the_same_bits(harness_cli):
    harness_cli.toy("toy", "--jobs", "2", "--results", "parallel")
    harness_cli.toy("toy", "--jobs", "1", "--results", "one-by-one")
    for chosen in ("seed=3", "seed=0", "method=lifted", "seed=*"):
        harness_cli.toy("toy", "--only", chosen, "--results", "resumed")
    found = []
    for folder in ("parallel", "one-by-one", "resumed"):
        ended = harness_cli.toy("toy", "--results", folder, "--json").document
        assert ended["cells"]["run"] == 0
        found.append({r["id"]: (r["metrics"], r["curves"]) for r in ended["records"]})
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 16


def test_a_key_changes_with_everything_that_changes_a_result_and_with_nothing_else():
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


def test_the_key_is_the_same_on_every_machine_and_version():
    # Written down once: a change here orphans every record that anybody has, so it must be meant (cell.PROTOCOL).
    assert CELL.id == "2baf65fccbf33f7d201d"
    assert CELL.random_seed == 3973684942217305501


def test_libraries_that_were_loaded_with_more_threads_come_down_to_one():
    # As when another command of the same process has started the one fork server that workers come from.
    program = (
        "import json, numpy, threadpoolctl;"
        "from harness.records.provenance import make_deterministic;"
        "count = lambda: [one['num_threads'] for one in threadpoolctl.threadpool_info()];"
        "before = count(); make_deterministic(); print(json.dumps([before, count()]))"
    )
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **threads}, capture_output=True, text=True, check=True
    )
    before, after = json.loads(done.stdout)
    assert 2 in before
    assert after
    assert set(after) == {1}
